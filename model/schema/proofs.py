"""Do two JSON Schemas exclude each other? The engine does not ask; `oneOf` depends on it. True only with a proof."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

from model.schema.keywords import COMBINING, OPENING, TYPES

MAX_STEPS = 20_000  # some 10 µs each
_MAX_DEPTH = 8
_OTHERS = ("additionalProperties", "unevaluatedProperties", *OPENING, *COMBINING)


class Prover:
    """Proofs about the branches of one schema, in a bounded number of steps; beyond them nothing is proven.

    Args:
        dereferenced: replaces a bare `$ref` by its target.
    """

    def __init__(self, dereferenced: Callable[[Any], Any] = lambda node: node) -> None:
        self._dereferenced = dereferenced
        self._steps = MAX_STEPS
        self._known: dict[int, tuple[Any, set[str] | None]] = {}  # constants by the id of the node, which is kept alive

    @property
    def exhausted(self) -> bool:
        return self._steps <= 0

    def not_exclusive(
        self, options: Sequence[Any], among: Set[str], closed: bool, tag: str | None = None
    ) -> tuple[int, int] | None:
        """The first two options that may both hold, as far as can be proven; None when there are none.

        The arguments are those of `exclusive`.
        """
        options = [self._dereferenced(option) for option in options]
        if self._told_apart_by_constants(options, among, tag):
            return None
        for j, b in enumerate(options):
            for i, a in enumerate(options[:j]):
                if not self.exclusive(a, b, among, closed, tag):
                    return i, j
        return None

    def _told_apart_by_constants(self, options: Sequence[Any], among: Set[str], tag: str | None) -> bool:
        """Whether each option has constants of its own, as a whole or of one property that all require. In one pass:
        a union may have hundreds of members, and as many pairs as the square of that."""
        members = [option for option in options if isinstance(option, Mapping)]
        if len(members) < len(options):
            return False
        if _disjoint([self._constants(option) for option in members]):
            return True
        if any(_types(option) & among != {"object"} for option in members):
            return False
        extra = {tag} if tag else set()
        names = set.intersection(*[_required(option) | extra for option in members])
        return any(
            _disjoint([self._constants_of(_properties(option).get(name)) for option in members]) for name in names
        )

    def _constants_of(self, node: Any) -> set[str] | None:
        node = self._dereferenced(node)
        return self._constants(node) if isinstance(node, Mapping) else None

    def _constants(self, node: Mapping[str, Any]) -> set[str] | None:
        if id(node) not in self._known:
            self._known[id(node)] = node, _constants(node)
        return self._known[id(node)][1]

    def exclusive(self, a: Any, b: Any, among: Set[str], closed: bool, tag: str | None = None, depth: int = 0) -> bool:
        """Whether no value that the grammar writes for one of two schemas, as declared, is valid under the other.

        Args:
            among: the types that the value may have where both stand.
            closed: whether the grammar closes objects that say nothing of undeclared properties; validators do not.
            tag: a property that the grammar requires of both (`discriminator`).
        """
        self._steps -= 1
        a, b = self._dereferenced(a), self._dereferenced(b)
        if a is False or b is False:
            return True
        if self.exhausted or depth > _MAX_DEPTH or not isinstance(a, Mapping) or not isinstance(b, Mapping):
            return False

        def parts_exclude(x: Any, y: Any) -> bool:
            return self.exclusive(x, y, among, closed, tag, depth + 1)

        for x, y in ((a, b), (b, a)):
            if any(parts_exclude(part, y) for part in _options(x, "allOf")):
                return True
            for keyword in ("anyOf", "oneOf"):
                parts = _options(x, keyword)
                if parts and all(parts_exclude(part, y) for part in parts):
                    return True

        common = _types(a) & _types(b) & among
        if not common:
            return True
        constants_a, constants_b = self._constants(a), self._constants(b)
        if constants_a is not None and constants_b is not None:
            return constants_a.isdisjoint(constants_b)
        if common != {"object"}:
            return False

        properties_a, properties_b = _properties(a), _properties(b)
        extra = {tag} if tag else set()
        required_a, required_b = _required(a) | extra, _required(b) | extra
        self._steps -= len(required_a) + len(required_b)
        for name in (required_a | required_b) & properties_a.keys() & properties_b.keys():
            if self.exclusive(properties_a[name], properties_b[name], set(TYPES), True, None, depth + 1):
                return True
        for required, other, others_properties in ((required_a, b, properties_b), (required_b, a, properties_a)):
            if other.get("additionalProperties") is False and "patternProperties" not in other:
                if required - others_properties.keys():
                    return True
        # Each is written without a property that the other requires.
        if closed and not any(key in node for node in (a, b) for key in _OTHERS):
            if "properties" in a and "properties" in b:
                return bool(
                    required_b - properties_a.keys() - required_a and required_a - properties_b.keys() - required_b
                )
        return False


def _disjoint(sets: Sequence[set[str] | None]) -> bool:
    """Whether all are known, and no two have a member in common."""
    known = [members for members in sets if members is not None]
    return len(known) == len(sets) and len(set().union(*known)) == sum(map(len, known))


def _options(node: Mapping[str, Any], keyword: str) -> list[Any]:
    options = node.get(keyword)
    return options if isinstance(options, list) else []


def _types(node: Mapping[str, Any]) -> set[str]:
    constants = _values(node)
    if constants is not None:
        return {_type_of(value) for value in constants}
    given = node.get("type", "any")
    if given == "any" or not isinstance(given, str | list):
        return set(TYPES)
    names = {given} if isinstance(given, str) else {name for name in given if isinstance(name, str)}
    if node.get("nullable") is True:
        names.add("null")
    if names & {"integer", "number"}:
        names |= {"integer", "number"}
    return names


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    for kind, name in ((int, "number"), (float, "number"), (str, "string"), (list, "array")):
        if isinstance(value, kind):
            return name
    return "object"


def _values(node: Mapping[str, Any]) -> list[Any] | None:
    if "const" in node:
        return [node["const"]]
    return node["enum"] if isinstance(node.get("enum"), list) else None


def _constants(node: Mapping[str, Any]) -> set[str] | None:
    """The values of `enum` or `const` in a form in which equal ones are equal; 1 and 1.0 are."""
    values = _values(node)
    return None if values is None else {json.dumps(_plain(value), sort_keys=True) for value in values}


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _properties(node: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = node.get("properties")
    return properties if isinstance(properties, Mapping) else {}


def _required(node: Mapping[str, Any]) -> set[str]:
    required = node.get("required")
    return {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
