from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.errors import APIError
from model.errors import ContextLengthError, RequestError, SchemaError
from model.types import Event, GenerationRequest
from tests.conftest import TIME, WEATHER, FakeEngine, chat

USER = {"role": "user", "content": "Weather in Paris?"}


def tool(**function: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", **function}}


def bad(**fields: Any) -> dict[str, Any]:
    return chat(**fields)


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in chat().items() if name not in names}


def allowing(*names: str, mode: str = "auto") -> dict[str, Any]:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return chat(tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}})


JSON = without("tools") | {"response_format": {"type": "json_schema", "json_schema": {"name": "answer"}}}

# (body, status, param, code)
BAD: list[tuple[Any, int, str | None, str | None]] = [
    ([], 400, None, "invalid_type"),
    ("text", 400, None, "invalid_type"),
    (None, 400, None, "invalid_type"),
    (without("model"), 400, "model", "missing_required_parameter"),
    (without("messages"), 400, "messages", "missing_required_parameter"),
    (without("tools"), 400, "tools", "missing_required_parameter"),
    (bad(model=7), 400, "model", "invalid_type"),
    (bad(model="gpt-9"), 404, "model", "model_not_found"),
    (bad(messages=[]), 400, "messages", "empty_array"),
    (bad(messages=None), 400, "messages", "invalid_type"),
    (bad(messages={}), 400, "messages", "invalid_type"),
    (bad(messages=["hi"]), 400, "messages[0]", "invalid_type"),
    (bad(messages=[{"content": "hi"}]), 400, "messages[0].role", "missing_required_parameter"),
    (bad(messages=[{"role": "king", "content": "hi"}]), 400, "messages[0].role", "invalid_value"),
    (bad(messages=[USER, {"role": "user", "content": 5}]), 400, "messages[1].content", "invalid_type"),
    (bad(messages=[{"role": "user", "content": [5]}]), 400, "messages[0].content[0]", "invalid_type"),
    (
        bad(messages=[{"role": "user", "content": [{"text": "hi"}]}]),
        400,
        "messages[0].content[0].type",
        "missing_required_parameter",
    ),
    (
        bad(messages=[{"role": "user", "content": [{"type": "text"}]}]),
        400,
        "messages[0].content[0].text",
        "missing_required_parameter",
    ),
    (
        bad(messages=[{"role": "user", "content": [{"type": "smell"}]}]),
        400,
        "messages[0].content[0].type",
        "invalid_value",
    ),
    (
        bad(messages=[{"role": "user", "content": [{"type": "text", "text": "?"}, {"type": "image_url"}]}]),
        400,
        "messages[0].content[1]",
        "unsupported_value",
    ),
    (
        bad(messages=[{"role": "user", "content": [{"type": "input_audio"}]}]),
        400,
        "messages[0].content[0]",
        "unsupported_value",
    ),
    (
        bad(messages=[USER, {"role": "tool", "tool_call_id": "call_1", "content": "5"}]),
        400,
        "messages[1].role",
        None,
    ),
    (
        bad(
            messages=[
                USER,
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                },
                {"role": "tool", "tool_call_id": "call_2", "content": "5"},
            ]
        ),
        400,
        "messages[2].tool_call_id",
        None,
    ),
    (bad(messages=[{"role": "tool", "content": "5"}]), 400, "messages[0].tool_call_id", "missing_required_parameter"),
    (bad(messages=[{"role": "function", "content": "5"}]), 400, "messages[0].name", "missing_required_parameter"),
    (bad(tools=[]), 400, "tools", "empty_array"),
    (bad(tools={}), 400, "tools", "invalid_type"),
    (bad(tools=[{"type": "custom", "custom": {}}]), 400, "tools[0].type", "invalid_value"),
    (bad(tools=[{"function": {"name": "f"}}]), 400, "tools[0].type", "missing_required_parameter"),
    (bad(tools=[{"type": "function"}]), 400, "tools[0].function", "missing_required_parameter"),
    (
        bad(tools=[WEATHER, {"type": "function", "function": {}}]),
        400,
        "tools[1].function.name",
        "missing_required_parameter",
    ),
    (bad(tools=[tool(name="")]), 400, "tools[0].function.name", "invalid_value"),
    (bad(tools=[tool(name="get weather")]), 400, "tools[0].function.name", "invalid_value"),
    (bad(tools=[tool(name="get_weather\n")]), 400, "tools[0].function.name", "invalid_value"),
    (bad(tools=[tool(name="a" * 65)]), 400, "tools[0].function.name", "invalid_value"),
    (bad(tools=[tool(parameters="x")]), 400, "tools[0].function.parameters", "invalid_type"),
    (bad(tools=[tool(parameters=[])]), 400, "tools[0].function.parameters", "invalid_type"),
    (bad(tools=[tool(strict="yes")]), 400, "tools[0].function.strict", "invalid_type"),
    (bad(tools=[WEATHER, TIME, WEATHER]), 400, "tools[2].function.name", "invalid_value"),
    (bad(tool_choice="always"), 400, "tool_choice", "invalid_value"),
    (bad(tool_choice=5), 400, "tool_choice", "invalid_type"),
    (bad(tool_choice={"function": {"name": "f"}}), 400, "tool_choice.type", "missing_required_parameter"),
    (bad(tool_choice={"type": "function"}), 400, "tool_choice.function", "missing_required_parameter"),
    (bad(tool_choice={"type": "custom"}), 400, "tool_choice.type", "invalid_value"),
    (bad(tool_choice={"type": "function", "function": {"name": "f"}}), 400, "tool_choice", "invalid_value"),
    (bad(tool_choice={"type": "allowed_tools"}), 400, "tool_choice.allowed_tools", "missing_required_parameter"),
    (allowing("get_time", mode="none"), 400, "tool_choice.allowed_tools.mode", "invalid_value"),
    (allowing(), 400, "tool_choice.allowed_tools.tools", "empty_array"),
    (
        allowing("get_time", "get_wheather"),
        400,
        "tool_choice.allowed_tools.tools[1].function.name",
        "invalid_value",
    ),
    (JSON | {"tool_choice": "required"}, 400, "tool_choice", "invalid_value"),
    (JSON | {"tool_choice": {"type": "function", "function": {"name": "f"}}}, 400, "tool_choice", "invalid_value"),
    (bad(parallel_tool_calls="no"), 400, "parallel_tool_calls", "invalid_type"),
    (bad(stream="yes"), 400, "stream", "invalid_type"),
    (bad(stream_options=True), 400, "stream_options", "invalid_type"),
    (bad(temperature="0.5"), 400, "temperature", "invalid_type"),
    (bad(temperature=-0.1), 400, "temperature", "decimal_below_min_value"),
    (bad(temperature=3), 400, "temperature", "decimal_above_max_value"),
    (bad(top_p=1.01), 400, "top_p", "decimal_above_max_value"),
    (bad(max_tokens=0), 400, "max_tokens", "integer_below_min_value"),
    (bad(max_completion_tokens=1.5), 400, "max_completion_tokens", "invalid_type"),
    (bad(seed=2**63), 400, "seed", "integer_above_max_value"),
    (bad(n=129), 400, "n", "integer_above_max_value"),
    (bad(n=0), 400, "n", "integer_below_min_value"),
    (bad(stop=5), 400, "stop", "invalid_type"),
    (bad(stop=""), 400, "stop", "empty_string"),
    (bad(stop=["x", ""]), 400, "stop[1]", "empty_string"),
    (bad(stop=["x", 5]), 400, "stop[1]", "invalid_type"),
    (bad(stop=["a", "b", "c", "d", "e"]), 400, "stop", "array_above_max_length"),
    (bad(logprobs="yes"), 400, "logprobs", "invalid_type"),
    (bad(top_logprobs=3), 400, "top_logprobs", None),
    (bad(top_logprobs=3, logprobs=False), 400, "top_logprobs", None),
    (bad(top_logprobs=21, logprobs=True), 400, "top_logprobs", "integer_above_max_value"),
    (bad(response_format={"type": "json_object"}), 400, "messages", None),
    (
        bad(response_format={"type": "json_schema"}),
        400,
        "response_format.json_schema",
        "missing_required_parameter",
    ),
    (
        bad(response_format={"type": "json_schema", "json_schema": {}}),
        400,
        "response_format.json_schema.name",
        "missing_required_parameter",
    ),
    (
        bad(response_format={"type": "json_schema", "json_schema": {"name": "my answer"}}),
        400,
        "response_format.json_schema.name",
        "invalid_value",
    ),
    (
        bad(response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": True}}),
        400,
        "response_format.json_schema.schema",
        "invalid_type",
    ),
    (bad(response_format={"type": "grammar"}), 400, "response_format.type", "invalid_value"),
    (bad(response_format={}), 400, "response_format.type", "missing_required_parameter"),
    (without("tools") | {"response_format": {"type": "text"}}, 400, "tools", "missing_required_parameter"),
    (bad(modalities=["text", "audio"]), 400, "modalities[1]", "invalid_value"),
    (bad(web_search_options={}), 400, "web_search_options", "unsupported_parameter"),
    (bad(response_format="text"), 400, "response_format", "invalid_type"),
    (
        without("tools") | {"functions": [{"name": "a"}, {"name": "a"}]},
        400,
        "functions[1].name",
        "invalid_value",
    ),
    (
        without("tools") | {"functions": [{"name": "a"}], "function_call": {"name": "b"}},
        400,
        "function_call",
        "invalid_value",
    ),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("body", "status", "param", "code"), BAD)
def test_bad_requests(
    client: TestClient,
    engine: FakeEngine,
    body: Any,
    status: int,
    param: str | None,
    code: str | None,
    stream: bool,
) -> None:
    if stream and isinstance(body, dict):
        body = {"stream": True, **body}
    response = client.post("/v1/chat/completions", content=json.dumps(body))
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)
    assert 10 < len(error["message"]) < 250
    assert response.headers["x-should-retry"] == "false"
    assert engine.requests == [], "refused before any work"
    assert client.post("/v1/chat/completions", json=chat()).status_code == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (chat(temperature=3), "Invalid 'temperature': expected a value <= 2, but got 3 instead."),
        (chat(stream=1), "Invalid type for 'stream': expected a boolean, but got an integer instead."),
        (
            without("tools"),
            "Bodkin makes tool calls and JSON answers only: declare at least one function in 'tools', or ask for JSON "
            "with 'response_format'.",
        ),
        (
            chat(tools=[{"type": "custom", "custom": {"name": "f"}}]),
            "Invalid value for 'tools[0].type': 'custom'. Supported values are: 'function'.",
        ),
        (
            chat(tools=[{"type": "web_search_preview"}]),
            "Invalid value for 'tools[0].type': 'web_search_preview'. Supported values are: 'function'.",
        ),
        (
            chat(tool_choice={"type": "custom", "custom": {"name": "f"}}),
            "Invalid value for 'tool_choice.type': 'custom'. Supported values are: 'function', 'allowed_tools'.",
        ),
        (
            chat(tool_choice={"type": ["function"]}),
            "Invalid value for 'tool_choice.type': ['function']. Supported values are: 'function', 'allowed_tools'.",
        ),
        (
            chat(response_format={"type": "xml"}),
            "Invalid value for 'response_format.type': 'xml'. Supported values are: 'text', 'json_object', "
            "'json_schema'.",
        ),
        (
            chat(response_format={"type": "json_object"}),
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
        ),
        (
            JSON | {"tool_choice": "required"},
            "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
        ),
        (
            chat(top_logprobs=1),
            "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.",
        ),
        (
            chat(tools=[]),
            "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead.",
        ),
        (
            chat(messages=[{"role": "tool", "tool_call_id": "x", "content": ""}]),
            "Invalid parameter: messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
        ),
        (
            chat(tool_choice={"type": "function", "function": {"name": "nope"}}),
            "Invalid value for 'tool_choice': no function named 'nope' was specified in the 'tools' parameter.",
        ),
        (chat(model="gpt-9"), "The model 'gpt-9' does not exist. This server serves 'bodkin-26m'."),
        (
            chat(messages=[{"role": "user", "content": [{"type": "image_url"}]}]),
            "Images are not supported: Bodkin reads text only.",
        ),
    ],
)
def test_messages(client: TestClient, body: Any, message: str) -> None:
    assert client.post("/v1/chat/completions", json=body).json()["error"]["message"] == message


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (SchemaError("'if' is not supported.", "tools[0].function.parameters.if"), "invalid_function_parameters"),
        (ContextLengthError("Too long by 3 tokens.", "tools[0].function.parameters.if"), "context_length_exceeded"),
        (RequestError("No.", "tools[0].function.parameters.if"), None),
    ],
)
def test_the_engines_refusals(
    client: TestClient, engine: FakeEngine, refusal: RequestError, code: str | None, stream: bool
) -> None:
    engine.refusal = refusal
    response = client.post("/v1/chat/completions", json=chat(stream=stream))
    assert response.status_code == 400
    assert response.json() == {
        "error": {
            "message": refusal.message,
            "type": "invalid_request_error",
            "param": "tools[0].function.parameters.if",
            "code": code,
        }
    }
    engine.refusal = None
    assert client.post("/v1/chat/completions", json=chat(stream=stream)).status_code == 200


def test_stream_options_need_a_stream(client: TestClient) -> None:
    error = client.post("/v1/chat/completions", json=chat(stream_options={"include_usage": True})).json()["error"]
    assert error == {
        "message": "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
        "type": "invalid_request_error",
        "param": "stream_options",
        "code": None,
    }


def test_the_engines_refusal_of_an_answers_schema(client: TestClient, engine: FakeEngine) -> None:
    engine.refusal = SchemaError("no", "response.parameters.properties.a.if")
    error = client.post("/v1/chat/completions", json=JSON).json()["error"]
    assert (error["param"], error["code"]) == (
        "response_format.json_schema.schema.properties.a.if",
        "invalid_json_schema",
    )


def test_the_engines_refusal_names_what_a_legacy_client_sent(client: TestClient, engine: FakeEngine) -> None:
    engine.refusal = SchemaError("no", "tools[0].function.parameters.if")
    body = without("tools") | {"functions": [{"name": "a"}]}
    response = client.post("/v1/chat/completions", json=body)
    assert response.json()["error"]["param"] == "functions[0].parameters.if"


def test_an_unexpected_failure_tells_nothing_but_the_request_id(
    client: TestClient, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    def script(request: GenerationRequest) -> Any:
        raise ValueError("secret detail")

    engine.script = script
    response = client.post("/v1/chat/completions", json=chat(), headers={"x-request-id": "mine-1"})
    assert response.status_code == 500
    assert response.headers["x-request-id"] == "mine-1"
    assert response.headers["x-should-retry"] == "true"
    assert response.json() == {
        "error": {
            "message": "The server had an error while processing your request (request id mine-1).",
            "type": "server_error",
            "param": None,
            "code": None,
        }
    }
    assert "secret detail" in caplog.text
    engine.script = engine.obey
    assert client.post("/v1/chat/completions", json=chat()).status_code == 200


def test_a_stream_without_an_end_is_a_failure(client: TestClient, engine: FakeEngine) -> None:
    def script(request: GenerationRequest) -> Any:
        nothing: list[Event] = []
        return iter(nothing)

    engine.script = script
    assert client.post("/v1/chat/completions", json=chat()).status_code == 500


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "message"),
    [
        (
            "POST",
            "/v1/chat/completions/",
            404,
            "unknown_url",
            "Invalid URL (POST /v1/chat/completions/). Did you mean POST /v1/chat/completions?",
        ),
        (
            "GET",
            "/v1/chat/completions",
            405,
            "method_not_supported",
            "Not allowed to GET on /v1/chat/completions: use POST.",
        ),
        ("DELETE", "/v1/models", 405, "method_not_supported", "Not allowed to DELETE on /v1/models: use GET."),
        (
            "DELETE",
            "/v1/models/bodkin-26m",
            405,
            "method_not_supported",
            "Not allowed to DELETE on /v1/models/bodkin-26m: use GET.",
        ),
    ],
)
def test_addresses(client: TestClient, method: str, path: str, status: int, code: str, message: str) -> None:
    response = client.request(method, path)
    assert response.status_code == status
    assert response.json() == {
        "error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    }
    if status == 405:
        assert response.headers["allow"]


def test_a_long_request_is_not_repeated_in_full(client: TestClient, engine: FakeEngine) -> None:
    engine.refusal = RequestError("no " * 10_000, "tools[0].function.parameters.properties." + "x" * 10_000)
    error = client.post("/v1/chat/completions", json=chat()).json()["error"]
    assert len(error["message"]) == len(error["param"]) == 1000
    assert error["message"].startswith("no no") and error["message"].endswith("...")


def test_every_error_has_its_own_meaning() -> None:
    """Statuses and codes as documented at the top of the module."""

    def tree(error: type[APIError]) -> list[type[APIError]]:
        return [error, *(leaf for child in error.__subclasses__() for leaf in tree(child))]

    assert {error.__name__: error.status for error in tree(APIError)} == {
        "APIError": 500,
        "InvalidRequestError": 400,
        "UnsupportedError": 400,
        "AuthenticationError": 401,
        "NotFoundError": 404,
        "MethodError": 405,
        "BodyTooLargeError": 413,
        "QueueFullError": 429,
        "NotReadyError": 503,
        "InternalError": 500,
    }
