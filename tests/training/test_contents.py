"""Conversations as Gemini reads them."""

from __future__ import annotations

from typing import Any

from model.types import Message, ToolCall
from training.teacher.contents import NO_SIGNATURE, contents, system_instruction
from training.teacher.declarations import accepted_name


def turns(*messages: Message) -> list[tuple[str, list[Any]]]:
    """(role, parts): a text, (name, args) of a call, or {name: response}."""
    out = []
    for content in contents(messages):
        parts: list[Any] = []
        for part in content.parts or []:
            if part.function_call:
                parts.append((part.function_call.name, part.function_call.args))
            elif part.function_response:
                parts.append({part.function_response.name: part.function_response.response})
            else:
                parts.append(part.text)
        out.append((content.role or "", parts))
    return out


def test_system_turns_are_the_instruction() -> None:
    messages = (Message("system", "Be brief."), Message("user", "Hi"), Message("system", "Be kind."))
    assert system_instruction(messages) == "Be brief.\n\nBe kind."
    assert turns(*messages) == [("user", ["Hi"])]
    assert system_instruction(messages[1:2]) is None


def test_calls_and_results() -> None:
    calls = (ToolCall("get weather", '{"city":"Oslo"}'), ToolCall("get_time", "{}"))
    mapped = accepted_name("get weather")
    assert turns(
        Message("user", "Oslo?"),
        Message("assistant", "Let me see.", calls),
        Message("tool", "noon", name="get_time"),
        Message("tool", '{"sky":"grey"}', name="get weather"),
        Message("assistant", "Grey, noon."),
        Message("user", "And Rome?"),
    ) == [
        ("user", ["Oslo?"]),
        ("model", ["Let me see.", (mapped, {"city": "Oslo"}), ("get_time", {})]),
        ("user", [{"get_time": {"output": "noon"}}, {mapped: {"sky": "grey"}}]),
        ("model", ["Grey, noon."]),
        ("user", ["And Rome?"]),
    ]


def test_calls_without_results_get_empty_ones() -> None:
    calls = (ToolCall("a", "{}"), ToolCall("b", "{}"))
    told = [Message("user", "Go"), Message("assistant", "", calls), Message("tool", "[1]", name="b")]
    expected = [
        ("user", ["Go"]),
        ("model", [("a", {}), ("b", {})]),
        ("user", [{"b": {"output": [1]}}, {"a": {"output": ""}}]),
    ]
    assert turns(*told, Message("user", "More")) == [*expected, ("user", ["More"])]
    assert turns(*told) == expected


def test_a_result_without_a_name_is_of_the_first_call_that_has_none() -> None:
    calls = (ToolCall("a", "{}"), ToolCall("b", "{}"))
    told = turns(
        Message("user", "Go"), Message("assistant", "", calls), Message("tool", "1"), Message("tool", "2", name="b")
    )
    assert told[-1] == ("user", [{"a": {"output": 1}}, {"b": {"output": 2}}])


def test_a_result_of_no_call_is_said() -> None:
    assert turns(Message("user", "Go"), Message("tool", "42", name="a")) == [("user", ["Go"]), ("user", ["42"])]


def test_the_first_of_a_turns_calls_has_the_signature_that_stands_for_none() -> None:
    calls = (ToolCall("a", "{}"), ToolCall("b", "{}"))
    content = contents((Message("user", "Go"), Message("assistant", "Well.", calls), Message("user", "?")))[1]
    assert [part.thought_signature for part in content.parts or []] == [None, NO_SIGNATURE, None]
