"""The real server process on the shipped artifact, driven by the official client over a socket."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import openai
import pytest

from model.manifest import read_manifest

ROOT = Path(__file__).resolve().parents[2]
ARTIFACT = ROOT / "model" / "artifact"

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not (ARTIFACT / "manifest.json").exists(), reason="no artifact has been shipped yet"),
]

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Name of the city"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
EMAIL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "send_email",
        "description": "Send an email.",
        "parameters": {
            "type": "object",
            "properties": {"to": {"type": "string"}, "subject": {"type": "string"}},
            "required": ["to", "subject"],
            "additionalProperties": False,
        },
    },
}
SCHEMAS = {tool["function"]["name"]: tool["function"]["parameters"] for tool in (WEATHER, EMAIL)}
NAMED = {"type": "function", "function": {"name": "send_email"}}


def chat(**fields: Any) -> dict[str, Any]:
    body = {
        "model": "bodkin-26m",
        "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
        "tools": [WEATHER, EMAIL],
    }
    return {**body, **fields}


def asking_with(parameters: Any) -> dict[str, Any]:
    return chat(tools=[WEATHER, {"type": "function", "function": {"name": "broken", "parameters": parameters}}])


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BODKIN_")}
    output = tmp_path_factory.mktemp("server") / "output.txt"
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "serve", "--port", str(port)],
            cwd=ROOT,
            env=environment,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while not _is_ready(url):
            assert process.poll() is None and time.monotonic() < deadline, output.read_text()
            time.sleep(0.05)
        yield url
        assert process.poll() is None, output.read_text()
        assert "Traceback" not in output.read_text()
    finally:
        process.terminate()
        process.wait(timeout=20)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def sdk(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def calls(message: Any) -> list[tuple[str, dict[str, Any]]]:
    """The calls of a message, each checked against its schema."""
    found = []
    for call in message.tool_calls or []:
        arguments = json.loads(call.function.arguments)
        jsonschema.validate(arguments, SCHEMAS[call.function.name])
        found.append((call.function.name, arguments))
    return found


def test_the_example_of_the_readme(sdk: openai.OpenAI) -> None:
    completion = sdk.chat.completions.create(**chat())
    choice = completion.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    ((name, arguments),) = calls(choice.message)
    assert name == "get_weather"
    assert arguments["city"] == "Paris"
    assert completion.usage is not None and completion.usage.total_tokens > 0
    confidences = [completion.bodkin["confidence"], *completion.bodkin["calls"]]
    if read_manifest(ARTIFACT).calibration is None:
        assert confidences == [None, None]
    else:
        assert all(0 < confidence < 1 for confidence in confidences)


@pytest.mark.parametrize("fields", [{}, {"tool_choice": NAMED}, {"tool_choice": "none"}, {"max_tokens": 1000}])
def test_streaming_gives_the_same(sdk: openai.OpenAI, fields: dict[str, Any]) -> None:
    whole = sdk.chat.completions.create(**chat(**fields))
    with sdk.chat.completions.stream(**chat(**fields, stream_options={"include_usage": True})) as stream:
        for _ in stream:
            pass
        streamed = stream.get_final_completion()
    assert calls(streamed.choices[0].message) == calls(whole.choices[0].message)
    assert streamed.choices[0].finish_reason == whole.choices[0].finish_reason
    assert (streamed.choices[0].message.content or "") == (whole.choices[0].message.content or "")
    assert streamed.usage is not None and whole.usage is not None
    assert streamed.usage.completion_tokens == whole.usage.completion_tokens
    assert streamed.usage.prompt_tokens == whole.usage.prompt_tokens


def test_named(sdk: openai.OpenAI) -> None:
    choice = sdk.chat.completions.create(**chat(tool_choice=NAMED)).choices[0]
    assert [name for name, _ in calls(choice.message)] == ["send_email"]
    assert choice.finish_reason == "stop"


def test_required(sdk: openai.OpenAI) -> None:
    messages = [{"role": "user", "content": "Thanks, that is all."}]
    choice = sdk.chat.completions.create(**chat(tool_choice="required", messages=messages)).choices[0]
    assert len(calls(choice.message)) >= 1
    assert choice.finish_reason == "tool_calls"


def test_none(sdk: openai.OpenAI) -> None:
    choice = sdk.chat.completions.create(**chat(tool_choice="none")).choices[0]
    assert (choice.message.tool_calls, choice.message.content, choice.finish_reason) == (None, "", "stop")


def test_one_call_at_most(sdk: openai.OpenAI) -> None:
    messages = [{"role": "user", "content": "What is the weather in Paris, in Rome and in Oslo?"}]
    choice = sdk.chat.completions.create(**chat(messages=messages, parallel_tool_calls=False)).choices[0]
    assert len(calls(choice.message)) <= 1


def test_a_budget_that_is_too_small_is_length(sdk: openai.OpenAI) -> None:
    choice = sdk.chat.completions.create(**chat(tool_choice=NAMED, max_tokens=1)).choices[0]
    assert choice.finish_reason == "length"
    assert calls(choice.message) == []


BAD: list[tuple[Any, int, str | None, str | None]] = [
    (chat(model="gpt-9"), 404, "model", "model_not_found"),
    (chat(tools=[]), 400, "tools", "empty_array"),
    (chat(tools=None), 400, "tools", "missing_required_parameter"),
    (chat(messages=[]), 400, "messages", "empty_array"),
    (chat(temperature=5), 400, "temperature", "decimal_above_max_value"),
    (chat(n=129), 400, "n", "integer_above_max_value"),
    (chat(tool_choice={"type": "function", "function": {"name": "nope"}}), 400, "tool_choice", "invalid_value"),
    (
        chat(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]),
        400,
        "messages[0].content[0]",
        "unsupported_value",
    ),
    (
        chat(messages=[{"role": "user", "content": "word " * 100_000}]),
        400,
        "messages",
        "context_length_exceeded",
    ),
]
BROKEN_SCHEMAS: list[Any] = [
    {"type": "object", "properties": {"a": {"type": "strin"}}},
    {"type": "object", "properties": {"a": {"$ref": "#/$defs/nowhere"}}},
    {"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}},
    {"type": "array", "items": {"type": "string"}},
    {"type": "object", "properties": [1]},
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("body", "status", "param", "code"), BAD)
def test_bad_requests(
    url: str, sdk: openai.OpenAI, body: Any, status: int, param: str | None, code: str | None, stream: bool
) -> None:
    response = httpx.post(f"{url}/v1/chat/completions", json={**body, "stream": stream}, timeout=60)
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)
    assert calls(sdk.chat.completions.create(**chat()).choices[0].message)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("parameters", BROKEN_SCHEMAS)
def test_broken_schemas_name_their_tool(url: str, sdk: openai.OpenAI, parameters: Any, stream: bool) -> None:
    body = {**asking_with(parameters), "stream": stream}
    response = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60)
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_function_parameters")
    assert error["param"].startswith("tools[1].function.parameters")
    assert calls(sdk.chat.completions.create(**chat()).choices[0].message)


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "invalid_json"),
        (b"{", 400, "invalid_json"),
        (b"\xff\xfe", 400, "invalid_json"),
        (b"[" * 100_000, 400, "invalid_json"),
        (b'{"model": NaN}', 400, "invalid_json"),
        (b'{"model": "\\ud800"}', 400, "invalid_json"),
        (b"x" * 2_000_000, 413, "request_too_large"),
    ],
)
def test_bad_bodies(url: str, sdk: openai.OpenAI, content: bytes, status: int, code: str) -> None:
    response = httpx.post(f"{url}/v1/chat/completions", content=content)
    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    assert calls(sdk.chat.completions.create(**chat()).choices[0].message)


def test_unknown_addresses(url: str) -> None:
    assert httpx.get(f"{url}/nowhere").json()["error"]["code"] == "unknown_url"
    assert httpx.get(f"{url}/v1/chat/completions").json()["error"]["code"] == "method_not_supported"


def test_a_client_that_leaves_does_no_harm(url: str, sdk: openai.OpenAI) -> None:
    for _ in range(5):
        with httpx.stream("POST", f"{url}/v1/chat/completions", json=chat(stream=True)) as response:
            next(response.iter_bytes())
    assert calls(sdk.chat.completions.create(**chat()).choices[0].message)
