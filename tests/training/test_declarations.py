"""Tools as Gemini's function declarations: what carries over, and the report of what does not."""

from __future__ import annotations

from typing import Any

import pytest
from google.genai import types

from model.errors import SchemaError
from model.types import Tool
from training.teacher.declarations import MAX_NODES, accepted_name, declare, losses

# What google-genai documents as heeded (`GenerateContentConfig.response_json_schema`).
HEEDED = set(
    "$defs $ref type format title description enum items prefixItems minItems maxItems minimum maximum anyOf oneOf "
    "properties additionalProperties required".split()
)


def tool(required: tuple[str, ...] = (), /, **properties: Any) -> Tool:
    return Tool("book", "Book it.", {"type": "object", "properties": properties, "required": list(required)})


def declared(value: Tool) -> Any:
    return declare(value).parameters_json_schema


def member(schema: Any) -> Any:
    """How Gemini gets the schema of one parameter."""
    return declared(tool(x=schema))["properties"]["x"]


def lost(schema: Any) -> list[str]:
    return [str(loss) for loss in losses([tool(x=schema)])]


def keywords(schema: Any) -> set[str]:
    """All keywords in a schema, at any depth."""
    found: set[str] = set()
    if isinstance(schema, dict):
        found |= schema.keys()
        for keyword, value in schema.items():
            members = value.values() if keyword in ("properties", "$defs") else [value]
            for each in members:
                found |= keywords(each)
    elif isinstance(schema, list):
        for each in schema:
            found |= keywords(each)
    return found


def test_a_plain_tool_carries_over_whole() -> None:
    parameters = {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "City."},
            "days": {"type": "integer", "minimum": 1, "maximum": 14},
            "units": {"type": "string", "enum": ["metric", "imperial"]},
            "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 3},
            "at": {"type": "string", "format": "date-time"},
            "where": {
                "type": "object",
                "properties": {"lat": {"type": "number"}, "lon": {"type": "number"}},
                "required": ["lat", "lon"],
                "additionalProperties": False,
            },
        },
        "required": ["city"],
    }
    value = Tool("get_weather", "Weather of a city.", parameters)
    assert declare(value) == types.FunctionDeclaration(
        name="get_weather", description="Weather of a city.", parameters_json_schema=parameters
    )
    assert losses([value]) == []


def test_a_tool_without_parameters_has_none_and_one_without_description_its_name() -> None:
    function = declare(Tool("stop", "", {"type": "object", "properties": {}, "additionalProperties": False}))
    assert function.parameters_json_schema is None
    assert function.description == "stop"


def test_what_gemini_does_not_heed_is_said_and_reported() -> None:
    code = {"type": "string", "pattern": "^[A-Z]{3}$", "description": "Airport.", "minLength": 3, "default": "CDG"}
    assert member(code) == {
        "type": "string",
        "description": 'Airport. (matches the regular expression ^[A-Z]{3}$; at least 3 characters; by default "CDG")',
    }
    assert lost(code) == [
        "book: parameters.x: pattern is passed on in words",
        "book: parameters.x: minLength is passed on in words",
    ]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "number", "exclusiveMinimum": 0}, "greater than 0"),
        ({"type": "number", "multipleOf": 0.5}, "a multiple of 0.5"),
        ({"type": "string", "maxLength": 9}, "at most 9 characters"),
        ({"type": "string", "format": "email"}, "format email"),
        ({"type": "boolean", "const": True}, "one of [true]"),
        ({"type": "array", "items": {"type": "string"}, "maxItems": 1, "uniqueItems": True}, "no item twice"),
        ({"type": "object", "properties": {"a": {}, "b": {}}, "minProperties": 1}, "at least 1 properties"),
    ],
)
def test_constraints_in_words(schema: Any, words: str) -> None:
    assert member(schema)["description"] == f"({words})"
    assert [line.endswith("passed on in words") for line in lost(schema)] == [True]


def test_nothing_outside_what_is_heeded_is_sent() -> None:
    schema = {
        "type": "object",
        "$id": "https://example.org/x",
        "properties": {
            "a": {"type": "string", "pattern": "a", "examples": ["a"], "deprecated": True, "format": "uuid"},
            "b": {"type": "object", "patternProperties": {"^x-": {"type": "string"}}},
            "c": {"allOf": [{"$ref": "#/definitions/C"}], "description": "See."},
            "d": {"type": ["number", "null"], "exclusiveMaximum": 5, "multipleOf": 2, "readOnly": True},
            "e": {"const": "one"},
            "f": {"type": "integer", "nullable": True},
            "g": {"type": "array", "items": [{"type": "string"}, {"type": "integer"}], "additionalItems": False},
        },
        "definitions": {"C": {"type": "string", "minLength": 1, "x-order": 3}},
    }
    value = Tool("all", "", schema)
    assert keywords(declared(value)) <= HEEDED
    assert [str(loss) for loss in losses([value])] == [
        "all: parameters.a: format is passed on in words",
        "all: parameters.a: pattern is passed on in words",
        "all: parameters.b: patternProperties is not passed on",
        "all: parameters.c: minLength is passed on in words",
        "all: parameters.d: exclusiveMaximum is passed on in words",
        "all: parameters.d: multipleOf is passed on in words",
    ]


def test_exclusive_bounds_of_integers_are_inclusive_ones() -> None:
    assert member({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 10}) == {
        "type": "integer",
        "minimum": 1,
        "maximum": 9,
    }
    assert member({"type": "integer", "minimum": 5, "exclusiveMinimum": 0})["minimum"] == 5
    assert member({"type": "integer", "minimum": 0, "exclusiveMinimum": True})["minimum"] == 1  # draft 4
    assert lost({"type": "integer", "exclusiveMinimum": 0}) == []


def test_literals() -> None:
    assert member({"enum": [10, 20, 30]}) == {"type": "integer", "enum": [10, 20, 30]}
    assert member({"enum": [1, 2.5]}) == {"type": "number", "enum": [1, 2.5]}
    assert member({"enum": ["a", "b", None]}) == {"type": ["string", "null"], "enum": ["a", "b"]}
    assert member({"type": "string", "enum": ["a"], "nullable": True}) == {"type": ["string", "null"], "enum": ["a"]}
    assert member({"const": "on"}) == {"type": "string", "enum": ["on"]}
    assert member({"const": None}) == {"type": "null"}
    assert member({"enum": ["auto", 1]}) == {"type": ["integer", "string"], "description": '(one of ["auto",1])'}


def test_types_and_alternatives() -> None:
    assert member({"type": "any"}) == {}
    assert member(True) == {}
    assert member({"type": ["integer", "null"]}) == {"type": ["integer", "null"]}
    assert member({"anyOf": [{"type": "string"}, {"type": "integer", "exclusiveMinimum": 0}]}) == {
        "anyOf": [{"type": "string"}, {"type": "integer", "minimum": 1}]
    }
    assert lost({"anyOf": [{"type": "string", "pattern": "^a"}, {"type": "null"}]}) == [
        "book: parameters.x.anyOf[0]: pattern is passed on in words"
    ]
    assert lost({"type": "array", "items": {"type": "string", "pattern": "^a"}}) == [
        "book: parameters.x[]: pattern is passed on in words"
    ]


def test_references_are_replaced_by_what_they_refer_to() -> None:
    value = Tool(
        "send",
        "",
        {
            "type": "object",
            "properties": {
                "from": {"$ref": "#/$defs/Place", "description": "Where it starts."},
                "to": {"$ref": "#/$defs/Place"},
            },
            "$defs": {
                "Place": {"type": "object", "description": "A place.", "properties": {"zip": {"$ref": "#/$defs/Zip"}}},
                "Zip": {"type": "string", "title": "Zip"},
            },
        },
    )
    place = {"type": "object", "properties": {"zip": {"type": "string", "title": "Zip"}}}
    assert declared(value) == {
        "type": "object",
        "properties": {
            "from": {**place, "description": "Where it starts."},
            "to": {**place, "description": "A place."},
        },
    }
    assert losses([value]) == []


def test_a_recursive_reference_stays_one_and_loses_what_stands_beside_it() -> None:
    value = Tool(
        "grow",
        "",
        {
            "type": "object",
            "properties": {"tree": {"$ref": "#/$defs/Tree"}},
            "$defs": {
                "Tree": {
                    "type": "object",
                    "properties": {
                        "label": {"type": "string"},
                        "left": {"$ref": "#/$defs/Tree", "description": "Smaller.", "deprecated": True},
                    },
                }
            },
        },
    )
    tree = {"type": "object", "properties": {"label": {"type": "string"}, "left": {"$ref": "#/$defs/Tree_0"}}}
    assert declared(value) == {"type": "object", "properties": {"tree": tree}, "$defs": {"Tree_0": tree}}
    assert [str(loss) for loss in losses([value])] == [
        "grow: parameters.tree.left: description is not passed on",
        "grow: $defs.Tree.left: description is not passed on",
    ]


def test_all_of_is_merged() -> None:
    schema = {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"type": "object", "properties": {"b": {"type": "integer"}}, "required": ["b"]},
        ]
    }
    assert member(schema) == {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    }
    both = {"allOf": [{"type": "integer", "minimum": 1}, {"type": "integer", "minimum": 5}]}
    assert lost(both) == ["book: parameters.x: minimum is not passed on"]


def test_references_that_multiply_do_not_blow_up() -> None:
    definitions: dict[str, Any] = {
        f"d{i}": {"type": "object", "properties": {name: {"$ref": f"#/$defs/d{i + 1}"} for name in "abcd"}}
        for i in range(12)
    }
    definitions["d12"] = {"type": "string"}
    value = Tool("deep", "", {"type": "object", "properties": {"x": {"$ref": "#/$defs/d0"}}, "$defs": definitions})
    schema = declared(value)
    assert str(schema).count("'type'") < 3 * MAX_NODES
    assert schema["$defs"]


@pytest.mark.parametrize("name", ["get_weather", "a.b-c", "_x", "x" * 64])
def test_names_that_gemini_takes_are_kept(name: str) -> None:
    assert accepted_name(name) == name


@pytest.mark.parametrize("name", ["2nd", "get weather", "wetter_für", "x" * 65, "a/b", "-x", ""])
def test_other_names_become_ones_that_it_takes(name: str) -> None:
    mapped = accepted_name(name)
    assert accepted_name(mapped) == mapped != name
    assert len(mapped) <= 64


def test_names_stay_different() -> None:
    names = ["get weather", "get/weather", "get_weather", "x" * 65, "x" * 66]
    assert len({accepted_name(name) for name in names}) == len(names)


def test_a_schema_that_cannot_be_served_is_refused() -> None:
    with pytest.raises(SchemaError) as refused:
        declare(tool(x={"type": "string", "pattern": "(?=a)"}))
    assert refused.value.param == "book.properties.x.pattern"
