"""What /docs says about chat requests is what the server accepts: the same bodies, judged by the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from tests.app.test_errors import BAD, JSON
from tests.conftest import TIME, FakeEngine, chat

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
# What JSON Schema cannot say: that a name or an id occurs elsewhere, or only once, or a word in a text.
BEYOND_A_SCHEMA = {
    "The model 'gpt-9' does not exist.",
    "must be a response to a preceding message",
    "not found in 'tool_calls' of previous message",
    "is declared twice",
    "no function named",
    "must contain the word 'json'",
    "'get_weather\\n' does not match",  # nor can Python's validator see this: its $ matches before a line feed, too
}


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(create_app(Settings(), FakeEngine())) as client:
        yield client


@pytest.fixture(scope="module")
def validator(client: TestClient) -> jsonschema.Draft202012Validator:
    document = client.get("/openapi.json").json()
    return jsonschema.Draft202012Validator({**document, "$ref": "#/components/schemas/ChatCompletionRequest"})


@pytest.mark.parametrize("body", [body for body, *_ in BAD])
def test_what_is_refused_is_invalid(validator: jsonschema.Draft202012Validator, client: TestClient, body: Any) -> None:
    message = client.post("/v1/chat/completions", json=body).json()["error"]["message"]
    assert validator.is_valid(body) == any(reason in message for reason in BEYOND_A_SCHEMA), message


ALLOWED = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "get_time"}}]}


@pytest.mark.parametrize(
    "body",
    [
        chat(),
        chat(messages=[{"role": "user"}, {"role": "assistant", "content": None, "refusal": "no"}]),
        chat(messages=[{"role": "user", "content": [{"type": "text", "text": "?"}], "name": "ann"}]),
        chat(messages=[{"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}]),
        chat(messages=[{"role": "function", "name": "f", "content": "5"}]),
        chat(tools=None, functions=[TIME["function"]], function_call={"name": "get_time"}),
        chat(functions=None, tool_choice="required", stop=None, top_logprobs=None, stream_options=None, n=None),
        chat(tool_choice={"type": "function", "function": {"name": "get_time"}}),
        chat(tool_choice={"type": "allowed_tools", "allowed_tools": ALLOWED}),
        chat(stop="x", n=2, logprobs=True, top_logprobs=20, seed=-5, temperature=0.5, top_p=1, max_tokens=5),
        chat(stop=["a", "b", "c", "d"], modalities=["text"], web_search_options=None, top_logprobs=0),
        chat(stop=[], response_format={"type": "text"}),
        chat(stream=True, stream_options={"include_usage": True, "include_obfuscation": False}),
        JSON,
        JSON | {"tool_choice": "none"},
        JSON | {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}},
        JSON | {"response_format": {"type": "json_object"}, "messages": [{"role": "user", "content": "JSON!"}]},
    ],
)
def test_what_is_valid_is_accepted(validator: jsonschema.Draft202012Validator, client: TestClient, body: Any) -> None:
    assert [error.message for error in validator.iter_errors(body)] == []
    response = client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
