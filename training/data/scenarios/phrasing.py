"""Phrasings: text with `{slots}`, `(alternatives|like|these|)` and `[optional parts]`, which nest.

Voice-intent template languages (hassil's, Rasa's) have the same three marks, but give meaning to more characters than
written requests can spare (`;`, `:`, `<`).
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_MARKS = re.compile(r"\\(.)|([(){}\[\]|])", re.DOTALL)
_GLUED_BEFORE = re.compile(r"[\w$€£¥#+/.-]$")
_GLUED_AFTER = re.compile(r"^([\w%°$€£/'-]|\.\d)")
_SCALED = re.compile(r"[\d.]+( million| billion| bn|M|k)")
# "on tomorrow" is nobody's English; a phrasing says "on {day}" for all kinds of days.
_NO_ON = re.compile(r"((?i:today|tomorrow|tonight|yesterday|noon|midnight)|(next|this|last|every) \w+)$")


class PhrasingError(ValueError):
    """A phrasing that cannot be read."""


@dataclass(frozen=True)
class Slot:
    name: str


@dataclass(frozen=True)
class Choice:
    options: tuple[tuple[Part, ...], ...]
    optional: bool


Part = str | Slot | Choice


@dataclass(frozen=True)
class Said:
    """How a slot is said; `glued` where it touches a sign or a letter ("$40", "5km"), which words cannot."""

    text: str
    glued: str


@dataclass(frozen=True)
class Phrasing:
    """A parsed phrasing."""

    source: str
    parts: tuple[Part, ...]

    @classmethod
    def parse(cls, source: str) -> Phrasing:
        """Raises PhrasingError for unbalanced brackets and empty slots."""
        tokens = list(_tokens(source))
        parts, rest = _sequence(tokens, 0, "")
        if rest != len(tokens):
            raise PhrasingError(f"unexpected {tokens[rest][1]!r} in {source!r}")
        return cls(source, parts)

    def slots(self) -> tuple[set[str], set[str]]:
        """(slots in every expansion, slots in some expansion)."""
        return _slots(self.parts)

    def expand(self, rng: random.Random) -> list[str | Slot]:
        """One of the texts that the phrasing stands for, its slots open."""
        pieces: list[str | Slot] = []
        _expand(self.parts, rng, pieces)
        return pieces


def fill(pieces: list[str | Slot], said: Mapping[str, Said]) -> str:
    """The text of `pieces`: slots said, articles agreeing with what follows, spacing tidied."""
    text = ""
    for position, piece in enumerate(pieces):
        if isinstance(piece, str):
            text += piece
            continue
        behind = pieces[position + 1] if position + 1 < len(pieces) else ""
        after = isinstance(behind, str) and _GLUED_AFTER.match(behind)
        glued = after or _GLUED_BEFORE.search(text)
        words = said[piece.name].glued if glued else said[piece.name].text
        if not after and text.endswith(("$", "€", "£")) and _SCALED.fullmatch(said[piece.name].text):
            words = said[piece.name].text  # $2.5 million
        if text.endswith(("$", "€", "£")) and re.fullmatch(r"[\d,]+\.\d", words):  # $376.9 is no way to write money
            words += "0"
        if re.search(r"\bon $", text, re.IGNORECASE) and _NO_ON.match(words):
            text = text[:-3]
        text = re.sub(r"\b([Aa])n? $", r"\1n " if _vowel(words) else r"\1 ", text) + words
    text = re.sub(r"[^\S\n]+", " ", text).strip()
    text = re.sub(r"\s+([,.?!]+)(?=[\s)]|$)", r"\1", text)
    return re.sub(r"^(?:[,;.]\s+)+", "", text)


def _vowel(words: str) -> bool:
    return bool(
        re.match(
            r"[ai]|hour|honest|honou?r\b|heir|e(?!u)|o(?!ne\b|nce\b)|u(?!ni|se|su|tens|ti)|8|11\b|18\b|[AEFHILMNORSX](?![a-z])",
            words,
        )
    ) or bool(re.match(r"[AIO][a-z]|E(?!u)[a-z]|U(?!ni|se|su|ti|kr|ru)[a-z]", words))


def _tokens(source: str) -> Iterator[tuple[bool, str]]:
    """(is a mark, text) of each piece of the source."""
    at = 0
    for match in _MARKS.finditer(source):
        if match.start() > at:
            yield False, source[at : match.start()]
        yield (False, match[1]) if match[1] else (True, match[2])
        at = match.end()
    if at < len(source):
        yield False, source[at:]


def _sequence(tokens: list[tuple[bool, str]], at: int, closing: str) -> tuple[tuple[Part, ...], int]:
    """Parts from `at` up to (not including) an unnested `|` or `closing`."""
    parts: list[Part] = []
    while at < len(tokens):
        mark, text = tokens[at]
        if not mark:
            parts.append(text)
            at += 1
        elif text in "([":
            options, at = _options(tokens, at + 1, ")" if text == "(" else "]")
            parts.append(Choice(options, text == "["))
        elif text == "{":
            if [t for t in tokens[at + 2 : at + 3]] != [(True, "}")] or tokens[at + 1][0]:
                raise PhrasingError("a slot is {name}")
            parts.append(Slot(tokens[at + 1][1].strip()))
            at += 3
        elif closing and text in ("|", closing):
            break
        else:
            raise PhrasingError(f"{text!r} without its partner (write \\{text} for the sign itself)")
    return tuple(parts), at


def _options(tokens: list[tuple[bool, str]], at: int, closing: str) -> tuple[tuple[tuple[Part, ...], ...], int]:
    options = []
    while True:
        parts, at = _sequence(tokens, at, closing)
        options.append(parts)
        if at >= len(tokens):
            raise PhrasingError(f"{closing!r} is missing")
        at += 1
        if tokens[at - 1][1] == closing:
            return tuple(options), at


def _slots(parts: tuple[Part, ...]) -> tuple[set[str], set[str]]:
    always: set[str] = set()
    some: set[str] = set()
    for part in parts:
        if isinstance(part, Slot):
            always.add(part.name)
            some.add(part.name)
        elif isinstance(part, Choice):
            inner = [_slots(option) for option in part.options]
            if not part.optional:
                always |= set.intersection(*(a for a, _ in inner))
            some |= set.union(*(s for _, s in inner))
    return always, some


def _expand(parts: tuple[Part, ...], rng: random.Random, pieces: list[str | Slot]) -> None:
    for part in parts:
        if not isinstance(part, Choice):
            pieces.append(part)
        elif not part.optional or rng.random() < 0.5:
            _expand(rng.choice(part.options), rng, pieces)
