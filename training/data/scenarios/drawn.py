"""What a generator draws, and what it is: the types that all of them share."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class GeneratorError(ValueError):
    """A `values` that names no generator, or gives it the wrong arguments."""


@dataclass(frozen=True)
class Drawn:
    """A JSON value and two ways of saying it; see `phrasing.Said`."""

    value: Any
    text: str
    glued: str


Draw = Callable[[random.Random], Drawn]
Make = Callable[[random.Random], str]


def as_said(make: Make) -> Draw:
    """A generator of strings that are said as they are."""

    def draw(rng: random.Random) -> Drawn:
        text = make(rng)
        return Drawn(text, text, text)

    return draw
