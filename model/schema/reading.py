"""Small questions about a schema as declared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from model.errors import SchemaError
from model.schema.keywords import ENFORCED, MODIFIERS, REFUSED


def constraints(node: Mapping[str, Any]) -> set[str]:
    """The keywords of `node` that constrain values."""
    return {key for key in node if key in ENFORCED or key in REFUSED} - MODIFIERS


def options(node: Mapping[str, Any], keyword: str, path: str) -> list[Any]:
    """The branches of a combining keyword. Raises SchemaError where there are none."""
    branches = node[keyword]
    if not isinstance(branches, list) or not branches:
        raise SchemaError(f"{keyword!r} must be a non-empty array of schemas.", f"{path}.{keyword}")
    return branches


def count(node: Mapping[str, Any], keyword: str, path: str) -> int | None:
    """A bound on a length; None where there is none. Raises SchemaError when it is no count."""
    value = node.get(keyword)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value != int(value):
        raise SchemaError(f"{keyword!r} must be a non-negative integer.", f"{path}.{keyword}")
    return int(value)


def any_name(names: Any) -> bool:
    """Whether `propertyNames` says no more than that names are strings, as zod writes it."""
    if not isinstance(names, Mapping):
        return names is True
    return constraints(names) <= {"type"} and names.get("type", "string") == "string"


def requires_one_name(option: Any) -> bool:
    """Whether a branch says nothing but that one property is required."""
    if not isinstance(option, Mapping) or constraints(option) != {"required"}:
        return False
    required = option["required"]
    return isinstance(required, list) and len(required) == 1 and isinstance(required[0], str)


def nested_ids(node: Any, at_root: bool = True) -> Iterator[str]:
    """Identifiers below the root, which would give references below them another base."""
    if isinstance(node, Mapping):
        identifier = node.get("$id")
        if not at_root and isinstance(identifier, str) and not identifier.startswith("#"):
            yield identifier
        for value in node.values():
            yield from nested_ids(value, False)
    elif isinstance(node, list):
        for value in node:
            yield from nested_ids(value, False)
