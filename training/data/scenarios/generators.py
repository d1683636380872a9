"""The generators that a scenario may name, and what makes generators of lists and mappings.

A generator is a function of a random generator to a `Drawn`: the JSON value, how it is said, and how it is said next
to a sign or a letter ("$40", "5km").
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from training.data.scenarios.drawn import Draw, Drawn, GeneratorError, as_said
from training.data.scenarios.numerals import numeric
from training.data.scenarios.things import THINGS, code
from training.data.scenarios.times import MONTHS, TIMES

LITERAL = 0.3  # share of lists that are said as a program writes them
REPEATED = 0.3  # share of long lists in which a number may come twice


def one_of(items: Sequence[Any]) -> Draw:
    """One of `items`, said as it is."""
    drawn = [Drawn(item, str(item), str(item)) for item in items]
    return lambda rng: rng.choice(drawn)


def in_words(draw: Draw) -> Draw:
    """An enum's items as words: `in_progress` is said "in progress"."""

    def spoken(rng: random.Random) -> Drawn:
        drawn = draw(rng)
        if drawn.text != drawn.value or not re.fullmatch(r"[A-Za-z]+(_[A-Za-z]+)+", drawn.text):
            return drawn
        text = drawn.text.replace("_", " ")
        return Drawn(drawn.value, text, text)

    return spoken


def by_meaning(ways: Mapping[Any, Any]) -> Draw:
    """One of the keys, said in one of the ways that it maps to."""
    choices = [
        (value, [str(way) for way in (said if isinstance(said, list) else [said])]) for value, said in ways.items()
    ]

    def draw(rng: random.Random) -> Drawn:
        value, said = rng.choice(choices)
        text = rng.choice(said)
        return Drawn(value, text, text)

    return draw


def listed(item: Draw, fewest: int, most: int) -> Draw:
    """Between `fewest` and `most` items, said as a list; only long lists of numbers may hold one twice."""

    def draw(rng: random.Random) -> Drawn:
        wanted = rng.randint(fewest, most)
        again = wanted >= 4 and rng.random() < REPEATED
        drawn: dict[str, Drawn] = {}
        for k in range(8 * wanted):
            one = item(rng)
            if not re.search(r", | and ", one.text):
                drawn.setdefault(f"{k}" if again and _is_number(one) else f"={one.value}", one)
            if len(drawn) == wanted:
                break
        items = list((drawn or {"": one}).values())
        if rng.random() < LITERAL and len(items) > 1:
            text = _literal(items, rng)
        else:
            text = _spoken([d.glued for d in items], rng)
        return Drawn([d.value for d in items], text, text)

    return draw


def _spoken(said: Sequence[str], rng: random.Random) -> str:
    last = rng.choice((" and ", " and ", ", and ", ", ")) if len(said) > 2 else " and "
    return said[0] if len(said) == 1 else ", ".join(said[:-1]) + last + said[-1]


def _literal(items: Sequence[Drawn], rng: random.Random) -> str:
    """As a program writes it, or somebody who pastes from one: `[3, 5]`, `3,5`, `"Rome", "Oslo"`."""
    numbers = all(map(_is_number, items))
    quote = "" if numbers or any(re.search(r"['\"]", d.text) for d in items) else rng.choice(("'", '"', ""))
    said = [f"{d.value}" if numbers else f"{quote}{d.text}{quote}" for d in items]
    around = rng.choice(("[]", "[]", "()", "{}", "", "", "") if numbers else ("[]", "[]", "()", "", ""))
    # "631,668" would be one number.
    apart = any(re.match(r"\d{3}(?!\d)", text) for text in said[1:]) if numbers else not around
    between = "," if rng.random() < 0.3 and not apart else ", "
    if not around and rng.random() < 0.3:
        return " and ".join((between.join(said[:-1]), said[-1]))
    return f"{around[:1]}{between.join(said)}{around[1:]}"


def _is_number(drawn: Drawn) -> bool:
    return isinstance(drawn.value, int | float) and not isinstance(drawn.value, bool)


NAMED: dict[str, Draw] = {
    **TIMES,
    "month": one_of(MONTHS),
    **{name: as_said(make) for name, make in THINGS.items()},
}


@cache
def named(spec: str) -> Draw:
    """The generator that `spec` names, with its arguments: `city`, `integer 1..500`, `code INV-####`; the same one for
    the same words.

    Raises GeneratorError when there is none of that name.
    """
    name, _, arguments = spec.strip().partition(" ")
    if name in ("integer", "number", "digits", "year"):
        return numeric(name, arguments.strip())
    if name == "code" and arguments:
        return as_said(lambda rng: code(arguments.strip(), rng))
    if arguments or name not in NAMED:
        raise GeneratorError(f"no generator {spec!r}")
    return NAMED[name]


def names() -> list[str]:
    return [*NAMED, "integer", "number", "digits", "year", "code"]
