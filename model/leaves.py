"""The values inside a JSON text, and where in it they are written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

Value = str | Decimal | bool | tuple[()] | None
"""Of a leaf. An empty array and an empty object are the empty tuple."""

_STRING = r'"(?:[^"\\]|\\.)*"'
_TOKEN = re.compile(
    rf"(?P<key>{_STRING})\s*:|(?P<string>{_STRING})|(?P<empty>\{{\s*\}}|\[\s*\])|(?P<open>[{{\[])|(?P<close>[}}\]])"
    r'|(?P<comma>,)|(?P<word>[^"{}\[\],:\s]+)|(?P<unfinished>")',
    re.DOTALL,
)
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


@dataclass(frozen=True)
class Leaf:
    """A string, number, boolean or null, or an empty array or object: `path` is its JSON pointer (RFC 6901).

    Its value is written in `text[start:end]`; of a string, the quotes are left out.
    """

    path: str
    value: Value
    start: int
    end: int


def leaves(text: str, cut: bool = False) -> Iterator[Leaf]:
    """The leaves of a JSON text, in order. One that was `cut` has those that are certainly complete.

    Iterative, and numbers are decimals: neither depth nor length is bounded.
    """
    around: list[tuple[str, int | None]] = []  # open containers: path, and in an array the number of the item
    path = ""  # of the next value
    for match in _TOKEN.finditer(text):
        kind, start, end = match.lastgroup, match.start(), match.end()
        if kind == "unfinished":
            return
        at_end = cut and end == len(text)
        if kind == "key":
            path = f"{around[-1][0]}/{_escaped(json.loads(match['key']))}"
        elif kind == "open":
            array = match[0] == "["
            around.append((path, 0 if array else None))
            path += "/0" if array else ""
        elif kind == "comma":
            above, number = around[-1]
            if number is not None:
                around[-1] = above, number + 1
                path = f"{above}/{number + 1}"
            else:
                path = above
        elif kind == "close":
            path, _ = around.pop()
        elif kind == "empty":
            yield Leaf(path, (), start, end)
        elif kind == "string":
            if at_end and around and around[-1] == (path, None):
                return  # a key without its colon
            yield Leaf(path, json.loads(match[0]), start + 1, end - 1)
        elif not at_end:  # a word or number may go on where the text was cut
            yield Leaf(path, _WORDS[match[0]] if match[0] in _WORDS else _decimal(match[0]), start, end)


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # JSON bounds no exponent
        return Decimal("Infinity")
