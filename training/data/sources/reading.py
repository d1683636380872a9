"""Reading corpus files: gzip or plain, JSON or JSON lines."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.data.download import corpus_file


def read_json(name: str, root: Path | None) -> Any:
    """The parsed content of a JSON file."""
    path = corpus_file(name, root)
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)


def read_lines(name: str, root: Path | None) -> Iterator[Any]:
    """The parsed rows of a JSON lines file, in order."""
    path = corpus_file(name, root)
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as stream:
        for line in stream:
            if line.strip():
                yield json.loads(line)
