"""A request, answered: right, or wrong in which way and where."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import FakeEngine
from tests.training.evaluation.requests import Call, outcome, task
from training.evaluation.outcome import ERRORS, Mark, answer

PARIS: Call = ("get_weather", {"city": "Paris"})
ROME: Call = ("get_time", {"city": "Rome"})


@pytest.mark.parametrize(
    ("calls", "gold", "tool", "error"),
    [
        ([("get_weather", {"city": "paris"})], [PARIS], True, None),
        ([ROME, PARIS], [PARIS, ROME], True, None),
        ([], [], True, None),
        ([], [PARIS], False, "missed call"),
        ([PARIS], [], False, "spurious call"),
        ([ROME], [PARIS], False, "wrong tool"),
        ([PARIS, PARIS], [PARIS], False, "too many calls"),
        ([PARIS], [PARIS, PARIS], False, "too few calls"),
        ("refuse", [PARIS], False, "refused"),
        ("refuse", [], False, "refused"),  # not calling is right, refusing to answer is not
        ("cut", [PARIS], False, "cut off"),
        ("cut", [], False, "cut off"),  # a call was begun: that is not the answer "no call"
    ],
)
def test_errors_of_calls(calls: Any, gold: list[Call], tool: bool, error: str | None) -> None:
    found = outcome(calls, *gold)
    assert (found.tool, found.exact, found.errors) == (tool, error is None, (error,) if error else ())


@pytest.mark.parametrize(
    ("argument", "gold", "value", "error"),
    [
        ("city", "Paris", "Rome", "wrong string"),
        ("unit", "c", "f", "wrong enum"),
        ("days", 3, 4, "wrong integer"),
        ("height", 1, 1.5, "wrong number"),
        ("rain", True, False, "wrong boolean"),
        ("hours", [1, 2], [2, 1], "wrong array"),
        ("box", {"a": 1}, {"a": 2}, "wrong object"),
        ("either", None, "x", "wrong null"),
        ("either", "x", None, "wrong string"),
        ("undeclared", 2.5, 3, "wrong number"),
    ],
)
def test_a_wrong_value_is_of_the_declared_type(argument: str, gold: Any, value: Any, error: str) -> None:
    found = outcome([("get_weather", {argument: value})], ("get_weather", {argument: gold}))
    assert found.tool and found.errors == (error,) and error in ERRORS
    assert found.marks == {Mark("gold", 0, argument), Mark("answer", 0, argument)}


def test_a_request_shows_each_kind_of_wrong_argument_once() -> None:
    gold: Call = ("get_weather", {"city": "Paris", "days": 3, "rain": True})
    found = outcome([("get_weather", {"city": "Rome", "unit": "c", "height": 1})], gold)
    assert found.errors == ("missing argument", "extra argument", "wrong string")
    assert found.marks == {
        *(Mark("gold", 0, name) for name in ("city", "days", "rain")),
        *(Mark("answer", 0, name) for name in ("city", "unit", "height")),
    }


def test_calls_of_one_name_are_compared_with_what_they_are_nearest_to() -> None:
    gold: list[Call] = [("get_weather", {"city": c, "days": d}) for c, d in (("Paris", 1), ("Rome", 2), ("Oslo", 3))]
    calls: list[Call] = [gold[2], ("get_weather", {"city": "Rome", "days": 9}), gold[0]]
    found = outcome(calls, *gold)
    assert found.errors == ("wrong integer",)
    assert found.marks == {Mark("gold", 1, "days"), Mark("answer", 1, "days")}


def test_calls_without_a_counterpart_are_marked_whole() -> None:
    assert outcome([ROME, PARIS], PARIS).marks == {Mark("answer", 0, None)}
    assert outcome([PARIS], ROME, PARIS).marks == {Mark("gold", 0, None)}
    assert outcome([PARIS], ROME).marks == {Mark("gold", 0, None), Mark("answer", 0, None)}


def test_what_the_engine_said_is_kept() -> None:
    assert outcome([PARIS], ROME).confidence == 0.93
    refused = outcome("refuse", PARIS)
    assert (refused.refusal, refused.calls, refused.confidence) == ("no such keyword", (), None)


def test_an_accident_is_not_an_outcome(engine: FakeEngine) -> None:
    engine.refusal = RuntimeError("broken")
    with pytest.raises(RuntimeError):
        answer(engine, task("x", PARIS))
