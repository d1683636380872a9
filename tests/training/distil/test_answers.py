"""Counting samples: which answers are one, how often each was given, and how it is spelt."""

from __future__ import annotations

from typing import Any

import pytest

from model.prompt import dumps
from model.types import Tool, ToolCall
from tests.training.distil.toys import TOOLS, call, reply
from training.data.example import Call
from training.distil.answers import canonical, schema_of, tally

OSLO = call("get_weather", city="Oslo", days=3)
ROME = call("get_weather", city="Rome")
TEA = call("set_timer", minutes=5, label="tea")


def counts(*replies: Any) -> list[tuple[list[str], int]]:
    found = tally([reply(*r) if isinstance(r, tuple) else r for r in replies], TOOLS)
    return [([f"{c.name}{dumps(c.arguments)}" for c in t.calls], t.count) for t in found]


@pytest.mark.parametrize(
    "other",
    [
        ToolCall("get_weather", '{"days":3,"city":"Oslo"}'),
        ToolCall("get_weather", '{"city":"Oslo","days":3.0}'),
        ToolCall("get_weather", '{ "city" : "oslo." , "days" : 3e0 }'),
    ],
)
def test_key_order_number_format_case_and_punctuation_make_no_other_answer(other: ToolCall) -> None:
    assert counts((OSLO,), (other,), (OSLO,)) == [(['get_weather{"city":"Oslo","days":3}'], 3)]


@pytest.mark.parametrize(
    "other",
    [
        call("get_weather", city="Oslo"),
        call("get_weather", city="Oslo", days=4),
        call("get_weather", city="Oslo", days="3"),
        call("get_weather", city="Oslo", days=True),
        call("get_forecast", city="Oslo", days=3),
    ],
)
def test_another_value_argument_or_tool_makes_another_answer(other: ToolCall) -> None:
    assert [n for _, n in counts((OSLO,), (OSLO,), (other,))] == [2, 1]


def test_calls_count_in_any_order_and_as_often_as_they_are_made() -> None:
    assert [n for _, n in counts((OSLO, TEA), (TEA, OSLO), (OSLO,), (OSLO, OSLO), ())] == [2, 1, 1, 1]


def test_only_what_is_an_answer_counts() -> None:
    assert counts(
        (OSLO,),
        reply(finish="blocked"),
        reply(OSLO, finish="length"),
        reply(finish="malformed"),
        (ToolCall("get_weather", '{"city":'),),
        (ToolCall("get_weather", '["Oslo"]'),),
        (),
    ) == [(['get_weather{"city":"Oslo","days":3}'], 1), ([], 1)]


def test_the_most_frequent_is_first_and_of_equals_the_more_probable() -> None:
    replies = [reply(ROME, logprob=-2.0), reply(OSLO, logprob=-0.1), reply(TEA), reply(TEA)]
    assert [t.calls[0].name for t in tally(replies, TOOLS)][0] == "set_timer"
    assert [t.calls[0].arguments.get("city") for t in tally(replies, TOOLS)][1:] == ["Oslo", "Rome"]


def test_an_answer_is_given_in_its_most_frequent_spelling() -> None:
    spellings = [call("send_message", to=to, text="I'm late") for to in ("ANNA", "Anna", "anna", "Anna")]
    [found] = tally([reply(s) for s in spellings], TOOLS)
    assert found.calls == (Call("send_message", {"to": "Anna", "text": "I'm late"}),) and found.count == 4


NESTED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "when": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/Range"}]},
        "points": {"type": "array", "items": {"$ref": "#/$defs/Range"}},
        "pair": {"type": "array", "prefixItems": [{"type": "integer"}, {"$ref": "#/$defs/Range"}]},
        "free": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Range"}},
    },
    "$defs": {
        "Range": {"type": "object", "properties": {"start": {"type": "integer"}, "end": {"type": "integer"}}},
        "Loop": {"$ref": "#/$defs/Loop"},
    },
}


def test_keys_are_in_the_order_of_the_schema_at_every_depth() -> None:
    backwards = {"end": 2.0, "start": 1.0}
    value = {
        "free": {"b": backwards, "a": backwards},
        "pair": [3.0, backwards],
        "points": [backwards, backwards],
        "other": 0.5,
        "when": backwards,
    }
    right = '{"start":1,"end":2}'
    assert dumps(canonical(value, NESTED, NESTED)) == (
        f'{{"when":{right},"points":[{right},{right}],"pair":[3,{right}],"free":{{"b":{right},"a":{right}}},"other":0.5}}'
    )


def test_a_schema_without_an_end_or_of_another_form_is_no_accident() -> None:
    for schema in ({"$ref": "#/$defs/Loop"}, {"$ref": "#/nowhere"}, {"$ref": "https://example.com/x"}, True, None, 3):
        assert schema_of({"a": 1}, schema, NESTED) == {}
        assert canonical({"b": 1.0, "a": 2}, schema, NESTED) == {"b": 1, "a": 2}


def test_the_alternative_that_fits_is_chosen() -> None:
    schema = {"anyOf": [{"type": "integer"}, {"enum": ["low", "high"]}, {"type": "object", "properties": {"a": {}}}]}
    assert schema_of("low", schema, {}) == {"enum": ["low", "high"]}
    assert schema_of(3, schema, {}) == {"type": "integer"}
    assert schema_of({"a": 1}, schema, {})["type"] == "object"


def test_a_huge_number_stays_what_it_is() -> None:
    assert canonical(1e300, {}, {}) == 1e300 and isinstance(canonical(1e300, {}, {}), float)


def test_an_unknown_tool_is_counted_too() -> None:
    tool = Tool("other")
    assert [n for _, n in counts((call(tool.name, b=1.0, a=2),), (call(tool.name, a=2, b=1),))] == [2]
