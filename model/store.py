"""A folder of published artifacts: each name has versions, and one of them is current.

    STORE/mytools/v1/            an artifact, never changed once it is there
    STORE/mytools/v2/
    STORE/mytools/current        symbolic link to the version in service
    STORE/mytools/history.jsonl  who switched when, from what to what

Readers need no lock: a version appears by one rename and `current` moves by another, so whatever is visible is whole.
Writers of a name take turns. What a killed one leaves behind is hidden, and the next one clears it away.
"""

from __future__ import annotations

import contextlib
import errno
import getpass
import json
import os
import platform
import re
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from model.errors import ArtifactError, StoreError
from model.manifest import FILES, Manifest, read_manifest
from model.names import check_name, is_name

KEEP = 5  # versions of a name
_VERSION = re.compile(r"v[1-9][0-9]*")


def names(store: Path) -> list[str]:
    """Everything that was ever published, sorted. A store that does not exist is empty."""
    try:
        with os.scandir(store) as entries:
            return sorted(entry.name for entry in entries if is_name(entry.name) and entry.is_dir())
    except FileNotFoundError:
        return []


def versions(store: Path, name: str) -> list[str]:
    """The versions of `name` that are kept, oldest first: "v2", "v3", ..."""
    try:
        found = [entry for entry in os.listdir(store / check_name(name)) if _VERSION.fullmatch(entry)]
    except FileNotFoundError:
        return []
    return sorted(found, key=_number)


def current(store: Path, name: str) -> str | None:
    """The version of `name` in service; None before the first was published."""
    try:
        version = os.readlink(store / check_name(name) / "current")
    except OSError as error:
        # Nothing there, or not a link. Anything else (a share that is away) says nothing about the version.
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EINVAL):
            return None
        raise
    return version if _VERSION.fullmatch(version) else None


def publish(artifact: Path, store: Path, name: str, note: Mapping[str, Any] | None = None, keep: int = KEEP) -> str:
    """Copy `artifact` into the store as the newest version of `name` and make it current; returns the version.

    What is the newest version already is not copied again, so a repeated call is harmless. Only the `keep` newest
    versions, at least 1, are kept.

    Args:
        artifact: verified before and after the copy; raises `ArtifactError`.
        note: kept in the history; JSON values.
    """
    manifest = read_manifest(artifact)
    folder = store / check_name(name)
    folder.mkdir(parents=True, exist_ok=True)
    _sync(store)
    with _locked(folder):
        kept = versions(store, name)
        if kept and _holds(folder / kept[-1], manifest):
            version = kept[-1]
        else:
            version = f"v{_number(kept[-1]) + 1 if kept else 1}"
            _add(artifact, folder, version, manifest)
        _switch(folder, version, "publish", note)
        for old in versions(store, name)[:-keep]:  # none of them current: that is the newest now
            _delete(folder, old)
    return version


def rollback(store: Path, name: str) -> str:
    """Make the version before the current one current; returns it. `use` goes forward again."""
    with _locked(_existing(store, name)):
        now = current(store, name)
        earlier = [version for version in versions(store, name) if now is not None and _number(version) < _number(now)]
        if not earlier:
            raise StoreError(f"{name!r} has no version before {now}; {_listed(store, name)}")
        return _use(store, name, earlier[-1], "rollback")


def use(store: Path, name: str, version: str) -> str:
    """Make `version` current, an older or a newer one; returns it."""
    with _locked(_existing(store, name)):
        if version not in versions(store, name):
            raise StoreError(f"{name!r} has no version {version!r}; {_listed(store, name)}")
        return _use(store, name, version, "use")


def _use(store: Path, name: str, version: str, action: str) -> str:
    read_manifest(store / name / version)  # who switches by hand learns of damage here, not from a server's log
    _switch(store / name, version, action, None)
    return version


def _number(version: str) -> int:
    return int(version[1:])


def _existing(store: Path, name: str) -> Path:
    if not versions(store, name):
        there = ", ".join(names(store)) or "nothing"
        raise StoreError(f"no model {name!r} has been published in {store}; there is {there}")
    return store / name


def _listed(store: Path, name: str) -> str:
    return f"kept are {', '.join(versions(store, name))}"


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Be the only writer of a name. The lock dies with its process; what that process left half done is cleared."""
    try:
        import fcntl
    except ImportError:
        raise StoreError("models can be published on Linux and macOS only") from None
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(folder / ".partial", ignore_errors=True)
        (folder / ".current").unlink(missing_ok=True)
        yield


def _holds(folder: Path, manifest: Manifest) -> bool:
    try:
        return read_manifest(folder) == manifest
    except ArtifactError:
        return False


def _add(artifact: Path, folder: Path, version: str, manifest: Manifest) -> None:
    """Copy, sync, verify, and only then give the copy its name."""
    partial = folder / ".partial"
    try:
        partial.mkdir()
        for file in (*FILES, "manifest.json"):
            shutil.copyfile(artifact / file, partial / file)
            _sync(partial / file)
        if read_manifest(partial) != manifest:
            raise ArtifactError(f"{artifact} was changed while it was being published")
        _sync(partial)
        partial.rename(folder / version)
        _sync(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _switch(folder: Path, version: str, action: str, note: Mapping[str, Any] | None) -> None:
    before = current(folder.parent, folder.name)
    if version == before:
        return
    link = folder / ".current"
    link.symlink_to(version)  # relative: the store may be moved, or mounted elsewhere
    link.replace(folder / "current")
    _sync(folder)
    _record(folder / "history.jsonl", action=action, version=version, before=before, note=note)


def _record(history: Path, **fields: Any) -> None:
    line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="seconds"), "by": _who(), **fields})
    # After a crash the last line may be half a line, which must not swallow this one.
    torn = history.exists() and not history.read_bytes().endswith(b"\n")
    with history.open("a", encoding="utf-8") as f:
        f.write(("\n" if torn else "") + line + "\n")
        f.flush()
        os.fsync(f.fileno())


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        user = str(os.getuid())
    return f"{user}@{platform.node()}"


def _delete(folder: Path, version: str) -> None:
    (folder / version).rename(folder / ".partial")  # never seen half deleted
    shutil.rmtree(folder / ".partial")


def _sync(path: Path) -> None:
    """Flush a file or a folder's entries to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
