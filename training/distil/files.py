"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def write_whole(path: Path, lines: Iterable[str]) -> None:
    """Write `lines` beside `path`, sync, rename: a kill at any moment leaves the previous file whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.partial")
    with temporary.open("w", encoding="utf-8") as f:
        f.writelines(f"{line}\n" for line in lines)
        f.flush()
        os.fsync(f.fileno())
    temporary.replace(path)
