"""Fine-tuning lines and logged traffic, legacy forms too, as questions and answers; or why not."""

from __future__ import annotations

from typing import Any

import pytest

from model.types import Message, Tool, ToolCall
from training.teacher.base import Question, Reply
from training.teacher.openai_log import Unusable, recordings

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "get_weather", "description": "Weather.", "parameters": PARAMETERS}
TOOLS = [{"type": "function", "function": FUNCTION}, {"type": "function", "function": {"name": "ping"}}]
OFFERED = (Tool("get_weather", "Weather.", PARAMETERS), Tool("ping"))
ASK = {"role": "user", "content": "weather in Oslo"}
OSLO = ToolCall("get_weather", '{"city":"Oslo"}')


def made(*calls: tuple[str, str], **fields: Any) -> dict[str, Any]:
    """An assistant turn with calls, ids `a`, `b`, ..."""
    rows = [
        {"id": "abc"[i], "type": "function", "function": {"name": name, "arguments": arguments}}
        for i, (name, arguments) in enumerate(calls)
    ]
    return {"role": "assistant", "content": None, "tool_calls": rows, **fields}


CALL = made(("get_weather", '{ "city": "Oslo" }'))
RESULT = {"role": "tool", "tool_call_id": "a", "content": '{"sky":"clear"}'}


def trained(*messages: Any, **fields: Any) -> list[tuple[Question, Reply]]:
    return recordings({"messages": list(messages), "tools": TOOLS, **fields}, ())


def logged(response: Any, **request: Any) -> list[tuple[Question, Reply]]:
    return recordings(
        {"request": {"model": "m", "messages": [ASK], "tools": TOOLS, **request}, "response": response}, ()
    )


def completion(*choices: tuple[dict[str, Any], str]) -> dict[str, Any]:
    return {"choices": [{"index": i, "message": m, "finish_reason": f} for i, (m, f) in enumerate(choices)]}


def test_a_fine_tuning_line_is_a_question_and_its_answer() -> None:
    found = trained({"role": "system", "content": "Be brief."}, ASK, CALL, parallel_tool_calls=False)
    messages = (Message("system", "Be brief."), Message("user", "weather in Oslo"))
    assert found == [(Question(messages, OFFERED), Reply((OSLO,)))]


def test_every_assistant_turn_is_an_answer_to_what_stands_before_it() -> None:
    again, done = {"role": "user", "content": "and now?"}, {"role": "assistant", "content": "Clear."}
    found = trained(ASK, CALL, RESULT, done, again, made(("ping", "{}"), ("ping", "")))
    assert [len(q.messages) for q, _ in found] == [1, 3, 5]
    assert [r for _, r in found] == [
        Reply((OSLO,)),
        Reply((), "Clear."),
        Reply((ToolCall("ping", "{}"), ToolCall("ping", "{}"))),
    ]
    assert found[2][0].messages[1:3] == (
        Message("assistant", "", (OSLO,)),
        Message("tool", '{"sky":"clear"}', name="get_weather"),
    )


def test_turns_of_weight_nought_and_empty_ones_are_not_learnt() -> None:
    again = {"role": "user", "content": "and now?"}
    assert len(trained(ASK, {**CALL, "weight": 0}, RESULT, again, {**CALL, "weight": 1})) == 1
    assert len(trained(ASK, {"role": "assistant", "content": None}, again, CALL)) == 1
    with pytest.raises(Unusable, match="no assistant turn answers a user"):
        trained({"role": "system", "content": "x"}, {"role": "assistant", "content": "Hello!"}, ASK)


def test_the_legacy_form_says_the_same() -> None:
    call = {
        "role": "assistant",
        "content": None,
        "function_call": {"name": "get_weather", "arguments": '{"city":"Oslo"}'},
    }
    result = {"role": "function", "name": "get_weather", "content": '{"sky":"clear"}'}
    row = {"messages": [ASK, call, result, {"role": "assistant", "content": "Clear."}], "functions": [FUNCTION]}
    modern = trained(ASK, CALL, RESULT, {"role": "assistant", "content": "Clear."}, tools=TOOLS[:1])
    assert recordings(row, ()) == modern


def test_content_in_parts_and_the_developer_role_are_read() -> None:
    parts = [{"type": "text", "text": "weather"}, {"type": "text", "text": "in Oslo"}]
    [(question, _)] = trained({"role": "developer", "content": "Hm."}, {"role": "user", "content": parts}, CALL)
    assert question.messages == (Message("system", "Hm."), Message("user", "weather\nin Oslo"))


def test_a_line_without_tools_has_those_of_the_user() -> None:
    row = {"messages": [ASK, CALL]}
    assert recordings(row, OFFERED)[0][0].tools == OFFERED
    with pytest.raises(Unusable, match="it declares no tools"):
        recordings(row, ())


def test_every_choice_of_a_logged_response_is_a_sample() -> None:
    response = completion(
        (CALL, "tool_calls"),
        ({"role": "assistant", "content": "No."}, "stop"),
        ({"role": "assistant", "content": ""}, "stop"),
        ({"role": "assistant", "content": "No"}, "length"),
        ({"role": "assistant", "content": None}, "content_filter"),
        (made(("get_weather", '{"city":')), "tool_calls"),
    )
    found = logged(response)
    assert {q.id for q, _ in found} == {Question((Message("user", "weather in Oslo"),), OFFERED).id}
    assert [(r.calls, r.text, r.finish) for _, r in found] == [
        ((OSLO,), "", "stop"),
        ((), "No.", "stop"),
        ((), "", "malformed"),
        ((), "No", "length"),
        ((), "", "blocked"),
        ((), "", "malformed"),
    ]


@pytest.mark.parametrize(
    ("request_", "mode", "tools"),
    [
        ({"tool_choice": "auto"}, "auto", OFFERED),
        ({"tool_choice": None}, "auto", OFFERED),
        ({"tool_choice": "required"}, "any", OFFERED),
        ({"tool_choice": {"type": "function", "function": {"name": "get_weather"}}}, "any", OFFERED[:1]),
        ({"tools": None, "functions": [FUNCTION], "function_call": {"name": "get_weather"}}, "any", OFFERED[:1]),
    ],
)
def test_what_was_forced_is_told_apart(request_: dict[str, Any], mode: str, tools: tuple[Tool, ...]) -> None:
    [(question, _)] = logged(completion((CALL, "stop")), **request_)
    assert (question.mode, question.tools) == (mode, tools)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([], "not a JSON object"),
        ({"prompt": "x"}, 'neither "messages" nor "request"'),
        ({"messages": [], "tools": TOOLS}, "it has no messages"),
        ({"messages": [{"role": "bot", "content": "x"}], "tools": TOOLS}, r"messages\[0\] has no role of OpenAI's"),
        (
            {"messages": [ASK, {**RESULT, "tool_call_id": "z"}, CALL], "tools": TOOLS},
            r"messages\[1\] is the result of no",
        ),
        ({"messages": [ASK, made(("x", "[1]"))], "tools": TOOLS}, r"calls x with arguments that are no JSON object"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, CALL], "tools": TOOLS},
            r"messages\[0\] has content other than text",
        ),
        ({"messages": [ASK, CALL], "tools": [{"type": "code_interpreter"}]}, "tools.0. is a tool of type"),
        ({"request": {"messages": [ASK], "tools": TOOLS}, "response": None}, "the response has no choices"),
        ({"request": {"messages": [ASK], "tools": TOOLS}, "response": {"error": {}}}, "the response has no choices"),
        ({"request": {"messages": [ASK], "tools": TOOLS}, "response": {"choices": [{"delta": {}}]}}, "has no message"),
        (
            {"request": {"messages": [ASK, CALL], "tools": TOOLS}, "response": completion((CALL, "stop"))},
            "ends with a turn",
        ),
    ],
)
def test_what_cannot_be_used_says_why(row: Any, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        recordings(row, ())


@pytest.mark.parametrize("choice", ["none", {"type": "allowed_tools"}, {"type": "function", "function": {"name": "x"}}])
def test_a_choice_that_says_nothing_of_when_to_call_is_not_used(choice: Any) -> None:
    with pytest.raises(Unusable, match="its tool_choice is"):
        logged(completion((CALL, "stop")), tool_choice=choice)
