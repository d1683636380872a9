"""Which models are to be served, and where each lies at this moment: the default, the configured ones, the store's."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from model import store
from model.manifest import FILES
from model.names import full_name

logger = logging.getLogger("bodkin.models")

Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Source:
    """A model on disk. It compares unequal to an earlier look at it as soon as anything of it was replaced.

    `version` is the store's; None for a folder that was configured.
    """

    folder: Path
    version: str | None
    stamp: Stamp

    @property
    def created(self) -> int:
        """When the artifact was put there: its manifest is written last. Unix time; 0 if there is none."""
        return self.stamp[0][1] // 10**9


def stamp(folder: Path) -> Stamp:
    """Inode, modification time in ns and size of the manifest and of each file; zeros for one that is missing."""
    return tuple(_stamp(folder / name) for name in ("manifest.json", *FILES))


def _stamp(file: Path) -> tuple[int, int, int]:
    try:
        status = file.stat()
    except OSError:
        return 0, 0, 0
    return status.st_ino, status.st_mtime_ns, status.st_size


class Catalog:
    """Where to look.

    Args:
        model: name of the default model, on the wire.
        artifact: its folder.
        artifacts: further folders, by short name ("mytools" is served as "bodkin-26m:mytools"). They hide models of
            the same name in the store.
        published: the store; it need not exist.
    """

    def __init__(self, model: str, artifact: Path, artifacts: Mapping[str, Path], published: Path) -> None:
        self._store = published
        self._last: dict[str, Source] = {}
        self._away = False
        self._folders = {model: artifact}
        for name, folder in artifacts.items():
            self._folders.setdefault(full_name(name), folder)

    @property
    def configured(self) -> frozenset[str]:
        """The names that must be there: the default and the configured ones."""
        return frozenset(self._folders)

    def look(self) -> dict[str, Source]:
        """Every model by its name on the wire: the default first, then the configured ones, then the store's."""
        # Resolved, so that one load reads one folder even if a link on the way moves meanwhile.
        found = {name: _source(folder.resolve(), None) for name, folder in self._folders.items()}
        for name, source in self._published().items():
            found.setdefault(name, source)
        return found

    def _published(self) -> dict[str, Source]:
        """The store's current versions. While it cannot be read (a share that is away), those of the last look."""
        try:
            moment = {
                full_name(name): _source(self._store / name / version, version)
                for name in store.names(self._store)
                if (version := store.current(self._store, name)) is not None
            }
        except OSError as error:
            if not self._away:
                logger.warning("the store %s cannot be read, its models stay as they are: %s", self._store, error)
            self._away = True
            return self._last
        self._away = False
        self._last = moment
        return moment


def _source(folder: Path, version: str | None) -> Source:
    return Source(folder, version, stamp(folder))
