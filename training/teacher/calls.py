"""Gemini's function calls as ours: names mapped back, arguments restored, ordered and checked.

They are checked against the schema as the student's grammar has it: a call that the student could not write would teach
it nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import regex
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import best_match
from jsonschema.validators import extend

from model.prompt import dumps
from model.schema import normalise
from model.types import Tool, ToolCall
from training.teacher.declarations import accepted_name

# Whole numbers up to here are told apart by a double.
EXACT = 2**53

# The Python module that Gemini imagines its functions in, and sometimes writes before a function's name.
_NAMESPACE = re.compile(r"default_api[.:]")


class CallReader:
    """Reads the function calls of one request."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._tools = {accepted_name(tool.name): tool for tool in tools}

    def read(self, name: str, args: Mapping[str, Any]) -> ToolCall:
        """The call that is meant by Gemini's `name` and `args`.

        Its numbers may all be floats, members of an enum may be strings, arguments left out may be null, and the order
        is its own. Here whole numbers are integers, members are those that the schema has, nulls that it does not admit
        are absent, and arguments stand in the declared order, in which the student writes them.

        Raises ValueError: one line on why this is no call of the tools.
        """
        tool = self._tools.get(name) or self._tools.get(_NAMESPACE.sub("", name, count=1))
        if tool is None:
            raise ValueError(f"there is no function {name!r}")
        validator = _validator(tool.name, dumps(tool.parameters))
        restored = _restored(dict(args), [validator.schema], validator)
        error = best_match(validator.iter_errors(restored))
        if error is not None:
            where = ".".join(map(str, [tool.name, *error.absolute_path]))
            raise ValueError(f"{where}: {' '.join(error.message.split())[:300]}")
        return ToolCall(tool.name, dumps(restored))


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    # Normalised patterns intersect classes (`&&`), which Python's own `re` cannot.
    if validator.is_type(instance, "string") and not regex.search(pattern, instance, regex.VERSION1):
        yield ValidationError(f"{instance!r} does not match the pattern")


_CallValidator: Any = extend(Draft202012Validator, {"pattern": _pattern})


@lru_cache(maxsize=1024)  # a run reads thousands of calls of the same tools
def _validator(name: str, parameters: str) -> Any:
    return _CallValidator(normalise(json.loads(parameters), name))


def _restored(value: Any, schemas: Sequence[Any], validator: Any) -> Any:
    """`value` as `schemas` mean it, each of which may be what speaks of it."""
    nodes = [node for schema in schemas for node in _in_place(schema, validator.schema)]
    if isinstance(value, float) and value.is_integer() and abs(value) <= EXACT:
        return int(value)
    if isinstance(value, str):
        return _member(value, nodes)
    if isinstance(value, list):
        return [_restored(item, [_item_schema(node, i) for node in nodes], validator) for i, item in enumerate(value)]
    if isinstance(value, dict):
        return _restored_object(value, nodes, validator)
    return value


def _restored_object(value: dict[str, Any], nodes: Sequence[Mapping[str, Any]], validator: Any) -> dict[str, Any]:
    declared = list(dict.fromkeys(name for node in nodes for name in node.get("properties", {})))
    out: dict[str, Any] = {}
    for name in [*(name for name in declared if name in value), *(name for name in value if name not in declared)]:
        schemas = [_member_schema(node, name) for node in nodes]
        admits_null = any(isinstance(s, Mapping) and validator.evolve(schema=s).is_valid(None) for s in schemas)
        if value[name] is not None or admits_null or name not in declared:
            out[name] = _restored(value[name], schemas, validator)
    return out


def _member(value: str, nodes: Sequence[Mapping[str, Any]]) -> Any:
    """`value`, or the number or boolean of an enum that it is the text of."""
    members = [
        member for node in nodes for member in (*node.get("enum", ()), *([node["const"]] if "const" in node else ()))
    ]
    texts = {dumps(member): member for member in members if isinstance(member, bool | int | float)}
    return texts.get(value, value) if value not in members else value


def _in_place(schema: Any, root: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """`schema` and those within it that speak of the same value. In a normal form, these are all."""
    if not isinstance(schema, Mapping):
        return
    yield schema
    if "$ref" in schema:
        yield from _in_place(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root)
    for branch in (*schema.get("allOf", ()), *schema.get("anyOf", ())):
        yield from _in_place(branch, root)


def _member_schema(node: Mapping[str, Any], name: str) -> Any:
    return node.get("properties", {}).get(name, node.get("additionalProperties"))


def _item_schema(node: Mapping[str, Any], index: int) -> Any:
    first = node.get("prefixItems", ())
    return first[index] if index < len(first) else node.get("items")
