"""Corpus files made up for a test, and what the loaders make of them."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from training.data import download
from training.data.example import Example
from training.data.sources.naming import restyle

Corpus = Callable[..., None]


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Corpus:
    """Puts files into an empty data folder, each entered in the table with its checksum."""
    files: dict[str, download.CorpusFile] = {}
    monkeypatch.setattr(download, "FILES", files)
    monkeypatch.setattr(download, "_verified", set())
    monkeypatch.setenv(download.DATA_DIR_VARIABLE, str(tmp_path))
    monkeypatch.delenv(download.DATA_URL_VARIABLE, raising=False)

    def put(name: str, rows: Any, lines: bool = True) -> None:
        text = "".join(json.dumps(row) + "\n" for row in rows) if lines else json.dumps(rows)
        text = rows if isinstance(rows, str) else text
        data = gzip.compress(text.encode()) if name.endswith(".gz") else text.encode()
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        files[name] = download.CorpusFile(name, "owner/upstream", "abc123", "MIT", hashlib.sha256(data).hexdigest())

    put("exclude.jsonl", [])
    return put


def answers(examples: Iterator[Example]) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """Last message -> the calls, with names in snake_case whatever style was drawn."""
    return {
        example.messages[-1].text: [
            (
                restyle(each.name, "snake"),
                {restyle(name, "snake"): value for name, value in each.arguments.items()},
            )
            for each in example.calls
        ]
        for example in examples
    }
