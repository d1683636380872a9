"""Parameters that people say together: the two ends of a range, or several numbers in a row."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence

from training.data.sources.naming import words
from training.data.values import Value

RANGE = ("between {a} and {b}", "from {a} to {b}", "between {a} and {b}", "of at least {a} and at most {b}")
PERIOD = ("from {a} to {b}", "between {a} and {b}", "from {a} until {b}", "starting {a} and ending {b}")
WAY = ("from {a} to {b}", "going from {a} to {b}", "from {a} to {b}", "that starts at {a} and ends at {b}")
CHANGE = ("from {a} to {b}", "going from {a} to {b}", "that goes from {a} to {b}")
PAIRS: Mapping[tuple[str, str], Sequence[str]] = {
    ("min", "max"): RANGE,
    ("minimum", "maximum"): RANGE,
    ("lower", "upper"): RANGE,
    ("low", "high"): RANGE,
    ("start", "end"): PERIOD,
    ("begin", "end"): PERIOD,
    ("since", "until"): PERIOD,
    ("from", "to"): WAY,
    ("origin", "destination"): WAY,
    ("source", "destination"): WAY,
    ("source", "target"): WAY,
    ("departure", "arrival"): WAY,
    ("pickup", "dropoff"): WAY,
    ("initial", "final"): CHANGE,
    ("old", "new"): CHANGE,
}
NUMBERS = ("amount", "quantity")
ALIKE = ("for {v}", "of {v}", "with {v}", "{v}", "using {v}")
NAMED_ROW = ("with {p} of {v}", "with {p} being {v}", "{p} {v}", "for {p} {v}", "using {v} as {p}")


def is_one(value: Value) -> bool:
    """Whether it is one value, not the several of calls that are asked for together."""
    return value.value is not None


def find_pair(left: Mapping[str, Value]) -> tuple[str, str] | None:
    """Two of the parameters that are the ends of one thing ("start_date", "end_date"), the first end first."""
    named = [
        (name, words(name)) for name, value in left.items() if value.kind not in ("flag", "list") and is_one(value)
    ]
    for first, these in named:
        for second, those in named:
            differing = [pair for pair in zip(these, those, strict=False) if pair[0] != pair[1]]
            if len(these) == len(those) and len(differing) == 1 and differing[0] in PAIRS:
                return first, second
    return None


def say_pair(first: str, second: str, left: Mapping[str, Value], rng: random.Random) -> str:
    """Both ends: "with price between 5 and 10"."""
    ends = list(zip(words(first), words(second), strict=True))
    templates = next(PAIRS[pair] for pair in ends if pair in PAIRS and pair[0] != pair[1])
    said = rng.choice(templates).format(a=left[first].said, b=left[second].said)
    stem = " ".join(a for a, b in ends if a == b)
    number = left[first].kind in NUMBERS
    return f"{rng.choice(('with ', 'with a ', ''))}{stem} {said}" if stem and number and rng.random() < 0.7 else said


def find_row(left: Mapping[str, Value]) -> list[str]:
    """Two or more numeric parameters, in the order in which they are declared; [] when there are none."""
    row = [name for name, value in left.items() if value.kind in NUMBERS and is_one(value)]
    return row if 2 <= len(row) <= 4 else []


def say_row(row: Sequence[str], left: Mapping[str, Value], rng: random.Random) -> str:
    """The numbers one behind the other: "with sides 3, 4 and 5", "with mass and height of 80 kg and 2 m"."""
    values = enumeration([left[name].said for name in row], rng)
    stems = {re.sub(r"_?\d+$|^[a-z]$", "", name) for name in row}
    if len(stems) == 1:
        stem = " ".join(words(stems.pop()))
        return rng.choice(ALIKE).format(v=f"{stem}s {values}" if stem and rng.random() < 0.5 else values)
    names = enumeration([" ".join(words(name)) or name for name in row], rng)
    said = rng.choice(NAMED_ROW).format(p=names, v=values)
    return f"{said} respectively" if rng.random() < 0.3 and said.endswith(values) else said


def enumeration(said: Sequence[str], rng: random.Random) -> str:
    """ "3, 4 and 5"."""
    last = rng.choice((" and ", " and ", ", and ")) if len(said) > 2 else " and "
    return said[0] if len(said) == 1 else ", ".join(said[:-1]) + last + said[-1]
