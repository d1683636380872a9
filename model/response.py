"""The schema of a JSON answer as a tool: the engine fills it like one, and its arguments are the answer.

A tool's arguments are an object. Where the answer cannot be one (a list, a number), it is the only property of one, and
what is around it is not part of the answer. The property has the schema's name, because it tells the model what to look
for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from model.prompt import dumps
from model.schema.keywords import ANNOTATIONS, ARRAY, COMBINING, LITERAL, NUMBER, OBJECT, REFUSED, STRING
from model.types import JSONSchema, Tool

PARAM = "response"
PARAMETERS = f"{PARAM}.parameters"
_DEFINITIONS = (".$defs", ".definitions")
MAX_STEPS = 64  # through references and branches, to tell whether an object is among the answers

_NAMES = {"propertyNames": {"pattern": "^.{1,32}$"}}
_SCALARS: list[JSONSchema] = [
    {"type": "string", "maxLength": 100},
    {"type": "number"},
    {"type": "boolean"},
    {"type": "null"},
]
_VALUES: list[JSONSchema] = [
    *_SCALARS,
    {"type": "array", "items": {"anyOf": _SCALARS}, "maxItems": 16},
    {"type": "object", "additionalProperties": {"anyOf": _SCALARS}, "maxProperties": 8, **_NAMES},
]
ANY_OBJECT: JSONSchema = {
    "type": "object",
    "additionalProperties": {"anyOf": _VALUES},
    "maxProperties": 12,
    **_NAMES,
}
"""What is written where any object will do. It has bounds because a small model does not always find an end by itself:
without them, 2 of 27 texts went on until their budget was spent."""


@dataclass(frozen=True)
class Response:
    """`tool` poses for the answer; `wrapper` is the parameter that holds an answer that is no object, else None.

    `moved` is where the root was that now is the tool's, as a path from `PARAMETERS` on.
    """

    tool: Tool
    wrapper: str | None = None
    moved: str = ""

    @property
    def before(self) -> bytes:
        """What is written before the answer; behind it, there is one brace if there is anything before it."""
        return b"" if self.wrapper is None else f"{{{dumps(self.wrapper)}:".encode()

    def asked(self, param: str | None) -> str | None:
        """A path in the parameters of `tool` as a path in the schema that was asked for."""
        if param is None:
            return None
        if self.wrapper is None:
            inside = param.removeprefix(PARAMETERS)
            return param if inside.startswith(_DEFINITIONS) else f"{PARAMETERS}{self.moved}{inside}"
        inside = f"{PARAMETERS}.properties.{self.wrapper}"
        return PARAMETERS + param.removeprefix(inside if param.startswith(inside) else PARAMETERS)


def read_response(asked: Tool) -> Response:
    """The tool that stands for what a request asks for in `response`.

    An object without any constraint means any object, not one without properties, as it does of a tool; what is written
    is an `ANY_OBJECT`. A schema that admits objects beside other values is narrowed to objects.
    """
    schema = asked.parameters
    if not _admits_objects(schema, schema, [MAX_STEPS]):
        name = re.sub(r"[^\w-]", "_", asked.name) or PARAM
        return Response(replace(asked, parameters=_wrapped(schema, name)), name)
    schema, moved = _dereferenced(schema)
    constraints = {key for key in (*OBJECT, *COMBINING, *LITERAL, *REFUSED) if key in schema}
    if not constraints or (constraints == {"additionalProperties"} and schema["additionalProperties"] in (True, {})):
        described = {key: value for key, value in schema.items() if key in ANNOTATIONS}
        return Response(replace(asked, parameters={**described, **ANY_OBJECT}))
    return Response(replace(asked, parameters=schema), moved=moved)


def _dereferenced(schema: JSONSchema) -> tuple[JSONSchema, str]:
    """A schema that only refers to one of its definitions, with that in its place, and the path that it comes from.

    Libraries write recursive models so. The properties must be at the root for the model to read them.
    """
    definitions = {key: value for key, value in schema.items() if key in ("$defs", "definitions")}
    moved = ""
    for _ in range(MAX_STEPS):
        reference = schema.get("$ref")
        others = schema.keys() - {"$ref", "type", *definitions} - ANNOTATIONS
        if others or not isinstance(reference, str) or not reference.startswith(("#/$defs/", "#/definitions/")):
            break
        target = _target(reference, definitions)
        if not isinstance(target, Mapping):
            break
        schema, moved = {**target, **definitions}, reference[1:].replace("/", ".")
    return schema, moved


def _admits_objects(schema: Any, root: JSONSchema, steps: list[int]) -> bool:
    """Whether an object can be a value of `schema`, as far as can be told cheaply: in doubt, yes."""
    steps[0] -= 1
    if not isinstance(schema, Mapping) or steps[0] < 0:
        return True
    types = schema.get("type")
    if types is not None and types not in ("object", "any") and not (isinstance(types, list) and "object" in types):
        return False
    if "const" in schema and not isinstance(schema["const"], Mapping):
        return False
    if isinstance(schema.get("enum"), list) and not any(isinstance(value, Mapping) for value in schema["enum"]):
        return False
    if isinstance(reference := schema.get("$ref"), str) and not _admits_objects(_target(reference, root), root, steps):
        return False
    for keyword, enough in (("allOf", all), ("anyOf", any), ("oneOf", any)):
        options = schema.get(keyword)
        if isinstance(options, list) and options and not enough(_admits_objects(o, root, steps) for o in options):
            return False
    # Without a type, keywords of one type mean that type; see `model.schema.normalise`.
    implied = types is None and not any(key in schema for key in (*COMBINING, *LITERAL)) and OBJECT.isdisjoint(schema)
    return not (implied and any(not keywords.isdisjoint(schema) for keywords in (ARRAY, STRING, NUMBER)))


def _target(reference: str, root: JSONSchema) -> Any:
    """What a local reference points to; None when it points nowhere, which is for others to refuse."""
    target: Any = root
    for part in reference.split("/")[1:]:
        target = target.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(target, Mapping) else None
    return target


def _wrapped(schema: JSONSchema, name: str) -> dict[str, Any]:
    # A nested $id would rebase the references inside.
    inner = {key: value for key, value in schema.items() if key not in ("$id", "id", "$schema")}
    return {
        "type": "object",
        "properties": {name: _moved(inner, f"#/properties/{name}")},
        "required": [name],
        "additionalProperties": False,
    }


def _moved(schema: Any, root: str) -> Any:
    """`schema` with its references led to where its root now is."""
    if isinstance(schema, list):
        return [_moved(part, root) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    moved = {}
    for key, value in schema.items():
        if key == "$ref" and isinstance(value, str) and value.startswith("#"):
            moved[key] = root + value[1:]
        else:
            # Values are data, not schemas, and may have a key "$ref" of their own.
            moved[key] = value if key in LITERAL or key in ANNOTATIONS else _moved(value, root)
    return moved
