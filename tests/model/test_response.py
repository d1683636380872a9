"""A response's schema as a tool: objects as they are, everything else as the only property of one."""

from __future__ import annotations

from typing import Any

import pytest

from model.response import ANY_OBJECT, read_response
from model.schema import normalise
from model.types import Tool

OBJECT: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
LIST: dict[str, Any] = {"type": "array", "items": {"type": "string"}}


@pytest.mark.parametrize(
    "schema",
    [
        OBJECT,
        {"properties": {"a": {}}},
        {"type": ["object", "null"], "properties": {}},
        {"anyOf": [OBJECT, LIST]},
        {"oneOf": [OBJECT]},
        {"anyOf": [LIST, {"$ref": "#/$defs/x"}], "$defs": {"x": OBJECT}},
        {"allOf": [{"$ref": "#/$defs/x"}], "$defs": {"x": OBJECT}},
        {"$ref": "#"},  # refused later on, where it is
        {"$ref": "#/nowhere"},
        {"enum": [{"a": 1}, 2]},
        {"const": {}},
        {"allOf": [OBJECT, {"properties": {"b": {}}}]},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "object", "properties": {}},
    ],
)
def test_what_can_be_an_object_is_left_as_it_is(schema: dict[str, Any]) -> None:
    asked = Tool("x", "Text.", schema)
    response = read_response(asked)
    assert (response.tool, response.wrapper, response.before) == (asked, None, b"")
    assert response.asked("response.parameters.properties.a") == "response.parameters.properties.a"


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"type": "any"},
        {"title": "x", "description": "y"},
        {"type": "object", "additionalProperties": True},
        {"additionalProperties": {}},
    ],
)
def test_without_constraints_any_object_is_right(schema: dict[str, Any]) -> None:
    response = read_response(Tool("x", "", schema))
    annotations = {key: schema[key] for key in ("title", "description") if key in schema}
    assert (response.tool.parameters, response.wrapper) == ({**annotations, **ANY_OBJECT}, None)
    normalise(response.tool.parameters, "response.parameters")


def test_no_properties_are_none() -> None:
    for schema in ({"type": "object", "properties": {}}, {"additionalProperties": False}):
        assert read_response(Tool("x", "", schema)).tool.parameters == schema


@pytest.mark.parametrize(
    "schema",
    [
        LIST,
        {"items": {}},
        {"minimum": 3},
        {"pattern": "^a"},
        {"type": "string"},
        {"type": ["string", "null"]},
        {"enum": ["a", "b"]},
        {"const": 3},
        {"anyOf": [LIST, {"type": "null"}]},
        {"allOf": [OBJECT, LIST]},
        {"$ref": "#/$defs/x", "$defs": {"x": LIST}},
    ],
)
def test_what_cannot_is_a_property_of_one(schema: dict[str, Any]) -> None:
    response = read_response(Tool("all-cities", "", schema))
    assert response.wrapper == "all-cities"
    assert response.before == b'{"all-cities":'
    assert response.tool.parameters["required"] == ["all-cities"]
    if schema != {"allOf": [OBJECT, LIST]}:
        normalise(response.tool.parameters, "response.parameters")


def test_the_property_is_written_as_it_is_forced() -> None:
    assert read_response(Tool('a"b.c\n', "", LIST)).before == b'{"a_b_c_":'
    assert read_response(Tool("", "", LIST)).before == b'{"response":'


def test_references_follow_their_schema() -> None:
    schema = {
        "$id": "https://example.com/list",
        "type": "array",
        "items": {"$ref": "#/$defs/node"},
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"next": {"$ref": "#"}, "$ref": {"type": "string"}, "kind": {"const": {"$ref": "#/x"}}},
                "default": {"$ref": "#/y"},
            }
        },
    }
    parameters = read_response(Tool("nodes", "", schema)).tool.parameters
    inner = parameters["properties"]["nodes"]
    assert "$id" not in inner
    assert inner["items"] == {"$ref": "#/properties/nodes/$defs/node"}
    node = inner["$defs"]["node"]
    assert node["properties"]["next"] == {"$ref": "#/properties/nodes"}
    assert node["properties"]["$ref"] == {"type": "string"}  # a property of that name
    assert node["properties"]["kind"] == {"const": {"$ref": "#/x"}}  # data
    assert node["default"] == {"$ref": "#/y"}
    normalise(parameters, "response.parameters")


def test_paths_are_those_of_the_schema_that_was_asked_for() -> None:
    response = read_response(Tool("list", "", LIST))
    for given, asked in {
        "response.parameters.properties.list.items.pattern": "response.parameters.items.pattern",
        "response.parameters.properties.list": "response.parameters",
        "response.parameters": "response.parameters",
    }.items():
        assert response.asked(given) == asked
    assert response.asked(None) is None


def test_a_root_that_only_refers_is_read_in_its_place() -> None:
    node = {"type": "object", "properties": {"value": {"type": "integer"}, "next": {"$ref": "#/$defs/Node"}}}
    schema = {"title": "List", "$ref": "#/$defs/Alias", "$defs": {"Alias": {"$ref": "#/$defs/Node"}, "Node": node}}
    response = read_response(Tool("list", "", schema))
    assert response.tool.parameters == {**node, "$defs": schema["$defs"]}
    assert response.wrapper is None
    normalise(response.tool.parameters, "response.parameters")
    for given, asked in {
        "response.parameters.properties.value": "response.parameters.$defs.Node.properties.value",
        "response.parameters.$defs.Node.properties.next": "response.parameters.$defs.Node.properties.next",
        "response.parameters": "response.parameters.$defs.Node",
    }.items():
        assert response.asked(given) == asked


def test_a_root_that_says_more_than_a_reference_stays() -> None:
    for more in ({"required": ["a"]}, {"minProperties": 1}, {"properties": {"b": {}}}):
        schema = {"$ref": "#/$defs/x", "$defs": {"x": OBJECT}, **more}
        assert read_response(Tool("x", "", schema)).tool.parameters == schema


def test_branches_without_end_are_given_up() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(200):
        schema = {"anyOf": [schema, {"type": "string"}]}
    read_response(Tool("x", "", schema))
    loop = {"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}}}
    assert read_response(Tool("x", "", loop)).wrapper is None
    circle = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}
    assert read_response(Tool("x", "", circle)).wrapper is None
