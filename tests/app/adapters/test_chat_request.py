from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from app.adapters.chat_request import ChatJob, to_job
from app.adapters.response_format import ANY_OBJECT
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
        "audio": {"voice": "alloy", "format": "wav"},
        "prediction": {"type": "content", "content": ""},
        "frequency_penalty": 0.5,
        "a_field_of_tomorrow": [1],
    }
    assert job(**ignored) == job()


def test_neutral_values_change_nothing() -> None:
    neutral = {"n": 1, "stop": [], "logprobs": False, "top_logprobs": 0, "response_format": {"type": "text"}}
    assert job(**neutral) == job()


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


@pytest.mark.parametrize("content", [None, "", []])
def test_an_assistants_refusal_is_read_where_it_said_nothing_else(content: Any) -> None:
    turn = {"role": "assistant", "content": content, "refusal": "I cannot."}
    assert messages(turn) == (Message("assistant", "I cannot."),)
    assert messages(turn | {"content": "Yes."}) == (Message("assistant", "Yes."),)


def test_names_of_people_are_accepted() -> None:
    turns = messages({"role": "user", "name": "ann", "content": "hi"}, {"role": "system", "name": "x", "content": "a"})
    assert turns == (Message("user", "hi"), Message("system", "a"))


def test_tool_results_as_user_turns() -> None:
    """smolagents' form of an agent's memory: all of it text, in parts, calls included."""
    turns = messages(
        {"role": "system", "content": [{"type": "text", "text": "Solve the task."}]},
        {"role": "user", "content": [{"type": "text", "text": "New task:\nWeather in Paris?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Calling tools:\n[{'id': '1'}]"}]},
        {"role": "user", "content": [{"type": "text", "text": "Observation:\nsunny"}]},
    )
    assert [(turn.role, turn.text.splitlines()[-1]) for turn in turns] == [
        ("system", "Solve the task."),
        ("user", "Weather in Paris?"),
        ("assistant", "[{'id': '1'}]"),
        ("user", "sunny"),
    ]
    assert job(messages=[{"role": "user", "content": "Observation:\nsunny"}]).tool_results == ""


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


def allowing(*names: str, mode: str = "auto") -> dict[str, Any]:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


@pytest.mark.parametrize("mode", ["auto", "required"])
@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (["get_time"], ["get_time"]),
        (["get_time", "get_weather"], ["get_weather", "get_time"]),
        (["get_time", "get_time"], ["get_time"]),
    ],
)
def test_allowed_tools(mode: str, names: list[str], kept: list[str]) -> None:
    request = job(tool_choice=allowing(*names, mode=mode)).request
    assert [tool.name for tool in request.tools] == kept, "in the order of their declaration"
    assert request.tool_choice == ToolChoice(mode)  # type: ignore[arg-type]


@pytest.mark.parametrize("choice", [None, "auto", "none"])
def test_a_choice_without_tools_that_asks_for_none(choice: Any) -> None:
    answer = {"type": "json_schema", "json_schema": {"name": "answer"}}
    request = job(tools=None, tool_choice=choice, response_format=answer).request
    assert (request.tools, request.tool_choice.mode) == ((), choice or "auto")


CITY = {"type": "object", "description": "A city.", "properties": {"name": {"type": "string"}}}


@pytest.mark.parametrize(
    ("wanted", "tool"),
    [
        ({"name": "city", "schema": CITY, "strict": True}, Tool("city", "A city.", CITY)),
        ({"name": "city", "description": "Mine.", "schema": CITY}, Tool("city", "Mine.", CITY)),
        ({"name": "city", "schema": {"properties": {}}}, Tool("city", "", {"properties": {}})),
        ({"name": "any"}, Tool("any", "", ANY_OBJECT)),
        ({"name": "any", "schema": None, "description": None, "strict": None}, Tool("any", "", ANY_OBJECT)),
    ],
)
def test_json_schema(wanted: Any, tool: Tool) -> None:
    asked = job(tools=None, response_format={"type": "json_schema", "json_schema": wanted})
    assert asked.request.response == tool
    assert asked.request.tools == ()
    assert job(response_format={"type": "json_schema", "json_schema": wanted}).request.tools == job().request.tools


def test_without_a_response_format_there_is_no_text() -> None:
    assert job().request.response is None
    assert job(response_format={"type": "text"}).request.response is None


def test_json_object_takes_its_schema_from_the_messages() -> None:
    text = f"Answer with JSON.\n{json.dumps(CITY, indent=2)}\nThat is all."
    asked = job(
        messages=[{"role": "system", "content": text}, {"role": "user", "content": "I live in Rome."}],
        response_format={"type": "json_object"},
    )
    assert asked.request.response == Tool("response", "A city.", CITY)
    assert asked.request.messages[0].text == "Answer with JSON.\n\nThat is all."


def test_json_object_without_a_schema_is_any_object() -> None:
    turn = {"role": "user", "content": [{"type": "text", "text": "json, please"}]}
    assert job(messages=[turn], response_format={"type": "json_object"}).request.response == Tool(
        "response", "", ANY_OBJECT
    )


@pytest.mark.parametrize(
    ("fields", "top_logprobs"),
    [
        ({}, None),
        ({"logprobs": False}, None),
        ({"logprobs": True}, 0),
        ({"logprobs": True, "top_logprobs": 20}, 20),
    ],
)
def test_logprobs(fields: Any, top_logprobs: int | None) -> None:
    assert job(**fields).request.top_logprobs == top_logprobs


@pytest.mark.parametrize(
    ("stop", "expected"), [(None, ()), ([], ()), ("a", ("a",)), (["a", "b\n"], ("a", "b\n")), (["a"] * 4, ("a",) * 4)]
)
def test_stop(stop: Any, expected: tuple[str, ...]) -> None:
    assert job(stop=stop).stop == expected


@pytest.mark.parametrize(
    ("fields", "seeds"),
    [
        ({}, [None]),
        ({"n": None}, [None]),
        ({"n": 3, "temperature": 1}, [None, None, None]),
        ({"n": 3, "temperature": 1, "seed": 5}, [5, 6, 7]),
        ({"n": 2, "temperature": 1, "seed": -1}, [2**64 - 1, 0]),
        ({"n": 2, "seed": 5}, [5, 5]),
    ],
)
def test_one_request_for_each_choice(fields: Any, seeds: list[int | None]) -> None:
    made = job(**fields)
    assert [request.seed for request in made.requests] == seeds
    assert {dataclasses.replace(request, seed=None).temperature for request in made.requests} == {
        made.request.temperature
    }
    assert made.requests[0] == made.request


LEGACY: dict[str, Any] = {"tools": None, "functions": [WEATHER["function"], TIME["function"]]}
SCHEMA = {"response_format": {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY}}}
JSON_MODE = {"messages": [{"role": "user", "content": "json"}], "response_format": {"type": "json_object"}}
IN_MESSAGE = JSON_MODE | {
    "messages": [{"role": "user", "content": "?"}, {"role": "user", "content": f"json {json.dumps(CITY)}"}]
}


@pytest.mark.parametrize(
    ("fields", "path", "expected"),
    [
        ({}, "tools[1].function.parameters.if", "tools[1].function.parameters.if"),
        ({}, "tools", "tools"),
        ({}, "tool_choice", "tool_choice"),
        ({}, "messages", "messages"),
        ({}, None, None),
        ({"tool_choice": allowing("get_time")}, "tools[0].function.parameters", "tools[1].function.parameters"),
        ({"tool_choice": allowing("get_time")}, "tools[0]", "tools[1]"),
        (LEGACY, "tools[1].function.parameters.if", "functions[1].parameters.if"),
        (LEGACY, "messages", "messages"),
        (LEGACY, None, None),
        (SCHEMA, "response.parameters.properties.a.if", "response_format.json_schema.schema.properties.a.if"),
        (SCHEMA, "response.parameters", "response_format.json_schema.schema"),
        (SCHEMA, "response", "response_format"),
        (SCHEMA, "tools[1]", "tools[1]"),
        (JSON_MODE, "response.parameters", "response_format"),
        (IN_MESSAGE, "response.parameters.properties.a.if", "messages[1].content"),
        (IN_MESSAGE, "response", "response_format"),
    ],
)
def test_client_path(fields: Any, path: str | None, expected: str | None) -> None:
    assert job(**fields).client_path(path) == expected
