"""Where a corpus file lies on this machine, and that it holds the very bytes the loaders were written for.

The files are upstream data repacked (gzip, several upstream files joined into one), so there is no upstream URL that
serves the same bytes: `files.toml` names for each file where it came from, its licence and the sha256 it must have.
A file is looked for under `BODKIN_DATA_DIR`; when absent it is downloaded from the mirror `BODKIN_DATA_URL`, if set.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import tomllib
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tqdm import tqdm

DATA_DIR_VARIABLE = "BODKIN_DATA_DIR"
DATA_URL_VARIABLE = "BODKIN_DATA_URL"
_BLOCK = 1 << 20


class CorpusError(Exception):
    """A corpus file cannot be used."""


class MissingCorpusError(CorpusError):
    """The file is not in the data folder and cannot be downloaded."""


class ChecksumError(CorpusError):
    """The file's bytes are not the expected ones."""


@dataclass(frozen=True)
class CorpusFile:
    """One file of the data folder: `path` is relative to that folder, `sha256` is of the file as it lies there."""

    path: str
    repository: str
    commit: str
    licence: str
    sha256: str


def read_table(path: Path) -> dict[str, CorpusFile]:
    """Read a `files.toml`: one [[corpus]] per upstream repository, its files listed as path = sha256."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return {
        name: CorpusFile(name, corpus["repository"], corpus["commit"], corpus["licence"], sha256)
        for corpus in table["corpus"]
        for name, sha256 in corpus["files"].items()
    }


FILES: Mapping[str, CorpusFile] = read_table(Path(__file__).with_name("files.toml"))
_verified: set[Path] = set()


def corpus_root() -> Path:
    """The data folder: `BODKIN_DATA_DIR`, or `~/.cache/bodkin/data`."""
    configured = os.environ.get(DATA_DIR_VARIABLE)
    return Path(configured).expanduser() if configured else Path.home() / ".cache" / "bodkin" / "data"


def corpus_file(name: str, root: Path | None = None) -> Path:
    """The verified local path of the file `name` (as listed in `files.toml`), downloading it if need be."""
    if name not in FILES:
        raise CorpusError(f"{name} is not listed in files.toml")
    file = FILES[name]
    root = corpus_root() if root is None else root
    path = root / PurePosixPath(name)
    if not path.is_file():
        base = os.environ.get(DATA_URL_VARIABLE)
        if not base:
            raise MissingCorpusError(
                f"{name} is not in {root}. It is made from {file.repository}@{file.commit} ({file.licence}). "
                f"Set {DATA_DIR_VARIABLE} to the folder that holds it, or {DATA_URL_VARIABLE} to a mirror of it."
            )
        _download(f"{base.rstrip('/')}/{name}", path, file.sha256)
        _verified.add(path)
    # Hashing once per process is enough: the corpora do not change under a running training.
    elif path not in _verified:
        with path.open("rb") as stream:
            _check(hashlib.file_digest(stream, "sha256").hexdigest(), file.sha256, str(path))
        _verified.add(path)
    return path


def _check(found: str, expected: str, what: str) -> None:
    if found != expected:
        raise ChecksumError(f"{what}: sha256 is {found}, expected {expected}")


def _download(url: str, path: Path, sha256: str) -> None:
    """Fetch `url` into `path`; the file appears there only once complete, verified and on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            length = response.headers.get("Content-Length")
            with (
                tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as partial,
                tqdm(total=int(length) if length else None, unit="B", unit_scale=True, desc=path.name) as progress,
            ):
                temporary = Path(partial.name)
                try:
                    while block := response.read(_BLOCK):
                        partial.write(block)
                        digest.update(block)
                        progress.update(len(block))
                    _check(digest.hexdigest(), sha256, url)
                    partial.flush()
                    os.fsync(partial.fileno())
                    temporary.replace(path)
                except BaseException:
                    temporary.unlink(missing_ok=True)
                    raise
    except OSError as error:
        raise MissingCorpusError(f"cannot download {url}: {error}") from error
