"""HWU64: commands to a home assistant, with 64 intents and marked slots; `hwu64_tools` has the tools for them.

Format: JSON lines {answerid, scenario, intent, answer_annotation}, the annotation being the utterance with its slots
marked as `[slot : value]`. Utterances of `general_*` (praise, repetition, chat) are answered by no call.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from model.types import Message
from training.data.example import Example
from training.data.sources.accept import accept
from training.data.sources.hwu64_tools import TOOLS
from training.data.sources.naming import Style
from training.data.sources.reading import read_lines
from training.data.sources.spans import Span, call

FILE = "hwu64/nlu_home_domain_annotated_union.jsonl.gz"
SEED = 0
MAX_SIBLINGS = 3
_STYLES: tuple[Style, ...] = ("snake", "snake", "camel")
_MARK = re.compile(r"\[\s*(\w+)\s*:\s*([^\]]*?)\s*\]")
# The crowd marked "[date : wednesday]" in "next wednesday" and "[person : john's]" in "john's email".
_DETERMINER = re.compile(r"\b(this|next|last|every|tomorrow|yesterday)\s+$", re.IGNORECASE)
_TEMPORAL = {"date", "time", "timeofday"}
_TAIL = {
    "list_name": re.compile(r"\s+lists?$", re.IGNORECASE),
    "person": re.compile(r"'s$"),
    "relation": re.compile(r"'s$"),
}


def load(root: Path | None = None) -> Iterator[Example]:
    yield from accept(_examples(root), root)


def _examples(root: Path | None) -> Iterator[Example]:
    rows = read_lines(FILE, root)
    yield from annotated("hwu64", ((row["scenario"], row["intent"], row["answer_annotation"]) for row in rows), set())


def annotated(source: str, rows: Iterable[tuple[str, str, str]], seen: set[str]) -> Iterator[Example]:
    """Examples of (scenario, intent, annotation) rows whose utterance is not in `seen`, which grows by them.

    The groups are named after HWU64 whatever the source, for the tools are the same.
    """
    for i, (scenario, intent, annotation) in enumerate(rows):
        text, spans = unmark(annotation)
        if not text or text.lower() in seen:
            continue
        seen.add(text.lower())
        messages = (Message("user", text),)
        if scenario == "general":
            yield Example(source, "hwu64:general", messages, (), ())
            continue
        rng = random.Random(f"{SEED}:{i}")
        style = rng.choice(_STYLES)
        for tool in TOOLS.get(f"{scenario}_{intent}", ()):
            answer = call(tool, text, spans, style)
            if answer is not None:
                # Tools of the same scenario are the instructive alternatives; the caller adds those of other groups.
                others = [
                    other
                    for name in TOOLS
                    if name.split("_")[0] == scenario
                    for other in TOOLS[name]
                    if other is not tool
                ]
                offered = [tool, *rng.sample(others, rng.randint(0, min(MAX_SIBLINGS, len(others))))]
                rng.shuffle(offered)
                tools = tuple(each.styled[style] for each in offered)
                yield Example(source, f"hwu64:{scenario}", messages, tools, (answer,))
                break


def unmark(annotation: str) -> tuple[str, list[Span]]:
    """The utterance without its marks, and where they were."""
    text, spans, end = "", [], 0
    for mark in _MARK.finditer(annotation):
        text += annotation[end : mark.start()]
        slot, value = mark[1], mark[2]
        determiner = _DETERMINER.search(text) if slot in _TEMPORAL else None
        start = determiner.start() if determiner else len(text)
        length = len(_TAIL[slot].sub("", value)) if slot in _TAIL else len(value)
        spans.append(Span(slot, start, len(text) + length))
        text += value
        end = mark.end()
    # Spans index into the text, so only its end may be trimmed.
    return (text + annotation[end:]).rstrip(), spans
