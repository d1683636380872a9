"""The artifact's manifest: what is in the folder, for which format, and proof that it is whole."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from model.errors import ArtifactError
from model.prompt import FORMAT_VERSION

ARTIFACT_VERSION = 5  # 5: routing knows what calls have copied
READ_VERSIONS = (4, ARTIFACT_VERSION)  # in one of version 4 nothing comes of it
EMBEDDING = "embedding.bin"
FILES = ("encoder.onnx", "decoder.onnx", EMBEDDING, "tokenizer.json")


@dataclass(frozen=True)
class Manifest:
    """`manifest.json`. `sizes` are the network's (width, layers, ...), `info` is for people: data, training, scores.

    `calibration` is `model.confidence`'s; None until the weights have been calibrated.
    """

    artifact_version: int
    prompt_format: int
    precision: str
    parameters: int
    sizes: dict[str, int]
    files: dict[str, str]
    info: dict[str, Any]
    calibration: dict[str, Any] | None = None

    @property
    def max_tokens(self) -> int:
        """The most tokens that one tool, or the conversation, may have."""
        return self.sizes["max_positions"]

    @property
    def digest(self) -> str:
        """Hex sha256 of all that decides an answer, so of everything but `info`: equal digests, equal engines."""
        content = {name: value for name, value in asdict(self).items() if name != "info"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write_manifest(
    folder: Path, *, prompt_format: int, precision: str, parameters: int, sizes: dict[str, int], info: dict[str, Any]
) -> Manifest:
    """Hash the folder's files and write `manifest.json` last, so that its presence means a whole artifact."""
    files = {name: _sha256(folder / name) for name in FILES}
    manifest = Manifest(ARTIFACT_VERSION, prompt_format, precision, parameters, sizes, files, info)
    _write(folder, manifest)
    return manifest


def add_info(folder: Path, info: dict[str, Any]) -> Manifest:
    """Add to (or replace in) the manifest's `info`; the model itself is verified and stays as it is."""
    manifest = read_manifest(folder)
    manifest = replace(manifest, info={**manifest.info, **info})
    _write(folder, manifest)
    return manifest


def set_calibration(folder: Path, calibration: dict[str, Any]) -> Manifest:
    """Put a calibration into the manifest, in place of any other; the model itself is verified and stays as it is."""
    manifest = replace(read_manifest(folder), calibration=calibration)
    _write(folder, manifest)
    return manifest


def _write(folder: Path, manifest: Manifest) -> None:
    temporary = folder / "manifest.json.partial"
    with temporary.open("w", encoding="utf-8") as f:
        f.write(json.dumps(asdict(manifest), indent=1) + "\n")
        f.flush()
        os.fsync(f.fileno())
    temporary.replace(folder / "manifest.json")


def read_manifest(folder: Path) -> Manifest:
    """Read and verify. Raises `ArtifactError` when a file is missing, damaged, or of another format."""
    manifest = parse_manifest(folder)
    for name in FILES:
        if not (folder / name).is_file():
            raise ArtifactError(f"{folder} is incomplete: {name} is missing")
        if _sha256(folder / name) != manifest.files.get(name):
            raise ArtifactError(f"{folder / name} is damaged: its sha256 is not the manifest's")
    return manifest


def parse_manifest(folder: Path) -> Manifest:
    """Read without a look at the files that it vouches for. Raises `ArtifactError` for one of another format."""
    path = folder / "manifest.json"
    try:
        manifest = Manifest(**json.loads(path.read_text(encoding="utf-8")))
        if not (isinstance(manifest.sizes, dict) and isinstance(manifest.files, dict)):
            raise TypeError("sizes and files must be objects")
    except FileNotFoundError:
        raise ArtifactError(f"no model artifact in {folder}: manifest.json is missing") from None
    except (ValueError, TypeError) as error:
        raise ArtifactError(f"{path} is not a manifest of this version: {error}") from error
    if manifest.artifact_version not in READ_VERSIONS or manifest.prompt_format != FORMAT_VERSION:
        raise ArtifactError(
            f"{folder} has artifact version {manifest.artifact_version} and prompt format {manifest.prompt_format}; "
            f"this program reads {' or '.join(map(str, READ_VERSIONS))} and {FORMAT_VERSION}"
        )
    return manifest


def _sha256(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
