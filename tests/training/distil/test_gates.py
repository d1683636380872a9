"""The gates: valid calls of tools on offer, with values that were said, chosen from a list, or agreed upon."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from model.types import Message, Tool
from tests.training.distil.toys import TOOLS, call, tokenizer, user
from training.data.example import Call
from training.distil.gates import Gates, unsaid
from training.teacher.base import Question


@cache
def gates() -> Gates:
    return Gates(tokenizer())


def judged(text: str, *calls: Call, unanimous: bool = False, tools: tuple[Tool, ...] = TOOLS) -> str | None:
    return gates()(Question(user(text), tools), calls, unanimous)


def one(schema: dict[str, Any], **rest: Any) -> tuple[Tool, ...]:
    return (Tool("f", "", {"type": "object", "properties": {"x": schema}, **rest}),)


def test_a_good_answer_passes() -> None:
    weather, timer = Call("get_weather", {"city": "Oslo", "days": 3}), Call("set_timer", {"minutes": 5, "label": "tea"})
    assert judged("weather in Oslo for 3 days and a 5 minute timer for tea", weather, timer) is None
    assert judged("what a day") is None


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (Call("get_forecast", {"city": "Oslo"}), "unknown tool"),
        (Call("get_weather", {"days": 3}), "not valid under the schema"),
        (Call("get_weather", {"city": "Oslo", "unit": "kelvin"}), "not valid under the schema"),
        (Call("get_weather", {"city": "Oslo", "days": "3"}), "not valid under the schema"),
        (Call("get_weather", {"city": "Oslo", "hours": 3}), "not valid under the schema"),
        (Call("get_weather", {"days": 3, "city": "Oslo"}), "outside the grammar"),
        (Call("get_weather", {"city": "Rome"}), "text not said"),
        (Call("get_weather", {"city": "Oslo", "days": 4}), "number not said"),
    ],
)
def test_each_fault_has_its_reason(call: Call, reason: str) -> None:
    assert judged("weather in Oslo for 3 days", call) == reason


def test_every_call_is_looked_at() -> None:
    good, bad = Call("get_weather", {"city": "Oslo"}), Call("get_weather", {"city": "Rome"})
    assert judged("weather in Oslo", good, bad) == "text not said"


def test_a_tool_that_cannot_be_served_is_not_taught() -> None:
    tools = one({"type": "string", "not": {"const": "a"}})
    assert judged("b", Call("f", {"x": "b"}), tools=tools) == "tool that cannot be served"


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "enum": ["express", "normal"]}, "express"),
        ({"const": "express"}, "express"),
        ({"$ref": "#/$defs/Speed"}, "express"),
        ({"anyOf": [{"$ref": "#/$defs/Speed"}, {"type": "null"}]}, "express"),
        ({"type": "array", "items": {"$ref": "#/$defs/Speed"}}, ["express", "normal"]),
        ({"type": "object", "properties": {"speed": {"$ref": "#/$defs/Speed"}}}, {"speed": "normal"}),
        ({"type": "integer", "default": 10}, 10),
        ({"type": "string", "default": ""}, ""),
        ({"type": "string", "default": "standard delivery"}, "standard delivery"),
        ({"type": "integer", "description": "At most how many; defaults to 10."}, 10),
        ({"type": "string", "description": "Currency (default: EUR)"}, "EUR"),
        ({"type": "boolean"}, True),
    ],
)
def test_enums_and_defaults_need_not_be_said(schema: dict[str, Any], value: Any) -> None:
    tools = one(schema, **{"$defs": {"Speed": {"enum": ["express", "normal"]}}})
    assert judged("send it quickly", Call("f", {"x": value}), tools=tools) is None


@pytest.mark.parametrize(
    ("schema", "value", "reason"),
    [
        ({"type": "integer", "default": 10}, 11, "number not said"),
        ({"type": "string", "default": "a"}, "b", "text not said"),
        ({"type": "integer", "description": "From 10 on; defaults to 20."}, 10, "number not said"),
        ({"anyOf": [{"enum": ["express"]}, {"type": "string"}]}, "overnight", "text not said"),
        ({"type": "object", "properties": {"a": {"type": "array", "items": {}}}}, {"a": ["b"]}, "text not said"),
    ],
)
def test_other_values_need(schema: dict[str, Any], value: Any, reason: str) -> None:
    assert judged("send it quickly", Call("f", {"x": value}), tools=one(schema)) == reason


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("half an hour", 30),
        ("half an hour", {"deep": [30, 1800]}),
        ("tomorrow, today being the 24th of November 2026", "2026-11-25"),
        ("a dentist's appointment", "dentist visit"),
    ],
)
def test_what_all_samples_give_may_be_derived(text: str, value: Any) -> None:
    tools, made = one({}), Call("f", {"x": value})
    assert judged(text, made, tools=tools) in ("number not said", "text not said")
    assert judged(text, made, unanimous=True, tools=tools) is None


@pytest.mark.parametrize("value", ["anna@example.com", "https://example.com/a", "+49 170 1234567", "order 889132"])
def test_an_identifier_is_never_derived(value: str) -> None:
    tools, made = one({"type": "string"}), Call("f", {"x": value})
    assert judged("write to Anna about it", made, unanimous=True, tools=tools) == "text not said"
    assert judged(f"write to {value} about it", made, tools=tools) is None


def test_what_earlier_turns_and_results_say_is_said() -> None:
    turns = (
        Message("user", "which rooms are free in Oslo"),
        Message("assistant", "", (call("get_weather", city="Oslo"),)),
        Message("tool", '{"rooms":["B-17"]}', name="get_weather"),
        *user("and how is it there"),
    )
    assert unsaid(Question(turns, TOOLS), [Call("get_weather", {"city": "Oslo"})]) is None
    assert unsaid(Question(turns, TOOLS), [Call("get_weather", {"city": "B-17"})]) is None
    assert unsaid(Question(turns[-1:], TOOLS), [Call("get_weather", {"city": "Oslo"})]) == "text not said"
    assert unsaid(Question(turns, TOOLS), [Call("get_forecast", {})]) == "unknown tool"
