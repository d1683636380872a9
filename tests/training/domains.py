"""Domains made up for a test: a good one, to be broken in one place each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training.data.scenarios.library import Domain, domain_files, load_domain

SMALL_LIBRARY = Path(__file__).parent / "scenarios"

ROOM = {"type": "string", "description": "Room", "values": ["kitchen", "hall", "study", "garage", "attic"]}
LEVEL = {"type": "integer", "minimum": 1, "maximum": 100, "description": "Percent"}
SAY = (
    "dim the {room} to {level}",
    "{room} at {level} percent",
    "could you set the {room} to {level}?",
    "It is dark in the {room}. I would like {level} percent.",
    "{level} percent in the {room}",
    "lights of the {room}: {level}",
    "make the {room} brighter, {level} percent",
    "i'd like {level} in the {room}",
)


def tool(**fields: Any) -> dict[str, Any]:
    """A good tool; `fields` replace or add."""
    good = {
        "name": "set_light",
        "description": "Set a light.",
        "parameters": {"room": ROOM, "level": LEVEL},
        "required": ["room", "level"],
        "say": list(SAY),
    }
    return {**good, **fields}


def write(folder: Path, *tools: dict[str, Any], name: str = "lights", **fields: Any) -> Path:
    """A domain's file, in the part of YAML that is JSON."""
    path = folder / f"{name}.yaml"
    spec = {"domain": name, "about": "Lights", "tools": list(tools or [tool()]), **fields}
    path.write_text(json.dumps(spec), encoding="utf-8")
    return path


def load(folder: Path, *tools: dict[str, Any], **fields: Any) -> Domain:
    return load_domain(write(folder, *tools, **fields))


def small_library() -> dict[str, Domain]:
    """The domains beside this file, by name."""
    return {path.stem: load_domain(path) for path in domain_files(SMALL_LIBRARY)}
