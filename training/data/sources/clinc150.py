"""CLINC150's out-of-scope queries: requests that none of a typical assistant's tools answers.

Format: `data_full.json`, {split: [[text, intent]]}; the splits named `oos_*` hold the out-of-scope queries.
The caller puts tools beside them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from model.types import Message
from training.data.example import Example
from training.data.sources.accept import accept
from training.data.sources.reading import read_json


def load(root: Path | None = None) -> Iterator[Example]:
    yield from accept(_examples(root), root)


def _examples(root: Path | None) -> Iterator[Example]:
    splits = read_json("clinc150/data/data_full.json.gz", root)
    for split in sorted(name for name in splits if name.startswith("oos_")):
        for text, _ in splits[split]:
            yield Example("clinc150", "clinc150:oos", (Message("user", text),), (), ())
