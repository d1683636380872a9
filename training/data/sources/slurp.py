"""SLURP: HWU64's commands as they were spoken to a device, with the same slots and so the same tools.

Format: JSON lines {sentence, sentence_annotation, scenario, action, entities, tokens}, the annotation being the
sentence with its slots marked as `[slot : value]`; `intent` contradicts scenario and action in a few rows and is not
read. Dropped are sentences of HWU64, intents without a hand-written tool, `general_quirky` (every wish that fitted no
other intent: some tool may well answer it), and sentences from which no one could tell what is wanted: fragments
("pandora", "play it again"), and those that give no argument and do not name their matter either ("by proper formula"
was meant to ask for the weather).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from training.data.example import Example
from training.data.sources.accept import accept
from training.data.sources.hwu64 import FILE, annotated, unmark
from training.data.sources.reading import read_lines

FILES = ("slurp/devel.jsonl.gz", "slurp/test.jsonl.gz")
MIN_WORDS = 3
# What a request without arguments must speak of. Groups that are not here need an argument: what to play, to cook.
_MATTER = {
    "hwu64:alarm": r"alarm",
    "hwu64:audio": r"volume|loud|quiet|mute|sound|silen|turn (it|that) (up|down)",
    "hwu64:calendar": r"calendar|event|meeting|schedule|appointment|reminder|agenda",
    "hwu64:datetime": r"time|date|\bday|clock|hour",
    "hwu64:email": r"mail|message|inbox",
    "hwu64:iot": r"light|lamp|vacuum|clean|coffee|plug|socket|bright|dark|\bdim",
    "hwu64:lists": r"list",
    "hwu64:music": r"song|music|track|playing|singing|artist",
    "hwu64:news": r"news|headline|happening|update|current events|stor(y|ies)",
    "hwu64:weather": r"weather|forecast|temperature|rain|snow|\bhot|\bcold|\bwarm|outside|sunny",
}


def load(root: Path | None = None) -> Iterator[Example]:
    yield from accept(filter(_is_clear, _examples(root)), root)


def _examples(root: Path | None) -> Iterator[Example]:
    seen = {unmark(row["answer_annotation"])[0].lower() for row in read_lines(FILE, root)}
    rows = (row for file in FILES for row in read_lines(file, root) if row["action"] != "quirky")
    yield from annotated("slurp", ((row["scenario"], row["action"], row["sentence_annotation"]) for row in rows), seen)


def _is_clear(example: Example) -> bool:
    if len(example.messages[-1].text.split()) < MIN_WORDS:
        return False
    if any(call.arguments for call in example.calls) or not example.calls:
        return True
    matter = _MATTER.get(example.group)
    return matter is not None and bool(re.search(matter, example.messages[-1].text, re.IGNORECASE))
