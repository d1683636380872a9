"""Questions about JSON Schemas that the engine does not ask.

Do two exclude each other, has one any finite value, does one refer to itself without end? `exclusive` answers True only
with a proof.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any

from model.schema.keywords import COMBINING, OPENING, TYPES

_MAX_DEPTH = 8
_OTHERS = ("additionalProperties", "unevaluatedProperties", *OPENING, *COMBINING)


def exclusive(
    a: Any,
    b: Any,
    among: Set[str],
    closed: bool,
    tag: str | None = None,
    dereferenced: Callable[[Any], Any] = lambda node: node,
    depth: int = 0,
) -> bool:
    """Whether no value that the grammar writes for one of two schemas, as declared, is valid under the other.

    Args:
        among: the types that the value may have where both stand.
        closed: whether the grammar closes objects that say nothing of undeclared properties; validators do not.
        tag: a property that the grammar requires of both (`discriminator`).
        dereferenced: replaces a bare `$ref` by its target.
    """
    a, b = dereferenced(a), dereferenced(b)
    if a is False or b is False:
        return True
    if depth > _MAX_DEPTH or not isinstance(a, Mapping) or not isinstance(b, Mapping):
        return False

    def parts_exclude(x: Any, y: Any) -> bool:
        return exclusive(x, y, among, closed, tag, dereferenced, depth + 1)

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
    constants_a, constants_b = _constants(a), _constants(b)
    if constants_a is not None and constants_b is not None:
        return constants_a.isdisjoint(constants_b)
    if common != {"object"}:
        return False

    properties_a, properties_b = _properties(a), _properties(b)
    extra = {tag} if tag else set()
    required_a, required_b = _required(a) | extra, _required(b) | extra
    for name in (required_a | required_b) & properties_a.keys() & properties_b.keys():
        if exclusive(properties_a[name], properties_b[name], set(TYPES), True, None, dereferenced, depth + 1):
            return True
    for required, other, others_properties in ((required_a, b, properties_b), (required_b, a, properties_a)):
        if other.get("additionalProperties") is False and "patternProperties" not in other:
            if required - others_properties.keys():
                return True
    # Each is written without a property that the other requires.
    if closed and not any(key in node for node in (a, b) for key in _OTHERS):
        if "properties" in a and "properties" in b:
            return bool(required_b - properties_a.keys() - required_a and required_a - properties_b.keys() - required_b)
    return False


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
    names = {given} if isinstance(given, str) else set(given)
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


def finite_names(definitions: Mapping[str, Any]) -> set[str]:
    """The names of those normalised `$defs` that some finite value satisfies, as far as recursion decides it."""
    known: set[str] = set()
    while True:
        found = {name for name, schema in definitions.items() if name not in known and _is_finite(schema, known)}
        if not found:
            return known
        known |= found


def _is_finite(schema: Any, known: Set[str]) -> bool:
    if schema is False:
        return False
    if "$ref" in schema and schema["$ref"].removeprefix("#/$defs/") not in known:
        return False
    if not all(_is_finite(part, known) for part in schema.get("allOf", ())):
        return False
    if "anyOf" in schema and not any(_is_finite(part, known) for part in schema["anyOf"]):
        return False
    if "enum" in schema or "const" in schema:
        return True
    return all(_is_finite(part, known) for part in _needed(schema))


def _needed(schema: Mapping[str, Any]) -> Iterable[Any]:
    """The parts that every value of `schema` contains."""
    if schema.get("type") == "object":
        others = schema.get("additionalProperties", {})
        return [schema.get("properties", {}).get(name, others) for name in schema.get("required", ())]
    if schema.get("type") == "array" and schema.get("minItems"):
        first = schema.get("prefixItems", [])[: schema["minItems"]]
        return first if len(first) == schema["minItems"] else [*first, schema.get("items", {})]
    return []


def endless_names(definitions: Mapping[str, Any]) -> set[str]:
    """The names of those normalised `$defs` that refer to themselves for the same value: no validator gets anywhere."""
    follows = {name: set(_in_place_references(schema)) for name, schema in definitions.items()}
    for name in follows:  # transitive closure
        for others in follows.values():
            if name in others:
                others |= follows[name]
    return {name for name, others in follows.items() if name in others}


def _in_place_references(schema: Any) -> Iterable[str]:
    if isinstance(schema, Mapping):
        if "$ref" in schema:
            yield schema["$ref"].removeprefix("#/$defs/")
        for keyword in ("allOf", "anyOf"):
            for part in schema.get(keyword, ()):
                yield from _in_place_references(part)
