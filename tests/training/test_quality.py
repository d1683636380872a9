"""The gates: what a conversation supports, what was seen before, what an evaluation set holds."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.types import Message, Tool, ToolCall
from tests.training.domains import small_library
from training.data.example import Call, Example
from training.data.quality import NGRAM, Decontamination, Duplicates, unsupported
from training.data.scenarios import draw
from training.data.scenarios.generators import named
from training.data.scenarios.numerals import say_integer
from training.data.scenarios.times import say_date, say_time

TEXT = {"type": "string"}
NUMBER = {"type": "number"}
DAYS = st.dates(date(2023, 1, 1), date(2028, 12, 31))
MINUTES = st.builds(time, st.integers(0, 23), st.sampled_from(range(0, 60, 5)))
SEEDS = st.integers(0, 10_000)


def example(text: str, value: Any, schema: Mapping[str, Any] = TEXT) -> Example:
    tool = Tool("f", "", {"type": "object", "properties": {"x": schema}})
    return Example("s", "g", (Message("user", text),), (tool,), (Call("f", {"x": value}),))


def supported(text: str, value: Any, schema: Mapping[str, Any] = TEXT) -> bool:
    return unsupported(example(text, value, schema)) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("set it to 25", 25),
        ("set it to 25.", 25.0),
        ("pay 1,250 now", 1250),
        ("pay 1,250,000 now", 1_250_000),
        ("pay 1,250.75 now", 1250.75),
        ("$40 please", 40),
        ("5km run", 5),
        ("heat to 90°", 90),
        ("rate of 12.5%", 12.5),
        ("rate of .5", 0.5),
        ("twenty-five percent", 25),
        ("two hundred fifty grams", 250),
        ("two hundred and fifty grams", 250),
        ("twelve thousand three hundred", 12_300),
        ("twelve point five degrees", 12.5),
        ("zero point two five", 0.25),
        ("two point zero five", 2.05),
        ("a budget of 3k", 3_000),
        ("a budget of 2.5k", 2_500),
        ("2.5 million people", 2_500_000),
        ("1.1 billion", 1_100_000_000),
        ("minus five degrees", -5),
        ("minus twelve point five", -12.5),
        ("-5 degrees", -5),
        ("-1,500 on the account", -1500),
        ("5 below zero", -5),
        ("at 7 pm", 19),
        ("at 12am", 0),
        ("twelve point five degrees for two hours", 12.5),
        ("three point two by four point five", 4.5),
        ("three point two by four point five", 3.2),
    ],
)
def test_a_number_is_said_in_digits_in_words_or_with_its_scale(text: str, value: float) -> None:
    assert supported(text, value, NUMBER)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("set it to 25", 26),
        ("set it to 25", 2),
        ("set it to 25", -25),
        ("set it to 25", 2.5),
        ("pay 1,250 now", 250),
        ("twenty-five percent", 20),
        ("a budget of 3k", 3_000_000),
        ("2.5 million people", 2_500),
        ("twelve point five", 125),
        ("no number at all", 0),
        ("no number at all", 1),
        ("at 7 pm", 20),
    ],
)
def test_another_number_is_not_said(text: str, value: float) -> None:
    assert unsupported(example(text, value, NUMBER)) == "number not said"


@pytest.mark.parametrize("spec", ["integer 0..100", "integer -40..5000", "integer 1000..9000000", "digits 1..99999"])
@pytest.mark.parametrize("glued", [False, True])
def test_every_whole_number_that_a_generator_says_is_found(spec: str, glued: bool) -> None:
    make = named(spec)
    for seed in range(250):
        drawn = make(random.Random(seed))
        assert supported(f"use {drawn.glued if glued else drawn.text}, please", drawn.value, NUMBER), drawn


@pytest.mark.parametrize(
    "spec", ["number 0..10", "number -20..40.5", "number 0..100 step 0.25", "number 900..99999.99"]
)
def test_every_number_that_a_generator_says_is_found(spec: str) -> None:
    make = named(spec)
    for seed in range(250):
        drawn = make(random.Random(seed))
        assert supported(f"use {drawn.text}, please", drawn.value, NUMBER), drawn


@given(st.sampled_from([*range(0, 101), *range(200, 100_001, 1_700), 12_000, 250_000, 2_500_000, 40_000_000]), SEEDS)
@settings(deadline=None, max_examples=150)
def test_a_number_that_was_said_supports_no_other(value: int, seed: int) -> None:
    text = f"use {say_integer(value, random.Random(seed))}, please"
    assert supported(text, value, NUMBER)
    assert not supported(text, value + 1, NUMBER)
    assert not supported(text, 10 * value + 7, NUMBER)


@given(DAYS, SEEDS)
@settings(deadline=None, max_examples=200)
def test_every_form_of_a_day_supports_that_day(day: date, seed: int) -> None:
    assert supported(f"the report of {say_date(day, random.Random(seed))}, please", day.isoformat())


@given(DAYS, SEEDS, st.integers(1, 27) | st.integers(28, 400))
@settings(deadline=None, max_examples=200)
def test_no_form_of_a_day_supports_another_day(day: date, seed: int, later: int) -> None:
    other = day + timedelta(days=later)
    if (other.month, other.day, other.year) != (day.day, day.month, day.year):  # see the next test
        assert not supported(f"the report of {say_date(day, random.Random(seed))}", other.isoformat())


def test_day_and_month_are_not_taken_for_each_other() -> None:
    assert supported("everything of 2026-03-04", "2026-03-04")
    assert not supported("everything of 2026-03-04", "2026-04-03")


def test_a_day_is_not_made_up_from_the_minutes() -> None:
    assert not supported("March 14th, 2026 at 7:30 pm", "2026-03-30T19:30:00")


@given(MINUTES, SEEDS)
@settings(deadline=None, max_examples=200)
def test_every_form_of_a_time_supports_that_time(at: time, seed: int) -> None:
    text = f"wake me at {say_time(at, random.Random(seed))}, please"
    assert supported(text, f"{at:%H:%M}")
    assert supported(text, f"{at:%H:%M}:00")


@given(MINUTES, MINUTES, SEEDS)
@settings(deadline=None, max_examples=200)
def test_no_form_of_a_time_supports_another_hour_or_another_minute(at: time, other: time, seed: int) -> None:
    text = f"wake me at {say_time(at, random.Random(seed))}"
    if other.minute not in (0, at.minute, at.hour, at.hour % 12 or 12):
        assert not supported(text, f"{at.hour:02d}:{other.minute:02d}")
    if (other.hour % 12) not in (at.hour % 12, at.minute):
        assert not supported(text, f"{other.hour:02d}:{at.minute:02d}")


@pytest.mark.parametrize(
    ("text", "value", "right"),
    [
        ("wake me at 7:30 am", "07:30", True),
        ("wake me at 7:30 am", "19:30", False),
        ("wake me at half past seven in the evening", "19:30", True),
        ("wake me at half past seven in the evening", "07:30", False),
        ("wake me at noon", "12:00", True),
        ("wake me at noon", "00:00", False),
    ],
)
def test_morning_and_evening_are_not_taken_for_each_other(text: str, value: str, right: bool) -> None:
    assert supported(text, value) == right


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=300)
def test_every_form_of_a_day_with_its_time_supports_both(seed: int) -> None:
    drawn = named("datetime")(random.Random(seed))
    assert supported(f"book {drawn.text}, please", drawn.value), drawn
    other = datetime.fromisoformat(drawn.value).replace(year=2032)
    assert not supported(f"book {drawn.text}, please", other.isoformat())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("weather in Paris", "Paris"),
        ("weather in paris", "Paris"),
        ("WEATHER IN PARIS", "Paris"),
        ("weather in san   francisco?", "San Francisco"),
        ("mail anna@example.com", "anna@example.com"),
        ("call 555 0199", "555-0199"),
        ("room twenty-five", "room 25"),
        ("the 1,250 model", "1250"),
        ("two apples", "two apple"),
        ("日本 please", "日本"),
    ],
)
def test_a_text_is_said_up_to_case_separators_and_number_words(text: str, value: str) -> None:
    assert supported(text, value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("weather in Paris", "Rome"),
        ("weather in Paris", "Paris, France"),
        ("weather in Paris", "in the Paris"),
        ("Francisco San", "San Francisco"),
        ("anything", ""),
        ("start the party", "art"),
    ],
)
def test_another_text_is_not_said(text: str, value: str) -> None:
    assert unsupported(example(text, value)) == "text not said"


def test_members_of_an_enum_and_booleans_are_said_by_meaning() -> None:
    assert supported("quickly!", "express", {"type": "string", "enum": ["express", "normal"]})
    assert supported("quickly!", "express", {"const": "express"})
    assert supported("with sound", True, {"type": "boolean"})
    assert supported("nothing", None, {"type": "null"})
    assert supported("quickly!", ["express"], {"type": "array", "items": {"enum": ["express"]}})


def test_an_enum_in_prose_is_said_by_meaning_too() -> None:
    prose = {"type": "string", "description": "How fast. One of: express, next day, normal"}
    assert supported("quickly!", "express", prose)
    assert supported("quickly!", "next day", prose)
    assert not supported("quickly!", "expres", prose)
    assert not supported("quickly!", "slow", prose)


def test_values_inside_lists_and_objects_are_looked_at() -> None:
    schema = {
        "type": "array",
        "items": {"type": "object", "properties": {"name": TEXT, "size": {"enum": ["s", "m"]}, "count": NUMBER}},
    }
    good = [{"name": "tea", "size": "s", "count": 2}, {"name": "cake", "size": "m", "count": 1}]
    assert supported("two small teas and one medium cake", good, schema)
    assert unsupported(example("two small teas and one cake", [{"name": "pie"}], schema)) == "text not said"
    assert unsupported(example("two small teas", [{"name": "tea", "count": 3}], schema)) == "number not said"


def test_earlier_turns_calls_and_results_support_a_value() -> None:
    turns = (
        Message("user", "a table for Anna"),
        Message("assistant", "", (ToolCall("find", '{"city":"Oslo"}'),)),
        Message("tool", '{"table":"T-17"}', name="find"),
        Message("user", "take it"),
    )
    for value, right in (("Anna", True), ("Oslo", True), ("T-17", True), ("Bergen", False)):
        made = example("", value)
        made = Example("s", "g", turns, made.tools, made.calls)
        assert (unsupported(made) is None) == right


def test_no_call_needs_no_support() -> None:
    assert unsupported(Example("s", "g", (Message("user", "hi"),), (), ())) is None


def test_requests_of_the_library_are_supported() -> None:
    for domain in small_library().values():
        for tool in domain.tools:
            for seed in range(60):
                made = draw.single(domain, tool, random.Random(seed))
                assert unsupported(made) is None, (made.messages[0].text, made.calls)


def test_a_second_example_is_a_duplicate_up_to_case_and_punctuation() -> None:
    seen = Duplicates()
    assert seen(example("weather in Paris?", "Paris")) is None
    assert seen(example("weather in Paris?", "Paris")) == "duplicate"
    assert seen(example("Weather in PARIS", "Paris")) == "duplicate"


def test_another_text_answer_family_or_history_is_no_duplicate() -> None:
    seen = Duplicates()
    base = example("weather in Paris?", "Paris")
    others = [
        example("weather in Rome?", "Paris"),
        example("weather in Paris?", "paris"),
        Example("s", "g", base.messages, base.tools, ()),
        Example("s", "other", base.messages, base.tools, base.calls),
        Example("s", "g", (Message("system", "Be brief."), *base.messages), base.tools, base.calls),
        Example("s", "g", (Message("assistant", "", (ToolCall("f", "{}"),)), *base.messages), base.tools, base.calls),
    ]
    assert [seen(e) for e in (base, *others)] == [None] * 7
    variant = Example("s", "g#3", base.messages, base.tools, base.calls)
    assert seen(variant) == "duplicate"  # the same family in another variant, with equal names


LEAK = "find the area of a triangle with base ten and height five"


def asking(text: str, *tools: Tool) -> Example:
    return Example("s", "g", (Message("user", text),), tools, ())


@pytest.mark.parametrize(
    ("text", "dropped"),
    [
        (LEAK, True),
        ("Please, FIND the area of a triangle: with base 10!", True),
        ("I must know the area of a triangle with base ten and a height", True),
        ("the area of a triangle with base ten", True),  # eight words
        ("the area of a triangle with base four", False),  # seven
        ("the area of the triangle with base ten and height five", False),
        ("a triangle with base ten and its height five", False),
        ("weather in paris", True),
        ("Weather in Paris?", True),
        ("weather in paris today", False),
        ("in paris", False),
        ("", False),
    ],
)
def test_eight_words_in_a_row_or_a_whole_short_request_are_a_leak(text: str, dropped: bool) -> None:
    gate = Decontamination([LEAK, "Weather in Paris"], [])
    assert (gate(asking(text)) == "request of an evaluation") == dropped
    assert gate.matches["request"].total() == dropped


def test_the_overlap_that_is_let_through_is_seven_words() -> None:
    assert NGRAM == 8
    words = [f"word{chr(97 + i)}" for i in range(20)]
    gate = Decontamination([" ".join(words)], [])
    for start in range(13):
        assert gate(asking("my " + " ".join(words[start : start + 7]) + " end")) is None
        assert gate(asking("my " + " ".join(words[start : start + 8]) + " end")) is not None


def test_an_earlier_user_turn_leaks_and_an_assistants_does_not() -> None:
    gate = Decontamination([LEAK], [])
    tail = Message("user", "thanks")
    assert gate(Example("s", "g", (Message("user", LEAK), tail), (), ())) == "request of an evaluation"
    assert gate(Example("s", "g", (Message("assistant", LEAK), tail), (), ())) is None


def declared(name: str, *parameters: str) -> Tool:
    return Tool(name, "", {"type": "object", "properties": {p: TEXT for p in parameters}})


@pytest.mark.parametrize(
    ("tool", "reason"),
    [
        (declared("triangle_area", "base_length", "height"), "tool of an evaluation"),
        (declared("triangleArea", "height", "baseLength"), "tool of an evaluation"),
        (declared("Triangle.Area", "base-length", "Height"), "tool of an evaluation"),
        (declared("triangle_area", "base_length"), None),
        (declared("triangle_area", "base_length", "height", "unit"), None),
        (declared("triangle_areas", "base_length", "height"), None),
    ],
)
def test_a_tool_with_the_name_and_the_parameters_of_an_evaluation_is_dropped(tool: Tool, reason: str | None) -> None:
    gate = Decontamination([], [("triangle_area", frozenset({"base_length", "height"}))])
    assert gate(asking("hello", declared("other"), tool)) == reason


def test_the_report_tells_what_was_found() -> None:
    gate = Decontamination([LEAK, "hello there"], [("area", frozenset({"base"}))])
    for text in (LEAK, LEAK, "hello there", "harmless"):
        gate(asking(text))
    gate(asking("harmless", declared("Area", "base")))
    gate(asking("harmless", declared("area")))
    assert gate.report() == {
        "requests checked against": 2,
        "request": {"examples": 3, "distinct": 2, "most": [(LEAK, 2), ("hello there", 1)]},
        "tool": {"examples": 1, "distinct": 1, "most": [("Area", 1)]},
        "tool name only": {"examples": 1, "distinct": 1, "most": [("area", 1)]},
    }


def test_an_evaluation_is_read_from_the_leaderboards_files(tmp_path: Path) -> None:
    question = {
        "id": "multiple_0",
        "question": [[{"role": "system", "content": "be brief"}, {"role": "user", "content": LEAK}]],
        "function": [
            {
                "name": "geometry.area",
                "description": "",
                "parameters": {"type": "dict", "properties": {"base": {"type": "float"}}},
            }
        ],
    }
    (tmp_path / "BFCL_v4_multiple.json").write_text(json.dumps(question) + "\n")
    gate = Decontamination.from_bfcl(tmp_path)
    assert gate.requests == 1
    assert gate(asking(f"Hello! {LEAK}")) == "request of an evaluation"
    assert gate(asking("be brief")) is None
    assert gate(asking("hello", declared("geometryArea", "base"))) == "tool of an evaluation"


def test_a_folder_without_an_evaluation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no BFCL_v4_"):
        Decontamination.from_bfcl(tmp_path)
