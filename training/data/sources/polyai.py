"""PolyAI's Restaurants-8k: what people say to a restaurant that books tables, with the slots of a booking marked.

Format: a JSON list of {userInput: {text}, context?: {requestedSlots}, labels?: [{slot, valueSpan: {startIndex,
endIndex}}]}, a startIndex of 0 being left out. The smaller training files are parts of `train_0`.

The question behind `requestedSlots` is not in the data, so it is asked here in one of a few wordings, sometimes after a
first wish for a table. What makes a request of an utterance without such a question is its verb: booking, cancelling or
changing; other utterances are dropped, save some that take leave and call for nothing. Dropped as well are party sizes
that would need arithmetic ("me and my two sons"), and words on an existing booking that ask for neither.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model.types import Message
from training.data.example import Example
from training.data.sources.accept import accept
from training.data.sources.naming import Style
from training.data.sources.reading import read_json
from training.data.sources.spans import Parameter, Span, SpanTool, call

FILES = (
    "polyai/span_extraction/restaurant8k/train_0.json.gz",
    "polyai/span_extraction/restaurant8k/test.json.gz",
)
SEED = 0
CAP = 900
CLOSING_CAP = 60
_STYLES: tuple[Style, ...] = ("snake", "snake", "camel")

_NAMES = (
    Parameter("first_name", "First name of the guest.", ("first_name",)),
    Parameter("last_name", "Last name of the guest.", ("last_name",)),
)
_BOOKING = (
    Parameter("date", "Day of the booking, as said.", ("date",)),
    Parameter("time", "Time of the booking, as said.", ("time",)),
    Parameter("party_size", "Number of people.", ("people",), type="integer"),
)
_AFTER_TO = r"\b(chang|mov|resched|switch|amend|push|postpon)\w*\b.*\bto\b[^,.]{0,20}$"
_CHANGED = re.compile(r"\b(chang|mov|resched|switch|amend|push|postpon)\w*\b.*\bto\b", re.IGNORECASE)
_CANCEL = re.compile(r"\bcancel(?!lation)", re.IGNORECASE)
_BOOK = re.compile(r"\b(book|booking|reserve|reservation|table|seats?)\b", re.IGNORECASE)
_EXISTING = re.compile(
    r"\b(cancel|chang|mov|resched|switch|amend|booked|reserved|made|had|already|instead|actually|now|late|running|remember"
    r"|(my|have an?) (table|booking|reservation)|(it|booking|reservation) is (on|under)"
    r"|reservation (is|was|for|under) .*\b(is|was)\b)",
    re.IGNORECASE,
)
_QUESTION = re.compile(r"\b(do|does|are|is) (you|there|it|they)\b|\bavailab|\b(what|how|where)\b", re.IGNORECASE)
_CLOSING = re.compile(
    r"(ok(ay)?|great|perfect|thanks|thank you|(good)?bye|good bye|have a .* day|[\s,.!])+", re.IGNORECASE
)
# "5 people", not "5 adults and 2 children" nor "with 5 friends".
_PARTY = re.compile(r"((a )?party of |all )?[\w-]+( people| persons?| ppl| of us| guests| diners)?", re.IGNORECASE)
_DAY = re.compile(r"\b(today|tonight|tomorrow|noon|midday|evening|this week)\b", re.IGNORECASE)
_HALF_OF_DAY = re.compile(r"\s?(?:[ap]\.m\.|[ap]m\b)", re.IGNORECASE)

BOOK = SpanTool("book_restaurant", "Book a table at the restaurant.", (*_BOOKING, *_NAMES))
CANCEL = SpanTool("cancel_reservation", "Cancel a booking at the restaurant.", (*_BOOKING, *_NAMES))
CHANGE = SpanTool(
    "change_reservation",
    "Change a booking at the restaurant.",
    (
        Parameter("new_date", "New day, as said.", ("date",), after=_AFTER_TO),
        Parameter("new_time", "New time, as said.", ("time",), after=_AFTER_TO),
        Parameter("new_party_size", "New number of people.", ("people",), type="integer", after=_AFTER_TO),
        *_BOOKING,
        *_NAMES,
    ),
)
TOOLS = (BOOK, CANCEL, CHANGE)

_WISHES = ("I'd like to book a table.", "Hi, I want to make a reservation.", "Could you reserve a table for me?")
_QUESTIONS = {
    "date": ("For which day?", "What date would you like to come?", "When would you like to visit us?"),
    "time": ("At what time?", "What time would suit you?", "And the time?"),
    "people": ("For how many people?", "How many of you will there be?", "How large is your party?"),
    "name": ("What name should I put the booking under?", "May I have your name?", "And your full name, please?"),
}


def load(root: Path | None = None) -> Iterator[Example]:
    yield from accept(_examples(root), root)


def _examples(root: Path | None) -> Iterator[Example]:
    rows = [row for file in FILES for row in read_json(file, root)]
    random.Random(SEED).shuffle(rows)
    made: Counter[str] = Counter()
    seen: set[tuple[str, bool]] = set()
    for i, row in enumerate(rows):
        text, spans = _utterance(row)
        asked = row.get("context", {}).get("requestedSlots", [])
        if (text.lower(), bool(asked)) in seen:
            continue
        seen.add((text.lower(), bool(asked)))
        rng = random.Random(f"{SEED}:{i}")
        style = rng.choice(_STYLES)
        tools = tuple(tool.styled[style] for tool in rng.sample(TOOLS, len(TOOLS)))
        messages = (*_before(asked, rng), Message("user", text))
        if not asked and _CLOSING.fullmatch(text):
            if made["closing"] < CLOSING_CAP:
                made["closing"] += 1
                yield Example("polyai", "polyai:restaurant", messages, tools, ())
            continue
        tool = _tool(text, spans, bool(asked))
        answer = call(tool, text, spans, style) if tool else None
        if tool is None or answer is None or not answer.arguments or made[tool.name] == CAP:
            continue
        if tool is CHANGE and not any(name.startswith("new") for name in answer.arguments):
            continue
        made[tool.name] += 1
        yield Example("polyai", "polyai:restaurant", messages, tools, (answer,))


def _utterance(row: dict[str, Any]) -> tuple[str, list[Span]]:
    # Some utterances have line breaks for spaces; that keeps the offsets.
    text = re.sub(r"\s", " ", row["userInput"]["text"]).rstrip()
    spans = []
    for label in row.get("labels", []):
        start, end = label["valueSpan"].get("startIndex", 0), label["valueSpan"]["endIndex"]
        if label["slot"] == "time" and (half := _HALF_OF_DAY.match(text, end)):
            end = half.end()
        if not re.search(r"\.m\.$", text[start:end], re.IGNORECASE):
            end = start + len(text[start:end].rstrip(" .,!?"))
        spans.append(Span(label["slot"], start, end))
    return text, sorted(spans, key=lambda span: span.start)


def _tool(text: str, spans: list[Span], asked: bool) -> SpanTool | None:
    """The tool for what is wanted; None when nothing certain is."""
    if any(span.slot == "people" and not _PARTY.fullmatch(text[span.start : span.end]) for span in spans):
        return None
    unmarked = "".join(char if not any(s.start <= i < s.end for s in spans) else " " for i, char in enumerate(text))
    if _DAY.search(unmarked):  # overlooked by the annotators
        return None
    if _CANCEL.search(text):
        return CANCEL
    if _CHANGED.search(text):
        return CHANGE
    if _EXISTING.search(text) or (not asked and (not _BOOK.search(text) or _QUESTION.search(text))):
        return None
    return BOOK


def _before(asked: list[str], rng: random.Random) -> tuple[Message, ...]:
    """The turns before an answer to a question for the slots `asked`."""
    if not asked:
        return ()
    topics = dict.fromkeys("name" if slot.endswith("_name") else slot for slot in asked)
    question = Message("assistant", " ".join(rng.choice(_QUESTIONS[topic]) for topic in topics))
    return (Message("user", rng.choice(_WISHES)), question) if rng.random() < 0.7 else (question,)
