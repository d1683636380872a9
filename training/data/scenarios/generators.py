"""The generators that a scenario may name, and what makes generators of lists and mappings.

A generator is a function of a random generator to a `Drawn`: the JSON value, how it is said, and how it is said next
to a sign or a letter ("$40", "5km").
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from training.data.scenarios.drawn import Draw, Drawn, GeneratorError, as_said
from training.data.scenarios.numerals import numeric
from training.data.scenarios.things import THINGS, code
from training.data.scenarios.times import MONTHS, TIMES


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
    """Between `fewest` and `most` different items, said as a list."""

    def draw(rng: random.Random) -> Drawn:
        wanted = rng.randint(fewest, most)
        drawn: dict[str, Drawn] = {}
        for _ in range(8 * wanted):
            one = item(rng)
            if not re.search(r", | and ", one.text):
                drawn.setdefault(str(one.value), one)
            if len(drawn) == wanted:
                break
        drawn = drawn or {"": one}
        said = [d.glued for d in drawn.values()]
        last = rng.choice((" and ", " and ", ", and ", ", ")) if len(said) > 2 else " and "
        text = said[0] if len(said) == 1 else ", ".join(said[:-1]) + last + said[-1]
        return Drawn([d.value for d in drawn.values()], text, text)

    return draw


NAMED: dict[str, Draw] = {
    **TIMES,
    "month": one_of(MONTHS),
    **{name: as_said(make) for name, make in THINGS.items()},
}


def named(spec: str) -> Draw:
    """The generator that `spec` names, with its arguments: `city`, `integer 1..500`, `code INV-####`.

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
