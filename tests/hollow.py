"""Artifact folders without a network: whole by their manifest, made in no time, and fit for an engine that is faked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from model.manifest import FILES, write_manifest
from model.prompt import FORMAT_VERSION


def hollow_artifact(folder: Path, weights: str, info: dict[str, Any] | None = None) -> Path:
    """Write the folder; other `weights`, another digest. Returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (folder / name).write_bytes(f"{name} {weights} ".encode() * 1000)
    sizes = {"width": 4, "max_positions": 512}
    write_manifest(folder, prompt_format=FORMAT_VERSION, precision="int8", parameters=26, sizes=sizes, info=info or {})
    return folder
