"""When a call counts as right: exactly the annotated arguments, or what the Berkeley leaderboard's AST checker accepts.

`tests/data/bfcl_verdicts.json` holds verdicts of the official checker that `Accepted` must agree with, its oddities
included.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

_IGNORED = re.compile(r"[ ,./\-_*^]")
_PYTHON_TYPES: dict[str, type] = {
    "string": str,
    "any": str,
    "integer": int,
    "float": float,
    "boolean": bool,
    "array": list,
    "tuple": list,
    "dict": dict,
}
G = TypeVar("G")
C = TypeVar("C")
Made = tuple[str, Mapping[str, Any]]  # a call that was made: its name and arguments


@dataclass(frozen=True)
class Fault:
    """What is wrong with one argument of a call."""

    kind: Literal["missing", "extra", "wrong"]
    argument: str


class Gold(Protocol):
    """A call that is due: `faults` is empty for the arguments that count as right."""

    @property
    def name(self) -> str: ...

    @property
    def arguments(self) -> Mapping[str, Any]: ...

    def faults(self, arguments: Mapping[str, Any]) -> list[Fault]: ...


@dataclass(frozen=True)
class Annotated:
    """A call with one right value for each argument, and none that may be left out or added."""

    name: str
    arguments: Mapping[str, Any]

    def faults(self, arguments: Mapping[str, Any]) -> list[Fault]:
        """Missing arguments, then those of the call that are extra or wrong."""
        found = [Fault("missing", name) for name in self.arguments if name not in arguments]
        for name, value in arguments.items():
            if name not in self.arguments:
                found.append(Fault("extra", name))
            elif not same_value(self.arguments[name], value):
                found.append(Fault("wrong", name))
        return found


@dataclass(frozen=True)
class Accepted:
    """A call of BFCL. `arguments` lists the accepted values of each; "" among them means that it may be left out.

    `properties` and `required` are of the function's declaration, in BFCL's dialect of JSON Schema.
    """

    name: str
    arguments: Mapping[str, Sequence[Any]]
    properties: Mapping[str, Mapping[str, Any]]
    required: Sequence[str]

    def faults(self, arguments: Mapping[str, Any]) -> list[Fault]:
        """Missing arguments, then those of the call that are extra or wrong; none when the leaderboard accepts it."""
        due = dict.fromkeys([*self.required, *(n for n, values in self.arguments.items() if "" not in values)])
        found = [Fault("missing", name) for name in due if name not in arguments]
        for name, value in arguments.items():
            if name not in self.arguments or name not in self.properties:
                found.append(Fault("extra", name))
            elif not _accepted(value, self.arguments[name], self.properties[name]):
                found.append(Fault("wrong", name))
        return found


def same_text(a: str, b: str) -> bool:
    """Whether two strings are equal but for case, spaces, some punctuation, and the kind of quote, as BFCL has it."""
    return _plain(a) == _plain(b)


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


def right(gold: Sequence[Gold], calls: Sequence[Made]) -> bool:
    """Whether `calls` are the gold calls, in any order."""
    return matched(gold, calls, lambda g, call: g.name == call[0] and not g.faults(call[1]))


def matched(gold: Sequence[G], calls: Sequence[C], fits: Callable[[G, C], bool]) -> bool:
    """Whether calls and gold calls pair up one to one, in any order.

    Each gold call takes the first call left that fits, as on the leaderboard: a pairing that would need looking further
    is not found.
    """
    left = list(calls)
    for g in gold:
        taken = next((i for i, call in enumerate(left) if fits(g, call)), None)
        if taken is None:
            return False
        del left[taken]
    return not left


def _accepted(value: Any, answers: Sequence[Any], schema: Mapping[str, Any]) -> bool:
    """Whether BFCL accepts `value`, by type and then by value.

    An answer of another type than the declared one counts as the name of a variable there: a value of the answer's type
    passes too, and both are compared as they are, strings with case and spaces.
    """
    declared = _PYTHON_TYPES[schema["type"]]
    if schema["type"] == "float" and type(value) is int:
        value = float(str(value))  # through text, from which a huge number becomes infinity instead of an error
    inner = _PYTHON_TYPES[schema["items"]["type"]] if declared is list else None
    given, answered = type(value), _type_of(answers)
    if given is not declared:
        return given is answered and value in answers
    # An answer that is no list, such as "", lets any items pass.
    if inner and not any(not isinstance(a, list) or _items_typed(value, a, inner) for a in answers):
        return False
    if answered not in (None, declared):
        return value in answers
    if declared is str:
        return _plain(value) in [_plain(a) for a in answers if isinstance(a, str)]
    if declared is dict:
        return any(_accepted_dict(value, a) for a in answers)
    if inner is dict:
        return any(len(value) == len(a) and all(map(_accepted_dict, value, a)) for a in answers)
    if inner:
        return _plain_items(value) in [_plain_items(a) for a in answers]
    return value in answers


def _items_typed(items: Sequence[Any], answer: Sequence[Any], declared: type) -> bool:
    """Every item has the declared type, or that of the answer's first one. An integer is no float here."""
    return all(type(item) in (declared, _type_of(answer)) for item in items)


def _accepted_dict(value: Any, answer: Any) -> bool:
    """In BFCL a dictionary's values are lists of accepted values again. Deeper ones are compared as they are."""
    if not isinstance(value, dict) or not isinstance(answer, dict) or not value.keys() <= answer.keys():
        return False
    return all(
        _plain(value[key]) in _plain_items(accepted) if key in value else "" in accepted
        for key, accepted in answer.items()
    )


def _type_of(answers: Sequence[Any]) -> type | None:
    return next((type(a) for a in answers if a != ""), None)


def _plain(value: Any) -> Any:
    """A string as it is compared; anything else unchanged."""
    return _IGNORED.sub("", value).lower().replace("'", '"') if isinstance(value, str) else value


def _plain_items(values: Sequence[Any]) -> list[Any]:
    return [_plain(v) for v in values]
