from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from app.adapters.responses_request import LOGPROBS, ResponseJob, to_job
from app.errors import APIError, InvalidRequestError, NotFoundError, UnsupportedError, from_validation
from app.schemas.responses import EarlierCall, InputItem, InputMessage, ResponseRequest
from model.types import GenerationRequest, Message, Span, Tool, ToolCall, ToolChoice
from tests.app.responses import CALL, FORMAT, OUTPUT, QUESTION, ask
from tests.conftest import TIME, WEATHER

ASKED = Message("user", "What is the weather in Paris?")
CALLED = ToolCall("get_weather", '{"city":"Paris"}')
ANSWERED = Message("tool", "18 °C and sunny", name="get_weather")


def job(recalled: dict[str, InputItem] | None = None, **fields: Any) -> ResponseJob:
    return to_job(ResponseRequest.model_validate(ask(**fields)), (recalled or {}).get)


def messages(*items: Any, **fields: Any) -> tuple[Message, ...]:
    return job(input=list(items), **fields).request.messages


def refusal(**fields: Any) -> APIError:
    """The error with which a request with these fields is refused, wherever that happens."""
    try:
        body = ResponseRequest.model_validate(ask(**fields))
    except ValidationError as error:
        return from_validation([{**detail, "loc": ("body", *detail["loc"])} for detail in error.errors()])
    with pytest.raises(APIError) as caught:
        to_job(body, {}.get)
    return caught.value


def test_a_plain_request() -> None:
    made = job()
    assert made.request == GenerationRequest(
        messages=(ASKED,),
        tools=(
            Tool("get_weather", "Current weather of a city.", WEATHER["function"]["parameters"]),
            Tool("get_time", "Local time of a city.", TIME["function"]["parameters"]),
        ),
    )
    assert made.tool_results == ""


def test_instructions_come_first() -> None:
    assert job(instructions="Be brief.").request.messages == (Message("system", "Be brief."), ASKED)
    assert messages(QUESTION, instructions="Be brief.") == (Message("system", "Be brief."), ASKED)


def test_messages_with_and_without_a_type_or_parts() -> None:
    assert messages(
        {"role": "developer", "content": "Be brief."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "a"}, {"type": "refusal", "refusal": "b"}]},
        {"type": None, "role": "system", "content": ""},
        {"role": "user", "content": None, "status": "completed", "id": "msg_1"},
    ) == (
        Message("system", "Be brief."),
        Message("user", "Hi"),
        Message("assistant", "a\nb"),
        Message("system", ""),
        Message("user", ""),
    )


def test_a_call_and_its_output_are_turns() -> None:
    made = job(input=[QUESTION, CALL, OUTPUT])
    assert made.request.messages == (ASKED, Message("assistant", "", (CALLED,)), ANSWERED)
    assert made.tool_results == "18 °C and sunny"


def test_calls_in_a_row_are_one_turn_with_the_text_before_them() -> None:
    other = {**CALL, "call_id": "call_2", "name": "get_time", "arguments": "{}"}
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None}
    said = {"role": "assistant", "content": "One moment."}
    output = {"type": "function_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "noon"}]}
    made = job(input=[QUESTION, thought, said, CALL, thought, other, output, OUTPUT])
    assert made.request.messages == (
        ASKED,
        Message("assistant", "One moment.", (CALLED, ToolCall("get_time", "{}"))),
        Message("tool", "noon", name="get_time"),
        ANSWERED,
    )
    assert made.items == (0, 2, 6, 7)
    assert made.tool_results == "noon\n18 °C and sunny"


def test_calls_after_outputs_are_another_turn() -> None:
    again = {**CALL, "call_id": "call_2"}
    turns = messages(QUESTION, CALL, OUTPUT, again, {**OUTPUT, "call_id": "call_2", "output": None})
    assert [turn.role for turn in turns] == ["user", "assistant", "tool", "assistant", "tool"]
    assert turns[-1] == Message("tool", "", name="get_weather")


def test_references_stand_for_items_that_are_remembered() -> None:
    recalled: dict[str, InputItem] = {
        "fc_1": EarlierCall(type="function_call", call_id="call_1", name="get_weather", arguments='{"city":"Paris"}'),
        "msg_1": InputMessage(role="assistant", content="Sunny."),
    }
    turns = [QUESTION, {"type": "item_reference", "id": "fc_1"}, OUTPUT, {"id": "msg_1"}]
    assert job(recalled, input=turns).request.messages == (
        ASKED,
        Message("assistant", "", (CALLED,)),
        ANSWERED,
        Message("assistant", "Sunny."),
    )


def test_an_unknown_reference_is_not_found() -> None:
    error = refusal(input=[QUESTION, {"type": "item_reference", "id": "fc_1"}])
    assert isinstance(error, NotFoundError)
    assert (error.param, error.code) == ("input[1].id", "item_not_found")
    assert "send the item itself" in error.message


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, ToolChoice("auto")),
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "name": "get_time"}, ToolChoice("named", "get_time")),
    ],
)
def test_tool_choice(choice: Any, expected: ToolChoice) -> None:
    request = job(tool_choice=choice).request
    assert request.tool_choice == expected
    assert len(request.tools) == 2


@pytest.mark.parametrize("mode", ["auto", "required"])
def test_allowed_tools(mode: str) -> None:
    allowed = {"type": "allowed_tools", "mode": mode, "tools": [{"type": "function", "name": "get_time"}]}
    made = job(tool_choice=allowed)
    assert [tool.name for tool in made.request.tools] == ["get_time"]
    assert made.request.tool_choice.mode == mode
    assert made.client_path("tools[0].function.parameters.if") == "tools[1].parameters.if"


def test_sampling_and_limits() -> None:
    request = job(temperature=1, top_p=0.5, max_output_tokens=5, parallel_tool_calls=False).request
    assert (request.temperature, request.top_p, request.max_tokens) == (1.0, 0.5, 5)
    assert request.parallel_tool_calls is False


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"top_logprobs": 3}, None),
        ({"include": [LOGPROBS]}, 0),
        ({"include": ["reasoning.encrypted_content", LOGPROBS], "top_logprobs": 3}, 3),
        ({"include": ["reasoning.encrypted_content"]}, None),
    ],
)
def test_logprobs_are_asked_for_by_include(fields: dict[str, Any], expected: int | None) -> None:
    assert job(**fields).request.top_logprobs == expected


def test_no_tools_are_as_good_as_none_declared() -> None:
    for tools in ([], None):
        request = job(tools=tools, text={"format": FORMAT}).request
        assert request.tools == ()
        assert request.response == Tool("place", "", FORMAT["schema"])


def test_a_schema_beside_tools() -> None:
    request = job(text={"format": {**FORMAT, "description": "A place.", "strict": True}, "verbosity": "low"}).request
    assert len(request.tools) == 2
    assert request.response == Tool("place", "A place.", FORMAT["schema"])
    assert job(text={"format": {"type": "text"}}).request.response is None
    assert job(text={}).request.response is None


def test_json_mode_takes_its_schema_from_a_message() -> None:
    schema = '{"type": "object", "properties": {"city": {"type": "string"}}}'
    fields = {"tools": None, "text": {"format": {"type": "json_object"}}}
    made = job(instructions=f"Reply in JSON: {schema}", **fields)
    assert made.request.response is not None
    assert made.request.response.parameters["properties"] == {"city": {"type": "string"}}
    assert made.request.messages[0] == Message("system", "Reply in JSON: ")
    assert made.client_path("response.parameters.properties.city") == "instructions"
    assert job(input=f"JSON {schema}", **fields).client_path("response.parameters") == "input"
    turns = [QUESTION, {"role": "user", "content": f"JSON {schema}"}]
    assert job(input=turns, **fields).client_path("response.parameters") == "input[1].content"
    assert job(input="Some JSON!", **fields).client_path("response.parameters") == "text.format"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("tools[1].function.parameters.if", "tools[1].parameters.if"),
        ("tools[1].function.name", "tools[1].name"),
        ("response.parameters.properties.city.if", "text.format.schema.properties.city.if"),
        ("response.parameters", "text.format.schema"),
        ("response", "text.format.schema"),
        ("messages", "input"),
        (None, None),
    ],
)
def test_client_path(path: str | None, expected: str | None) -> None:
    assert job(text={"format": FORMAT}).client_path(path) == expected


def test_spans_are_located_in_the_clients_items() -> None:
    made = job(instructions="Be brief.", input=[{"type": "reasoning", "summary": []}, QUESTION, CALL, OUTPUT])
    assert made.items == (None, 1, 2, 3)
    assert made.locate(Span(0, 3, 8, "brief")) is None, "instructions are no item"
    assert made.locate(Span(1, 23, 28, "Paris")) == Span(1, 23, 28, "Paris")
    assert made.locate(Span(3, 0, 2, "18")) == Span(3, 0, 2, "18")
    assert job().locate(Span(0, 23, 28, "Paris")) == Span(0, 23, 28, "Paris")
    in_json_mode = job(
        instructions="Be brief.",
        input='JSON {"type": "object", "properties": {"a": {"type": "string"}}} Paris',
        text={"format": {"type": "json_object"}},
    )
    assert in_json_mode.request.messages[1].text == "JSON  Paris"
    located = in_json_mode.locate(Span(1, 6, 11, "Paris"))
    assert located is not None and (located.message, located.start) == (0, 65)


@pytest.mark.parametrize(
    ("fields", "kind", "param", "code"),
    [
        ({"previous_response_id": "resp_1"}, UnsupportedError, "previous_response_id", "unsupported_parameter"),
        ({"conversation": {"id": "conv_1"}}, UnsupportedError, "conversation", "unsupported_parameter"),
        ({"prompt": {"id": "pmpt_1"}}, UnsupportedError, "prompt", "unsupported_parameter"),
        ({"background": True}, UnsupportedError, "background", "unsupported_parameter"),
        ({"tools": None}, InvalidRequestError, "tools", "missing_required_parameter"),
        ({"tools": []}, InvalidRequestError, "tools", "missing_required_parameter"),
        ({"tools": [{"type": "web_search"}]}, UnsupportedError, "tools[0].type", "unsupported_value"),
        ({"tools": [{"type": "mcp", "name": 3}]}, UnsupportedError, "tools[0].type", "unsupported_value"),
        ({"tools": [{"name": "f"}]}, InvalidRequestError, "tools[0].type", "missing_required_parameter"),
        ({"tools": [{"type": "function"}]}, InvalidRequestError, "tools[0].name", "missing_required_parameter"),
        (
            {"tools": [{"type": "function", "name": "f"}] * 2},
            InvalidRequestError,
            "tools[1].name",
            "invalid_value",
        ),
        ({"tools": "f"}, InvalidRequestError, "tools", "invalid_type"),
        ({"tools": ["f"]}, InvalidRequestError, "tools[0]", "invalid_type"),
        ({"tool_choice": "any"}, InvalidRequestError, "tool_choice", "invalid_value"),
        ({"tool_choice": {"type": "web_search"}}, InvalidRequestError, "tool_choice.type", "invalid_value"),
        (
            {"tool_choice": {"type": "function", "function": {"name": "get_time"}}},
            InvalidRequestError,
            "tool_choice.name",
            "missing_required_parameter",
        ),
        ({"tool_choice": {"type": "function", "name": "f"}}, InvalidRequestError, "tool_choice", "invalid_value"),
        (
            {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}},
            InvalidRequestError,
            "tool_choice.tools[0].name",
            "invalid_value",
        ),
        (
            {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp"}]}},
            InvalidRequestError,
            "tool_choice.tools[0].type",
            "invalid_value",
        ),
        (
            {"tools": None, "text": {"format": FORMAT}, "tool_choice": "required"},
            InvalidRequestError,
            "tool_choice",
            "invalid_value",
        ),
        ({"text": {"format": {"type": "grammar"}}}, InvalidRequestError, "text.format.type", "invalid_value"),
        ({"text": {"format": {"type": "json_object"}}}, InvalidRequestError, "input", None),
        (
            {"text": {"format": {"type": "json_schema", "schema": {}}}},
            InvalidRequestError,
            "text.format.name",
            "missing_required_parameter",
        ),
        ({"text": {"format": {**FORMAT, "schema": []}}}, InvalidRequestError, "text.format.schema", "invalid_type"),
        ({"text": {"verbosity": "loud"}}, InvalidRequestError, "text.verbosity", "invalid_value"),
        ({"input": []}, InvalidRequestError, "input", "empty_array"),
        ({"input": None}, InvalidRequestError, "input", "invalid_type"),
        ({"input": {}}, InvalidRequestError, "input", "invalid_type"),
        ({"input": ["Hi"]}, InvalidRequestError, "input[0]", "invalid_type"),
        ({"input": [{"content": "Hi"}]}, InvalidRequestError, "input[0].role", "missing_required_parameter"),
        ({"input": [{"role": "tool", "content": "Hi"}]}, InvalidRequestError, "input[0].role", "invalid_value"),
        ({"input": [{"role": "user", "content": 3}]}, InvalidRequestError, "input[0].content", "invalid_type"),
        ({"input": [{"type": "reasoning", "summary": []}]}, InvalidRequestError, "input", "invalid_value"),
        ({"input": [{"type": "computer_call"}]}, UnsupportedError, "input[0].type", "unsupported_value"),
        ({"input": [{"type": {}}]}, InvalidRequestError, "input[0].type", "invalid_type"),
        ({"input": [QUESTION, OUTPUT]}, InvalidRequestError, "input[1].call_id", None),
        ({"input": [OUTPUT, CALL]}, InvalidRequestError, "input[0].call_id", None),
        (
            {"input": [{"type": "function_call", "name": "f"}]},
            InvalidRequestError,
            "input[0].call_id",
            "missing_required_parameter",
        ),
        (
            {"input": [CALL, {**OUTPUT, "output": [{"type": "input_image", "image_url": "x"}]}]},
            UnsupportedError,
            "input[1].output[0]",
            "unsupported_value",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "x"}]}]},
            UnsupportedError,
            "input[0].content[0]",
            "unsupported_value",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}, {"type": "video"}]}]},
            InvalidRequestError,
            "input[0].content[1].type",
            "invalid_value",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_text"}]}]},
            InvalidRequestError,
            "input[0].content[0].text",
            "missing_required_parameter",
        ),
        ({"max_output_tokens": 0}, InvalidRequestError, "max_output_tokens", "integer_below_min_value"),
        ({"metadata": {"a": 1}}, InvalidRequestError, "metadata.a", "invalid_type"),
        ({"stream": "yes"}, InvalidRequestError, "stream", "invalid_type"),
    ],
)
def test_refusals(fields: dict[str, Any], kind: type[APIError], param: str, code: str | None) -> None:
    error = refusal(**fields)
    assert isinstance(error, kind)
    assert (error.status, error.param, error.code) == (400, param, code), error.message


def test_what_is_ignored() -> None:
    ignored = {
        "reasoning": {"effort": "low", "summary": "auto"},
        "service_tier": "flex",
        "truncation": "auto",
        "stream_options": {"include_obfuscation": False},
        "store": True,
        "metadata": {"a": "b"},
        "max_tool_calls": 3,
        "user": "u",
        "prompt_cache_key": "k",
        "safety_identifier": "s",
        "context_management": [{"type": "compaction"}],
        "previous_response_id": None,
        "background": False,
        "include": [],
        "something_new": {"x": [1]},
    }
    assert job(**ignored).request == job().request
