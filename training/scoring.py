"""When a call counts as right. Strings are compared without case, spaces and punctuation, as BFCL does."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

_IGNORED = re.compile(r"[ ,./\-_*^'\"]")
G = TypeVar("G")
C = TypeVar("C")


def same_text(a: str, b: str) -> bool:
    """Whether two strings are equal but for case, spaces and punctuation (`standardize_string` of BFCL)."""
    return _IGNORED.sub("", a).lower() == _IGNORED.sub("", b).lower()


def same_value(a: Any, b: Any) -> bool:
    """Whether two JSON values are equal, strings by `same_text`, numbers by value; true is not 1."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, str) and isinstance(b, str):
        return same_text(a, b)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same_value, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same_value(a[k], b[k]) for k in a)
    return bool(a == b)


def accepted(arguments: dict[str, Any], answer: dict[str, list[Any]]) -> bool:
    """BFCL: every argument is among its accepted values, and what is left out may be ("" is among them)."""
    if not arguments.keys() <= answer.keys():
        return False
    for name, values in answer.items():
        if name not in arguments:
            if "" not in values:
                return False
        elif not any(_accepted_value(arguments[name], v) for v in values):
            return False
    return True


def _accepted_value(value: Any, accepted_value: Any) -> bool:
    """In BFCL a dictionary's values are lists of accepted values again, and so are those of dictionaries in a list."""
    if isinstance(accepted_value, dict) and isinstance(value, dict):
        return accepted(value, accepted_value)
    if isinstance(accepted_value, list) and isinstance(value, list):
        return len(value) == len(accepted_value) and all(map(_accepted_value, value, accepted_value))
    return same_value(value, accepted_value)


def matched(gold: Sequence[G], calls: Sequence[C], fits: Callable[[G, C], bool]) -> bool:
    """Whether calls and gold calls pair up one to one, in any order. Tries all pairings: calls are few."""
    if len(gold) != len(calls):
        return False
    return not gold or any(
        fits(gold[0], call) and matched(gold[1:], [*calls[:i], *calls[i + 1 :]], fits) for i, call in enumerate(calls)
    )
