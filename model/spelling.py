"""Where a value is said in a text, as it stands or in another spelling of the same.

Spellings of a string differ in case, in what joins its words (spaces, `_`, `-`), in the shape of quotes, and, where it
is a long row of digits, in what groups them. Those of a number are digits with separators for thousands or a decimal
comma, with `k`, `million` or `%` behind, and English words. What has to be worked out is no spelling: not "tomorrow" of
a date, nor "7 pm" of 19.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache

from model.leaves import Value

Place = tuple[int, int]
"""Start and end of a piece of a text, in characters."""

# Letters of scripts that put nothing between words, or join particles to them, bound no word.
_JOINED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
_LETTER = rf"[^\W{_JOINED}]"
_IS_LETTER = re.compile(_LETTER)
_GAP = r"[\s_\-\u2010-\u2015]"
_QUOTES = {"'": "['\u2018\u2019`]", "\u2019": "['\u2018\u2019`]", '"': '["\u201c\u201d]', "\u201c": '["\u201c\u201d]'}
_QUOTES["\u201d"] = _QUOTES['"']
_GROUPED = re.compile(r"[+(]?\d[\d\s().\-/]*")
_PLAIN_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")
FEWEST_DIGITS = 5  # below, "1-2" and "12" are not the same
LONGEST = 300  # characters of a string whose spellings are looked for: beyond, only itself


class Text:
    """A text to look for values in; what searching it takes is made once, when it is first needed."""

    def __init__(self, text: str) -> None:
        self.text = text
        lower = text.lower()
        self._lower = lower if len(lower) == len(text) else text  # positions must stay the same
        self._numbers: list[tuple[Place, frozenset[Decimal]]] | None = None

    def find(self, value: Value) -> list[Place]:
        """Where `value` is said. Booleans and null are said by their JSON words only."""
        if isinstance(value, Decimal):
            return self._number(value)
        if isinstance(value, tuple):
            return []
        if not isinstance(value, str):
            return self._literal("null" if value is None else str(value).lower())
        value = value.strip()
        if not value:
            return []
        found = self._literal(value.lower())
        if not found and len(value) <= LONGEST:
            found = [match.span() for match in _spellings(value).finditer(self.text)]
        if not found and _PLAIN_NUMBER.fullmatch(value):
            found = self._number(Decimal(value.replace(",", "")))
        return found

    def _literal(self, lower: str) -> list[Place]:
        found = []
        start = self._lower.find(lower)
        while start >= 0:
            end = start + len(lower)
            if not (self._splits_word(start) or self._splits_word(end)):
                found.append((start, end))
            start = self._lower.find(lower, start + 1)
        return found

    def _splits_word(self, at: int) -> bool:
        return (
            0 < at < len(self.text)
            and _IS_LETTER.match(self.text[at - 1]) is not None
            and _IS_LETTER.match(self.text[at]) is not None
        )

    def _number(self, value: Decimal) -> list[Place]:
        if self._numbers is None:
            self._numbers = [*_digits(self.text), *_words(self.text)]
        return [place for place, readings in self._numbers if value in readings]

    def whole_words(self, start: int, end: int) -> Place:
        """The piece, widened to whole words."""
        while self._splits_word(start):
            start -= 1
        while self._splits_word(end):
            end += 1
        return start, end


@lru_cache(maxsize=256)
def _spellings(value: str) -> re.Pattern[str]:
    """Matches `value`, which is neither empty nor begins or ends with white space, however it is spelt."""
    digits = [c for c in value if c.isdecimal()]
    if _GROUPED.fullmatch(value) and len(digits) >= FEWEST_DIGITS:
        return re.compile(r"(?<!\d)" + r"[\s().\-/]{0,2}".join(digits) + r"(?!\d)")
    parts = []
    pieces = re.split(rf"({_GAP}+)", value)
    for i, piece in enumerate(pieces):
        if i % 2 == 0:
            word = "".join(_QUOTES.get(c) or re.escape(c) for c in piece)
            parts.append(re.sub(r"(\d)(?=[^\W\d_])", r"\1\\s?", word))  # 5pm, 5 pm
        elif pieces[i - 1] and pieces[i + 1]:
            measure = pieces[i - 1][-1].isdecimal() and pieces[i + 1][0].isalpha()
            parts.append(f"{_GAP}{'*' if measure else '+'}")
        else:
            parts.append(re.escape(piece))  # no word on one of its sides
    before = rf"(?<!{_LETTER})" if _IS_LETTER.match(value[0]) else ""
    after = rf"(?!{_LETTER})" if _IS_LETTER.match(value[-1]) else ""
    return re.compile(before + "".join(parts) + after, re.IGNORECASE)


# Numbers ---------------------------------------------------------------------------------------------------------

_SEPARATOR = "[,.'\u2019\u00a0\u202f ]"
_DIGITS = re.compile(
    rf"(?:(?<![\w)])(?P<sign>[-\u2212+]))?(?<!{_LETTER})"
    rf"(?P<body>\d{{1,3}}(?:{_SEPARATOR}\d{{3}})+(?!\d)(?:[.,]\d+)?|\d+(?:[.,]\d+)?)(?P<power>[eE][-+]?\d{{1,3}}(?!\w))?"
    r"(?:\s?(?P<scale>%|percent\b|k\b|thousand\b|m\b|million\b|bn\b|billion\b))?",
    re.IGNORECASE,
)
_SCALES = {"k": 3, "thousand": 3, "m": 6, "million": 6, "bn": 9, "billion": 9, "%": -2, "percent": -2}
_THOUSANDS = re.compile(rf"\d{{1,3}}(?:{_SEPARATOR}\d{{3}})+")


def _digits(text: str) -> Iterator[tuple[Place, frozenset[Decimal]]]:
    """Numbers in digits, each with all that it can be read as."""
    for match in _DIGITS.finditer(text):
        body, sign, end = match["body"], match["sign"], match.end("power" if match["power"] else "body")
        readings = {Decimal(digits + (match["power"] or "")) for digits in _read(body)}
        if sign and sign != "+":
            readings = {reading.copy_negate() for reading in readings}
        yield (match.start(), end), frozenset(readings)
        if scale := match["scale"]:
            yield match.span(), frozenset(r.scaleb(_SCALES[scale.lower()]) for r in readings)
        listed = " " in body or ("," in body and not _THOUSANDS.fullmatch(body))
        if listed:  # "2,3" may be two numbers as well
            for part in re.finditer(r"\d+", body):
                start = match.start("body") + part.start()
                yield (start, start + len(part[0])), frozenset((Decimal(part[0]),))


def _read(body: str) -> Iterator[str]:
    """`1,234.5` as digits with a point; `1,234` is one thousand or, with a decimal comma, one and a bit."""
    marks = [c for c in body if not c.isdecimal()]
    plain = "".join(c for c in body if c.isdecimal())
    if not marks:
        yield plain
        return
    after = len(body) - 1 - max(i for i, c in enumerate(body) if not c.isdecimal())
    whole = _THOUSANDS.fullmatch(body) is not None and len(set(marks)) == 1
    if whole:
        yield plain
    if marks[-1] in ",." and (not whole or len(marks) == 1):
        yield f"{plain[:-after]}.{plain[-after:]}"


_UNITS = "zero one two three four five six seven eight nine".split()
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_SMALL = {word: i for i, word in enumerate((*_UNITS, *_TEENS))} | {word: 20 + 10 * i for i, word in enumerate(_TENS)}
_LARGE = {"dozen": 12, "hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}


def _number_words() -> re.Pattern[str]:
    unit, gap = "|".join(_UNITS), r"(?:\s+|-)"
    below_100 = rf"(?:(?:{'|'.join(_TENS)})(?:{gap}(?:{unit}))?|{'|'.join(_TEENS)}|{unit})"
    below_1000 = rf"(?:(?:{unit}|an?){gap}hundred(?:{gap}(?:and{gap})?{below_100})?|{below_100})"
    group = rf"(?:{below_1000}|an?){gap}(?:thousand|million|billion)"
    rest = rf"(?:{gap}(?:and{gap})?{below_1000})?"
    dozens = rf"(?:{below_100}|an?){gap}dozen"
    return re.compile(rf"\b(?:{group}(?:{gap}{group})*{rest}|{dozens}|{below_1000})\b", re.IGNORECASE)


_NUMBER_WORDS = _number_words()


def _words(text: str) -> Iterator[tuple[Place, frozenset[Decimal]]]:
    """Numbers in English words."""
    for match in _NUMBER_WORDS.finditer(text):
        total = current = 0
        for word in re.split(r"[\s-]+", match[0].lower()):
            if word in ("a", "an"):
                current = 1
            elif word in _SMALL:
                current += _SMALL[word]
            elif word in ("hundred", "dozen"):
                current *= _LARGE[word]
            elif word in _LARGE:
                total, current = total + current * _LARGE[word], 0
        yield match.span(), frozenset((Decimal(total + current),))
