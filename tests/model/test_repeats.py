"""Calls that were made already are not made again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

pytest.importorskip("torch")

from model import load_engine  # noqa: E402
from model.engine import BodkinEngine  # noqa: E402
from model.repeats import Repeats  # noqa: E402
from model.types import (  # noqa: E402
    ArgumentsDelta,
    CallStarted,
    Finished,
    GenerationRequest,
    Message,
    ToolCall,
    ToolChoice,
)
from tests.artifact import WEATHER, calibrated  # noqa: E402
from tests.model.test_engine import requests  # noqa: E402

PARIS = ToolCall("get_weather", '{"city":"Paris"}')
ROME = ToolCall("get_weather", '{"city":"Rome"}')


def turn(*calls: ToolCall) -> Message:
    return Message("assistant", "", calls)


def test_a_call_of_this_turn_is_a_repetition() -> None:
    made = Repeats([Message("user", "Weather in Paris?"), turn(PARIS), Message("tool", "sunny", name="get_weather")])
    assert PARIS in made and ROME not in made
    assert ToolCall("get_time", PARIS.arguments) not in made


def test_the_user_begins_a_new_turn() -> None:
    made = Repeats([Message("user", "Weather in Paris?"), turn(PARIS), Message("user", "Again, please.")])
    assert PARIS not in made and not made.possible(PARIS.name, "")


def test_what_begins_otherwise_cannot_become_one() -> None:
    made = Repeats([turn(PARIS, ROME)])
    assert made.possible("get_weather", "") and made.possible("get_weather", '{"city":"R')
    assert not made.possible("get_weather", '{"city":"S') and not made.possible("get_time", "")


def test_calls_of_the_answer_count() -> None:
    made = Repeats([Message("user", "Weather in Paris?")])
    made.add([PARIS])
    assert PARIS in made


def answered(asked: GenerationRequest, calls: Sequence[ToolCall]) -> GenerationRequest:
    """The next request of an agent that has run `calls`."""
    results = [Message("tool", "done", name=call.name) for call in calls]
    return replace(asked, messages=(*asked.messages, turn(*calls), *results))


@pytest.fixture(scope="module")
def engine() -> BodkinEngine:
    return load_engine(calibrated(), threads=1)


def test_no_call_is_made_twice(engine: BodkinEngine) -> None:
    several = 0
    for asked in requests(40, seed=3):
        calls = engine.generate(asked).calls
        assert len(set(calls)) == len(calls)
        several += len(calls) > 1
    assert several > 5  # random weights rarely stop by themselves


def test_an_agent_comes_to_an_end(engine: BodkinEngine) -> None:
    stopped = 0
    for asked in requests(40, seed=4, parallel_tool_calls=False):
        first = engine.generate(asked)
        again = engine.generate(answered(asked, first.calls))
        assert not set(first.calls) & set(again.calls)
        if first.calls and not again.calls:
            assert again.finish_reason == "stop" and again.trace is not None and again.trace.none is not None
            stopped += 1
    assert stopped > 5


def test_where_a_call_is_demanded_another_is_made_if_there_is_a_tool_for_it(engine: BodkinEngine) -> None:
    others = same = 0
    for asked in requests(30, seed=5, tool_choice=ToolChoice("required"), parallel_tool_calls=False):
        [first] = engine.generate(asked).calls
        asked = answered(asked, [first])
        *events, last = engine.stream(asked)
        assert isinstance(last, Finished)
        [again] = last.result.calls
        assert again.name in {t.name for t in asked.tools}
        [started] = [event for event in events if isinstance(event, CallStarted)]
        assert started == CallStarted(0, again.name)
        assert "".join(e.text for e in events if isinstance(e, ArgumentsDelta)) == again.arguments
        assert again != first or len(asked.tools) == 1
        others += again.name != first.name
        same += again == first
        chosen = replace(asked, tool_choice=ToolChoice("named", first.name))
        assert engine.generate(chosen).calls[0].name == first.name
    assert others > 5 and same > 0


def test_a_stream_has_nothing_of_a_call_that_is_not_made(engine: BodkinEngine) -> None:
    held = 0
    for asked in requests(30, seed=4, parallel_tool_calls=False):
        first = engine.generate(asked)
        asked = answered(asked, first.calls)
        *events, last = engine.stream(asked)
        assert isinstance(last, Finished)
        texts: dict[int, str] = {}
        for event in events:
            if isinstance(event, CallStarted):
                texts[event.index] = ""
            else:
                assert isinstance(event, ArgumentsDelta)
                texts[event.index] += event.text
        assert list(texts.values()) == [call.arguments for call in last.result.calls]
        held += bool(first.calls) and not texts
    assert held > 5


def test_a_text_is_written_as_if_the_call_had_never_been_begun(engine: BodkinEngine) -> None:
    compared = 0
    for asked in requests(20, seed=4, parallel_tool_calls=False, response=WEATHER):
        first = engine.generate(asked)
        if not first.calls:
            continue
        asked = answered(asked, first.calls)
        again = engine.generate(asked)
        if not again.calls:
            silent = engine.generate(replace(asked, tool_choice=ToolChoice("none")))
            assert again.text == silent.text
            assert again.usage.completion_tokens >= silent.usage.completion_tokens
            compared += 1
    assert compared > 3
