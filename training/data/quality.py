"""The gates of the corpus: arguments that the conversation supports, no example twice, nothing of an evaluation set.

Each gate names its reason for dropping an example; `prepare` counts them.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from model.prompt import calls_text, dumps
from training.bfcl import CATEGORIES, load_category
from training.data.example import Example
from training.data.sources.grounding import mentions, tokens

NGRAM = 8  # words in a row that an evaluation's request and ours must not share
_DIGIT = "zero|one|two|three|four|five|six|seven|eight|nine"
MONTHS = "january february march april may june july august september october november december".split()
_SCALED = re.compile(r"(\d+(?:\.\d+)?)\s*(k|thousand|m|million|bn|billion)\b", re.IGNORECASE)
_SCALES = {"k": 1e3, "thousand": 1e3, "m": 1e6, "million": 1e6, "bn": 1e9, "billion": 1e9}
_HOUR = re.compile(r"\b(\d{1,2})(?::\d\d)?\s*([ap])\.?m\b", re.IGNORECASE)
_POINT = re.compile(rf"([a-z-]+) point ((?:{_DIGIT})(?: (?:{_DIGIT}))*)\b", re.IGNORECASE)
_DAY = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::\d\d)?)?Z?")
_CLOCK = re.compile(r"(\d\d):(\d\d)(?::\d\d)?")
_HALF_DAY = re.compile(r"\b(\d{1,2})(?::(\d\d))?\s*([ap])\.?m\b", re.IGNORECASE)
_DIGITAL = re.compile(r"(?<![\d:.])(\d{1,2}):(\d\d)(?!\d)")
_PAST = re.compile(r"(?:\b(half|quarter) past )?\b(\d{1,2})(?: o clock)?(?: in the (morning|afternoon|evening))")
_BARE = re.compile(r"\b(?:at|by|from|until|till|to|around|before|after|past) (\d{1,2})\b(?! in the)")


def unsupported(example: Example) -> str | None:
    """Why the conversation does not support the calls; None when it does.

    A text must be said up to case, separators and number words; a number in digits, words or with its scale; a day and
    an hour in any form. Members of an enum and booleans are said by meaning, which words do not show: they pass.
    """
    schemas = {t.name: t.parameters for t in example.tools}
    said = _said(example)
    for call in example.calls:
        for value, schema in _leaves(call.arguments, schemas[call.name]):
            if isinstance(value, bool) or value is None or "enum" in schema or "const" in schema:
                continue
            if isinstance(value, int | float):
                if float(value) not in _numbers(said):
                    return "number not said"
            elif isinstance(value, str) and not _supports(said, value, schema):
                return "text not said"
    return None


class Duplicates:
    """Which examples were seen: the same conversation with the same answer over tools of the same names."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def __call__(self, example: Example) -> str | None:
        turns = [(m.role, " ".join(tokens(m.text)), calls_text(m.tool_calls)) for m in example.messages]
        # Two requests that differ in an identifier's case differ: the answer holds it as it was written.
        key = dumps([turns, [[c.name, c.arguments] for c in example.calls], example.family])
        digest = hashlib.blake2b(key.encode(), digest_size=12).digest()
        if digest in self._seen:
            return "duplicate"
        self._seen.add(digest)
        return None


class Decontamination:
    """Refuses what an evaluation set holds: shared runs of words, short requests word for word, declared tools.

    `matches` keeps, per reason, what was found, for the report.
    """

    def __init__(self, requests: Iterable[str], tools: Iterable[tuple[str, frozenset[str]]]) -> None:
        """`tools` are (function name, names of its parameters)."""
        self._grams: set[tuple[str, ...]] = set()
        self._short: set[tuple[str, ...]] = set()
        self.requests = 0
        for request in requests:
            self.requests += 1
            words = tuple(tokens(request))
            self._grams.update(_grams(words))
            if 0 < len(words) < NGRAM:
                self._short.add(words)
        self._tools: dict[str, set[frozenset[str]]] = {}
        for name, parameters in tools:
            self._tools.setdefault(_plain(name), set()).add(frozenset(map(_plain, parameters)))
        self.matches: dict[str, Counter[str]] = {"request": Counter(), "tool": Counter(), "tool name only": Counter()}

    @classmethod
    def from_bfcl(cls, folder: Path) -> Decontamination:
        """From the BFCL files (`BFCL_v4_*.json`) of a folder; FileNotFoundError when it has none."""
        categories = [c for c in CATEGORIES if (folder / f"BFCL_v4_{c}.json").exists()]
        if not categories:
            raise FileNotFoundError(f"no BFCL_v4_*.json in {folder}")
        questions = [q for c in categories for q in load_category(folder, c)]
        requests = [m.text for q in questions for m in q.messages if m.role == "user"]
        return cls(
            requests, [(t.name, frozenset(t.parameters.get("properties") or {})) for q in questions for t in q.tools]
        )

    def __call__(self, example: Example) -> str | None:
        for message in example.messages:
            if message.role != "user":
                continue
            words = tuple(tokens(message.text))
            if words in self._short or any(gram in self._grams for gram in _grams(words)):
                self.matches["request"][message.text] += 1
                return "request of an evaluation"
        for tool in example.tools:
            known = self._tools.get(_plain(tool.name))
            if known is None:
                continue
            if frozenset(map(_plain, tool.parameters.get("properties") or {})) in known:
                self.matches["tool"][tool.name] += 1
                return "tool of an evaluation"
            self.matches["tool name only"][tool.name] += 1
        return None

    def report(self) -> dict[str, Any]:
        """Counts, and the most frequent matches of each kind."""
        return {
            "requests checked against": self.requests,
            **{
                kind: {"examples": counts.total(), "distinct": len(counts), "most": counts.most_common(15)}
                for kind, counts in self.matches.items()
            },
        }


def _said(example: Example) -> str:
    """Everything that is said: turns, earlier calls and results."""
    return "\n".join(m.text + (calls_text(m.tool_calls) if m.tool_calls else "") for m in example.messages)


def _leaves(value: Any, schema: Mapping[str, Any]) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        for name, inner in value.items():
            declared = properties.get(name) or {}
            yield from _leaves(inner, declared if isinstance(declared, Mapping) else {})
    elif isinstance(value, list):
        items = schema.get("items") or {}
        for inner in value:
            yield from _leaves(inner, items if isinstance(items, Mapping) else {})
    else:
        yield value, schema


def _supports(said: str, value: str, schema: Mapping[str, Any]) -> bool:
    if not value:
        return False
    if re.search(rf"(?<![^\W\d_]){re.escape(value)}(?![^\W\d_])", said) or mentions(value, said):
        return True
    # An enum told in the description only is said by meaning like any other.
    if value and re.search(rf"(?<!\w){re.escape(value)}(?!\w)", str(schema.get("description", ""))):
        return True
    if match := _DAY.fullmatch(value):
        year, month, day, hour, minute = match.groups()
        return _day_said(said, int(year), int(month), int(day)) and (hour is None or _hour_said(said, hour, minute))
    match = _CLOCK.fullmatch(value)
    return bool(match) and _hour_said(said, *match.groups()) if match else False


def _day_said(said: str, year: int, month: int, day: int) -> bool:
    other = rf"(?!{year}-{month:02d}-{day:02d})\b\d{{4}}-\d\d-\d\d|\b\d{{1,2}}:\d\d"
    words = _words(re.sub(other, " ", said))
    named = MONTHS[month - 1][:3] in {w[:3] for w in words if w.isalpha()}
    # The month as a number counts in a numeric date only: "10 Aug 2023" is no day of October.
    numeric = rf"\b{year}-{month:02d}-|\b0?{month}/\d+/{year}\b|\b\d+[./]0?{month}[./]{year}\b"
    return str(year) in words and str(day) in words and (named or bool(re.search(numeric, said)))


def _hour_said(said: str, hour: str, minute: str) -> bool:
    return (int(hour), int(minute)) in _hours(said)


@lru_cache(64)
def _hours(said: str) -> frozenset[tuple[int, int]]:
    """Every (hour, minute) that is said; both halves of the day where nothing tells them apart."""
    found: set[tuple[int, int]] = set()

    def add(hour: str, minute: str, half: str) -> None:
        if half in ("", "a", "morning"):
            found.add((int(hour) % 12, int(minute or 0)))
        if half in ("", "p", "afternoon", "evening"):
            found.add((int(hour) % 12 + 12, int(minute or 0)))

    for hour, minute, half in _HALF_DAY.findall(said):
        add(hour, minute, half.lower())
    for hour, minute in _DIGITAL.findall(_HALF_DAY.sub(" ", said)):
        found.add((int(hour), int(minute)))
        if hour[0] != "0" and int(hour) <= 12:
            add(hour, minute, "")
    spelled = " ".join(tokens(said))
    for past, hour, half in _PAST.findall(spelled):
        add(hour, {"half": "30", "quarter": "15"}.get(past, "0"), half)
    for hour in _BARE.findall(spelled):
        add(hour, "0", "")
    found |= {(12, 0)} if "noon" in spelled.split() else set()
    found |= {(0, 0)} if "midnight" in spelled.split() else set()
    return frozenset(found)


@lru_cache(64)
def _words(said: str) -> frozenset[str]:
    """Words and numbers without leading zeros; 14.03 and 7:05pm come apart; ordinals lose their endings."""
    apart = re.sub(r"(?<=\d)[.:T-](?=\d)", " ", said)
    apart = re.sub(r"(?<=\d)(?=[a-zA-Z])", " ", apart)
    found = set(tokens(apart))
    return frozenset(str(int(w)) if w.isdigit() else w for w in found)


@lru_cache(64)
def _numbers(said: str) -> frozenset[float]:
    """Every number that is said, with either sign where a sign or "minus" or "below" is about."""
    apart = re.sub(r"(?<=\d)(?=[a-zA-Z°])|(?<=[a-zA-Z])(?=\d)", " ", re.sub(r"(?<=\d),(?=\d{3})", "", said))
    found = {float(t) for t in tokens(apart) if t[0].isdigit()}
    found |= {float(t) for t in re.findall(r"\d+(?:\.\d+)?|\.\d+", apart)}
    for amount, scale in _SCALED.findall(apart):
        found.add(round(float(amount) * _SCALES[scale.lower()], 6))
    for hour, half in _HOUR.findall(said):
        found.add(float(int(hour) % 12 + (12 if half.lower() == "p" else 0)))
    for whole, places in _POINT.findall(said):
        digits = [t for t in tokens(whole) if t.isdigit()], [t for t in tokens(places) if t.isdigit()]
        if digits[0] and digits[1]:
            found.add(float(f"{digits[0][-1]}.{''.join(digits[1])}"))
    if re.search(r"-\d|−\d|minus|negative|below", said):
        found |= {-n for n in found}
    return frozenset(found)


def _grams(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    return (words[i : i + NGRAM] for i in range(len(words) - NGRAM + 1))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
