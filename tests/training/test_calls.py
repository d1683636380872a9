"""Gemini's function calls as ours: names, types, order, and what is no call of the tools."""

from __future__ import annotations

from typing import Any

import pytest

from model.types import Tool, ToolCall
from training.teacher.calls import CallReader
from training.teacher.declarations import accepted_name

BOOK = Tool(
    "book table",
    "",
    {
        "type": "object",
        "properties": {
            "name": {"type": "string", "pattern": r"^\w+$"},
            "people": {"type": "integer", "minimum": 1},
            "price": {"type": "number"},
            "floor": {"enum": [1, 2, 2.5]},
            "smoking": {"type": "boolean", "const": False},
            "note": {"type": "string", "nullable": True},
            "at": {
                "type": "object",
                "properties": {"hour": {"type": "integer"}, "place": {"$ref": "#/$defs/Place"}},
                "required": ["hour"],
            },
            "guests": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/Place"}]}},
            "pair": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False},
            "extra": {"type": "object", "additionalProperties": {"type": "integer"}},
        },
        "required": ["name"],
        "$defs": {
            "Place": {
                "type": "object",
                "properties": {"zip": {"type": "string"}, "seats": {"type": "integer"}},
                "allOf": [{"type": "object", "properties": {"inner": {"$ref": "#/$defs/Place"}}}],
            }
        },
    },
)
NAME = accepted_name(BOOK.name)


def read(**args: Any) -> str:
    """The arguments as the student writes them."""
    call = CallReader([BOOK]).read(NAME, args)
    assert call.name == "book table"
    return call.arguments


def test_floats_are_integers_where_they_are_whole() -> None:
    assert read(name="Ada", people=3.0, price=4.5) == '{"name":"Ada","people":3,"price":4.5}'
    assert read(name="Ada", price=12.0) == '{"name":"Ada","price":12}'


def test_arguments_stand_in_the_declared_order_at_every_depth() -> None:
    assert read(
        guests=[{"inner": {"seats": 2.0, "zip": "a"}, "seats": 1.0, "zip": "b"}, "Bo"], at={"hour": 7.0}, name="Ada"
    ) == ('{"name":"Ada","at":{"hour":7},"guests":[{"zip":"b","seats":1,"inner":{"zip":"a","seats":2}},"Bo"]}')


def test_nulls_for_what_is_left_out_are_dropped_and_those_that_are_meant_stay() -> None:
    assert read(name="Ada", people=None, at={"hour": 1, "place": None}) == '{"name":"Ada","at":{"hour":1}}'
    assert read(name="Ada", note=None) == '{"name":"Ada","note":null}'


def test_members_of_an_enum_may_come_as_strings() -> None:
    assert read(name="Ada", floor="2") == '{"name":"Ada","floor":2}'
    assert read(name="Ada", floor="2.5") == '{"name":"Ada","floor":2.5}'
    assert read(name="Ada", floor=1.0) == '{"name":"Ada","floor":1}'
    assert read(name="Ada", smoking="false") == '{"name":"Ada","smoking":false}'


def test_tuples_and_free_objects() -> None:
    assert read(name="Ada", pair=[3.0, "x"], extra={"a": 1.0}) == '{"name":"Ada","pair":[3,"x"],"extra":{"a":1}}'


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({}, "book table: 'name' is a required property"),
        ({"name": None}, "book table: 'name' is a required property"),
        ({"name": "Ada", "wine": "red"}, "book table: Additional properties are not allowed"),
        ({"name": "Ada", "at": {"hour": 1, "minute": 2}}, "book table.at: Additional properties are not allowed"),
        ({"name": "Ada", "people": 2.5}, "book table.people: 2.5 is not of type 'integer'"),
        ({"name": "Ada", "people": "three"}, "book table.people: 'three' is not of type 'integer'"),
        ({"name": "Ada", "floor": 7}, "book table.floor: 7 is not one of"),
        ({"name": "Ada B"}, "book table.name: 'Ada B' does not match the pattern"),
        ({"name": "Ada", "pair": [1, "a", "b"]}, "book table.pair: "),
    ],
)
def test_arguments_that_do_not_fit_are_refused(args: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as refused:
        CallReader([BOOK]).read(NAME, args)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_the_namespace_that_gemini_imagines_is_taken_off() -> None:
    other = Tool("default_api.x")
    reader = CallReader([BOOK, other])
    assert reader.read(f"default_api.{NAME}", {"name": "Ada"}) == ToolCall("book table", '{"name":"Ada"}')
    assert reader.read(f"default_api:{NAME}", {"name": "Ada"}).name == "book table"
    assert reader.read("default_api.x", {}) == ToolCall("default_api.x", "{}")


def test_an_unknown_function_is_no_call() -> None:
    with pytest.raises(ValueError, match="there is no function 'book_table'"):
        CallReader([BOOK]).read("book_table", {"name": "Ada"})
