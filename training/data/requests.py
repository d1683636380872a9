"""Requests to score with, as files: an example a line, gzipped JSON."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from model.types import Message, Tool, ToolCall
from training.data.example import Call, Example


def write_requests(path: Path, examples: Iterable[Example]) -> None:
    """Examples as gzipped JSON lines."""
    with gzip.open(path, "wt", encoding="utf-8") as f:
        for e in examples:
            f.write(json.dumps(asdict(e), ensure_ascii=False) + "\n")


def read_requests(path: Path) -> list[Example]:
    """What `write_requests` wrote."""
    with gzip.open(path, "rt", encoding="utf-8") as f:
        rows = [json.loads(line) for line in f]
    return [
        Example(
            row["source"],
            row["group"],
            tuple(
                Message(m["role"], m["text"], tuple(ToolCall(**c) for c in m["tool_calls"]), m["name"])
                for m in row["messages"]
            ),
            tuple(Tool(**t) for t in row["tools"]),
            tuple(Call(**c) for c in row["calls"]),
        )
        for row in rows
    ]
