from __future__ import annotations

from typing import Any

import pytest

from app.adapters.chat_request import ChatJob, to_job
from app.schemas.chat import ChatCompletionRequest
from model.types import Message, Tool, ToolCall, ToolChoice
from tests.conftest import TIME, WEATHER, chat


def job(**fields: Any) -> ChatJob:
    return to_job(ChatCompletionRequest.model_validate(chat(**fields)))


def messages(*turns: dict[str, Any]) -> tuple[Message, ...]:
    return job(messages=list(turns)).request.messages


def assistant(*calls: tuple[str, str, str], **fields: Any) -> dict[str, Any]:
    wire = [{"id": id, "type": "function", "function": {"name": n, "arguments": a}} for id, n, a in calls]
    return {"role": "assistant", "tool_calls": wire, **fields}


def test_defaults() -> None:
    request = job().request
    assert request.messages == (Message("user", "What is the weather in Paris?"),)
    assert [tool.name for tool in request.tools] == ["get_weather", "get_time"]
    assert request.tools[0] == Tool(
        "get_weather",
        "Current weather of a city.",
        WEATHER["function"]["parameters"],
    )
    assert request.tool_choice == ToolChoice("auto")
    assert request.parallel_tool_calls is True
    assert (request.max_tokens, request.temperature, request.top_p, request.seed) == (None, 0.0, 1.0, None)


def test_null_means_absent() -> None:
    optional = [name for name, field in ChatCompletionRequest.model_fields.items() if not field.is_required()]
    nulls = dict.fromkeys(optional) | {"tools": [WEATHER, TIME]}
    assert job(**nulls) == job()


def test_ignored_fields_are_accepted() -> None:
    ignored = {
        "store": True,
        "metadata": {"a": "b"},
        "user": "u",
        "service_tier": "auto",
        "reasoning_effort": "low",
        "verbosity": "low",
        "prompt_cache_key": "k",
        "safety_identifier": "s",
        "logit_bias": {"50256": -100},
        "modalities": ["text"],
        "prediction": {"type": "content", "content": ""},
        "frequency_penalty": 0.5,
        "a_field_of_tomorrow": [1],
    }
    assert job(**ignored) == job()


def test_neutral_values_of_what_is_not_served_are_accepted() -> None:
    assert job(n=1, stop=[], logprobs=False, top_logprobs=0, response_format={"type": "text"}) == job()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("hi", "hi"),
        ("", ""),
        (None, ""),
        ([], ""),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "a\nb"),
        ([{"type": "refusal", "refusal": "no"}], "no"),
    ],
)
def test_content(content: Any, text: str) -> None:
    assert messages({"role": "user", "content": content}) == (Message("user", text),)


def test_content_may_be_missing() -> None:
    assert messages({"role": "user"}) == (Message("user", ""),)


def test_developer_is_system() -> None:
    turns = messages({"role": "developer", "content": "a"}, {"role": "system", "content": "b"})
    assert [turn.role for turn in turns] == ["system", "system"]


def test_tool_results_get_the_name_of_their_function() -> None:
    turns = messages(
        {"role": "user", "content": "both?"},
        assistant(("1", "get_weather", '{ "city": "Paris" }'), ("2", "get_time", ""), content=None),
        {"role": "tool", "tool_call_id": "2", "content": "noon"},
        {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "sunny"}]},
    )
    assert turns[1] == Message(
        "assistant", "", (ToolCall("get_weather", '{"city":"Paris"}'), ToolCall("get_time", "{}"))
    )
    assert turns[2:] == (Message("tool", "noon", name="get_time"), Message("tool", "sunny", name="get_weather"))


@pytest.mark.parametrize(
    ("arguments", "compact"),
    [
        ('{"a": [1, "ü"]}', '{"a":[1,"ü"]}'),
        ('{"broken', '"{\\"broken"'),
        ('{"a": "\\ud800"}', '"{\\"a\\": \\"\\\\ud800\\"}"'),
        ("[" * 100_000, '"' + "[" * 100_000 + '"'),
    ],
)
def test_earlier_arguments_are_compacted_and_never_break_the_request(arguments: str, compact: str) -> None:
    assert messages(assistant(("1", "f", arguments)))[0].tool_calls == (ToolCall("f", compact),)


def test_an_empty_list_of_calls_is_no_call() -> None:
    assert messages(assistant(content="hello")) == (Message("assistant", "hello"),)


def test_a_call_cannot_be_answered_after_the_user_spoke() -> None:
    with pytest.raises(Exception, match="must be a response to a preceding message"):
        messages(
            assistant(("1", "f", "{}")),
            {"role": "user", "content": "never mind"},
            {"role": "tool", "tool_call_id": "1", "content": "5"},
        )


@pytest.mark.parametrize(
    ("turns", "text"),
    [
        ([], ""),
        ([("1", "sunny")], "sunny"),
        ([("2", "noon"), ("1", "sunny")], "noon\nsunny"),
    ],
)
def test_latest_tool_results(turns: list[tuple[str, str]], text: str) -> None:
    history = [
        {"role": "user", "content": "?"},
        assistant(("0", "f", "{}")),
        {"role": "tool", "tool_call_id": "0", "content": "an older result"},
        assistant(("1", "f", "{}"), ("2", "g", "{}")),
        *({"role": "tool", "tool_call_id": id, "content": content} for id, content in turns),
    ]
    assert job(messages=history).tool_results == text


@pytest.mark.parametrize("parameters", [None, {}])
def test_missing_parameters_mean_no_arguments(parameters: Any) -> None:
    tools = job(tools=[{"type": "function", "function": {"name": "ping", "parameters": parameters}}]).request.tools
    assert tools == (Tool("ping", "", {"type": "object", "properties": {}}),)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "function": {"name": "get_time"}}, ToolChoice("named", "get_time")),
    ],
)
def test_tool_choice(choice: Any, expected: ToolChoice) -> None:
    assert job(tool_choice=choice).request.tool_choice == expected


def test_sampling() -> None:
    request = job(temperature=1, top_p=0.5, seed=-1, max_tokens=5, parallel_tool_calls=False).request
    assert (request.temperature, request.top_p, request.max_tokens) == (1.0, 0.5, 5)
    assert request.seed == 2**64 - 1
    assert request.parallel_tool_calls is False


def test_the_newer_name_of_the_token_limit_wins() -> None:
    assert job(max_tokens=5, max_completion_tokens=6).request.max_tokens == 6


@pytest.mark.parametrize(
    ("function_call", "expected"),
    [
        (None, ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ({"name": "get_time"}, ToolChoice("named", "get_time")),
    ],
)
def test_legacy_functions(function_call: Any, expected: ToolChoice) -> None:
    functions = [WEATHER["function"], TIME["function"]]
    legacy = job(tools=None, functions=functions, function_call=function_call)
    assert legacy.legacy
    assert legacy.request.tools == job().request.tools
    assert legacy.request.tool_choice == expected
    assert legacy.request.parallel_tool_calls is False, "the legacy answer has room for one call"


def test_legacy_turns() -> None:
    turns = messages(
        {"role": "assistant", "content": None, "function_call": {"name": "get_time", "arguments": "{}"}},
        {"role": "function", "name": "get_time", "content": "noon"},
    )
    assert turns == (
        Message("assistant", "", (ToolCall("get_time", "{}"),)),
        Message("tool", "noon", name="get_time"),
    )


@pytest.mark.parametrize(
    ("legacy", "path", "expected"),
    [
        (False, "tools[1].function.parameters.if", "tools[1].function.parameters.if"),
        (True, "tools[1].function.parameters.if", "functions[1].parameters.if"),
        (True, "messages", "messages"),
        (True, None, None),
    ],
)
def test_client_path(legacy: bool, path: str | None, expected: str | None) -> None:
    declared = {"tools": None, "functions": [TIME["function"]]} if legacy else {}
    assert job(**declared).client_path(path) == expected
