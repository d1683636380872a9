"""Numbers, and how people say them."""

from __future__ import annotations

import random
import re
from functools import cache, lru_cache

from unicode_rbnf import RbnfEngine

from training.data.scenarios.drawn import Draw, Drawn, GeneratorError

MILLIONS = 0.15  # share of `or millions`
_MILLIONS = " or millions"
_RANGE = re.compile(r"(-?\d+(?:\.\d+)?)\.\.(-?\d+(?:\.\d+)?)(?: step (\d+(?:\.\d+)?))?")


def numeric(name: str, arguments: str) -> Draw:
    if name == "year" and not arguments:
        arguments = "1950..2030"
    if arguments.endswith(_MILLIONS) and name != "digits":
        return _or_millions(numeric(name, arguments.removesuffix(_MILLIONS)))
    matched = _RANGE.fullmatch(arguments)
    if not matched:
        raise GeneratorError(f"{name} needs a range such as 1..500, with an optional `step 5`; it has {arguments!r}")
    low, high, step = matched.groups()
    if float(low) > float(high):
        raise GeneratorError(f"{name} {arguments}: the range is empty")
    if step and float(step) == 0:
        raise GeneratorError(f"{name} {arguments}: a step of nothing")
    if name == "number":
        return _number(float(low), float(high), step)
    if "." in f"{low}{high}{step or ''}":
        raise GeneratorError(f"{name} {arguments}: whole numbers only")
    first, last, by = int(low), int(high), int(step or 1)

    def draw(rng: random.Random) -> Drawn:
        value = first + by * rng.randint(0, (last - first) // by)
        # Round numbers are what people ask for, and a wide range would hardly ever give one.
        if name == "integer" and by == 1 and value >= 1_000 and rng.random() < 0.5:
            scale = 10 ** (len(str(value)) - rng.choice((1, 2)))
            value = max(first, value // scale * scale)
        return Drawn(value, say_integer(value, rng), _digits(value, rng)) if name == "integer" else _plain(value)

    return draw


def _plain(value: int) -> Drawn:
    return Drawn(value, str(value), str(value))


def _digits(value: int, rng: random.Random) -> str:
    return f"{value:,}" if abs(value) >= 1_000 and rng.random() < 0.5 else str(value)


def say_integer(value: int, rng: random.Random) -> str:
    """`value` in digits, with or without separators, in words, or as "3k", "40 thousand" and "2.5 million"."""
    roll = rng.random()
    if value >= 1_000_000 and value % 10_000 == 0 and roll < 0.5:
        return scaled(value, rng)
    if 1_000 <= value < 1_000_000 and value % 1_000 == 0 and roll < 0.15:
        return f"{value // 1_000}{rng.choice(('k', 'k', ' thousand'))}"
    if (abs(value) <= 100 or value % 100 == 0 and value <= 100_000) and roll > 0.82:
        return words(value)
    return _digits(value, rng)


def scaled(value: float, rng: random.Random) -> str:
    """A million or more with its scale: "213 million", "8.5M", "1.2 billion"."""
    power, scales = (1e9, (" billion", " billion", " bn")) if value >= 1e9 else (1e6, (" million", " million", "M"))
    return f"{value / power:.12g}{rng.choice(scales)}"


def _or_millions(draw: Draw) -> Draw:
    """`draw`, and now and then a number in the millions or beyond."""

    def wide(rng: random.Random) -> Drawn:
        if rng.random() >= MILLIONS:
            return draw(rng)
        value = rng.randint(10, 99) * 10 ** rng.choice((5, 5, 5, 6, 6, 7, 8))
        return Drawn(value, say_integer(value, rng), f"{value:,}")

    return wide


@cache
def _numerals() -> RbnfEngine:
    return RbnfEngine.for_language("en")


@lru_cache(4_096)
def words(value: float) -> str:
    """`value` in English words."""
    if value < 0:
        return f"minus {words(-value)}"
    return str(_numerals().format_number(value).text)


def _number(low: float, high: float, step: str | None) -> Draw:
    places = max(len(part.partition(".")[2]) for part in (f"{low:g}", f"{high:g}", step or "0.0"))

    def draw(rng: random.Random) -> Drawn:
        if step:
            value = low + float(step) * rng.randint(0, int((high - low) / float(step) + 1e-9))
        else:
            value = min(high, max(low, round(rng.uniform(low, high), rng.choice((0, places, places, places + 1)))))
        value = round(value, 6) + 0.0  # no minus zero
        text = f"{value:,.6f}" if value >= 1_000 and rng.random() < 0.5 else f"{value:.6f}"
        text = text.rstrip("0").rstrip(".")
        exact: float = int(value) if value == int(value) else value
        said = words(exact) if abs(value) <= 100 and len(text) < 5 and rng.random() < 0.08 else text
        return Drawn(exact, said, text)

    return draw
