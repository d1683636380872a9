"""Identifier styles: the same tool as `FindBus`, `find_bus` or `findBus`."""

from __future__ import annotations

import re
from typing import Literal

Style = Literal["pascal", "snake", "camel"]
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def restyle(name: str, style: Style) -> str:
    """`name`, in whatever style it is, rewritten in `style`."""
    words = [word.lower() for word in _WORD.findall(name)]
    if style == "snake":
        return "_".join(words)
    joined = "".join(word.capitalize() for word in words)
    return joined if style == "pascal" else joined[:1].lower() + joined[1:]


def words(name: str) -> list[str]:
    """The lower-case words of an identifier: `maxResults_2` is max, results, 2."""
    return [word.lower() for word in _WORD.findall(name)]
