"""Home Assistant's test sentences: commands to a smart home; `home_assistant_tools` has the tools for them.

Format: JSON lines {text, intent, slots: {slot: value}, context: {slot: value}}, `context` being what the device that
heard the sentence knows. A value is that of an entity ("Bedroom Lamp") and is looked up in the sentence; what only the
context says is left out of the call. Dropped are sentences with a value that they do not say so ("half an hour" for 30
minutes), or that no tool can express, and all but CAP of a tool's: hundreds are rewordings of "turn the lights on".
`HassNevermind` and `HassRespond` (small talk) are answered by no call.
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
from training.data.sources.grounding import locate
from training.data.sources.home_assistant_tools import SENSORS, TOOLS
from training.data.sources.naming import Style
from training.data.sources.reading import read_lines
from training.data.sources.spans import Span, call

FILE = "home-assistant-intents/tests_en_pairs.jsonl.gz"
SEED = 0
CAP = 80
MAX_SIBLINGS = 3
_STYLES: tuple[Style, ...] = ("snake", "snake", "camel")
_NO_CALL = ("HassNevermind", "HassRespond")
_UNITS = {"hours": "hour", "minutes": "min", "seconds": "sec"}

# Slots that name a kind, not a value of the sentence: domain or device class -> our slot, and how the kind is said.
_KINDS = {
    "light": ("device_type", r"\b(?:lights?|lamps?|lighting)\b"),
    "fan": ("device_type", r"\bfans?\b"),
    "switch": ("device_type", r"\bswitch(?:es)?\b"),
    "curtain": ("cover_type", r"\bcurtains?\b"),
    "blind": ("cover_type", r"\bblinds?\b"),
    "window": ("cover_type", r"\bwindows?\b"),
    "shade": ("cover_type", r"\bshades?\b"),
    "garage": ("cover_type", r"\bgarage\b"),
}
_STATES = {
    "lock": ("lock_state", r"\b(?:un)?locked\b"),
    "cover": ("cover_state", r"\b(?:open|closed|shut)\b"),
    "light": ("switch_state", r"\b(?:on|off)\b"),
    "fan": ("switch_state", r"\b(?:on|off)\b"),
    "switch": ("switch_state", r"\b(?:on|off)\b"),
}
# Named entities of these domains are not devices.
_NAMED = {"scene": "scene", "script": "script", "sensor": "sensor"}


def load(root: Path | None = None) -> Iterator[Example]:
    yield from accept(_examples(root), root)


def _examples(root: Path | None) -> Iterator[Example]:
    families = {intent: family for family, tools in TOOLS.items() for intent in tools}
    seen: set[str] = set()
    made: Counter[str] = Counter()
    rows = list(read_lines(FILE, root))
    # The file has one intent after another, in families of rewordings: a cap takes some of each.
    random.Random(SEED).shuffle(rows)
    for i, row in enumerate(rows):
        text, intent = row["text"].strip(), row["intent"]
        if text.lower() in seen or intent not in families.keys() | set(_NO_CALL):
            continue
        seen.add(text.lower())
        rng = random.Random(f"{SEED}:{i}")
        style = rng.choice(_STYLES)
        messages = (Message("user", text),)
        if intent in _NO_CALL:
            yield Example("home_assistant", "home_assistant:talk", messages, (), ())
            continue
        spans = _spans(text, intent, row["slots"] or {}, row["context"] or {})
        for tool in TOOLS[families[intent]][intent] if spans is not None else ():
            answer = call(tool, text, spans or (), style)
            if answer is not None and made[tool.name] < CAP:
                made[tool.name] += 1
                others = [each for tools in TOOLS[families[intent]].values() for each in tools if each is not tool]
                offered = [tool, *rng.sample(others, rng.randint(0, min(MAX_SIBLINGS, len(others))))]
                rng.shuffle(offered)
                tools = tuple(each.styled[style] for each in offered)
                yield Example("home_assistant", f"home_assistant:{families[intent]}", messages, tools, (answer,))
                break


def _spans(text: str, intent: str, slots: dict[str, Any], context: dict[str, Any]) -> list[Span] | None:
    """Where the sentence says the values; None when it does not say one of them."""
    domain, kind = slots.get("domain"), slots.get("device_class")
    spans: list[Span] = []
    for slot, value in slots.items():
        if slot in ("domain", "device_class", "state", "media_class") or value == "all":
            continue
        span = _find(text, _NAMED.get(domain or "", slot) if slot == "name" else slot, value)
        if span is None and context.get(slot) == value:
            continue
        if span is None:
            return None
        spans.append(span)
    patterns = [_KINDS[each] for each in (domain, kind) if each in _KINDS]
    if intent == "HassGetState" and domain in _STATES:
        patterns.append(_STATES[domain])
    if domain == "binary_sensor":
        patterns += [("sensor_type", pattern) for pattern, sensor in SENSORS if sensor == kind]
    if "media_class" in slots:
        patterns.append(("media_class", rf"\b{slots['media_class'].replace('_', ' ')}s?\b"))
    for slot, pattern in patterns:
        found = [match for match in re.finditer(pattern, text, re.IGNORECASE) if not _inside(match.start(), spans)]
        spans += [Span(slot, match.start(), match.end()) for match in found[-1:]]
    return sorted(spans, key=lambda span: span.start)


def _find(text: str, slot: str, value: Any) -> Span | None:
    """The last place of the text that says `value`."""
    if isinstance(value, list):  # the ways in which upstream's parser may report it
        value = value[-1]
    said = locate(str(value).strip(), text)
    unit = _UNITS.get(slot.removeprefix("start_"))
    if unit:
        matched = re.search(rf"\b{value}(?=[\s-]*{unit})", text, re.IGNORECASE)
        return Span(slot, matched.start(), matched.end()) if matched else None
    if said is None:
        return None
    start = text.rindex(said)
    return Span(slot, start, start + len(said))


def _inside(position: int, spans: list[Span]) -> bool:
    return any(span.start <= position < span.end for span in spans)
