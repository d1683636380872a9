from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from model.errors import SchemaError
from model.types import ArgumentsDelta, CallStarted, Event, Finished, GenerationRequest
from tests.conftest import PARIS, FakeEngine, chat, events, result, wait_until


def data(text: str) -> list[Any]:
    """The payloads of a stream; fails on anything that is not a frame."""
    frames = text.split("\n\n")
    assert frames.pop() == ""
    assert all(frame.startswith("data: ") and "\n" not in frame for frame in frames)
    return [frame[6:] if frame == "data: [DONE]" else json.loads(frame[6:]) for frame in frames]


def test_whole_answer(client: TestClient, engine: FakeEngine) -> None:
    response = client.post("/v1/chat/completions", json=chat())
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert body["id"].startswith("chatcmpl-")
    assert body["system_fingerprint"].startswith("fp_")
    assert body["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == '{"city":"Paris"}'
    assert engine.closed == 1


def test_streamed_answer(client: TestClient, engine: FakeEngine) -> None:
    response = client.post(
        "/v1/chat/completions", json=chat(stream=True, stream_options={"include_usage": True, "x": 1})
    )
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    *chunks, done = data(response.text)
    assert done == "[DONE]"
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[-1]["usage"]["total_tokens"] == 47
    assert engine.closed == 1


def test_none_and_forced(client: TestClient) -> None:
    none = client.post("/v1/chat/completions", json=chat(tool_choice="none")).json()["choices"][0]
    assert (none["message"]["content"], none["finish_reason"]) == ("", "stop")
    choice = {"type": "function", "function": {"name": "get_time"}}
    forced = client.post("/v1/chat/completions", json=chat(tool_choice=choice)).json()["choices"][0]
    assert forced["message"]["tool_calls"][0]["function"]["name"] == "get_time"
    assert forced["finish_reason"] == "stop"


def test_events_are_sent_as_they_come(url: str, engine: FakeEngine) -> None:
    go_on = threading.Event()

    def script(request: GenerationRequest) -> Iterator[Event]:
        yield CallStarted(0, "get_weather")
        assert go_on.wait(5)
        yield ArgumentsDelta(0, PARIS.arguments)
        yield Finished(result(PARIS))

    engine.script = script
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=chat(stream=True)) as response:
        lines = (line for line in response.iter_lines() if line)
        assert '"role":"assistant"' in next(lines)
        assert '"name":"get_weather"' in next(lines)
        go_on.set()
        assert list(lines)[-1] == "data: [DONE]"


def test_a_failure_in_the_middle_of_a_stream_is_a_frame(
    client: TestClient, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    def script(request: GenerationRequest) -> Iterator[Event]:
        yield CallStarted(0, "get_weather")
        raise ValueError("secret detail")

    engine.script = script
    response = client.post("/v1/chat/completions", json=chat(stream=True), headers={"x-request-id": "mine-2"})
    assert response.status_code == 200
    *_, last = data(response.text)
    assert last == {
        "error": {
            "message": "The server had an error while processing your request (request id mine-2).",
            "type": "server_error",
            "param": None,
            "code": None,
        }
    }
    assert "secret detail" in caplog.text
    engine.script = engine.obey
    assert client.post("/v1/chat/completions", json=chat(stream=True)).text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_stops_the_generation(url: str, engine: FakeEngine, stream: bool) -> None:
    def endless(request: GenerationRequest) -> Iterator[Event]:
        yield CallStarted(0, "get_weather")
        while True:
            threading.Event().wait(0.01)
            yield ArgumentsDelta(0, " ")

    engine.script = endless
    with httpx.Client(base_url=url, timeout=30 if stream else 0.3) as client:
        if stream:
            with client.stream("POST", "/v1/chat/completions", json=chat(stream=True)) as response:
                next(response.iter_lines())
        else:
            with pytest.raises(httpx.ReadTimeout):
                client.post("/v1/chat/completions", json=chat())
    wait_until(lambda: engine.closed == 1)
    assert engine.running == 0
    engine.script = engine.obey
    assert httpx.post(f"{url}/v1/chat/completions", json=chat()).status_code == 200


def test_everything_that_is_logged_about_an_answer(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "bodkin.access")
    for stream in (False, True):
        caplog.clear()
        client.post("/v1/chat/completions", json=chat(stream=stream))
        line = json.loads(caplog.messages[-1])
        assert line.pop("ms") >= 0
        assert line.pop("request_id").startswith("req_")
        assert line.pop("stream", False) is stream
        assert line == {
            "method": "POST",
            "path": "/v1/chat/completions",
            "status": 200,
            "model": "bodkin-26m",
            "version": "given",
            "calls": 1,
            "finish_reason": "tool_calls",
            "confidence": 0.93,
            "prompt_tokens": 40,
            "completion_tokens": 7,
        }


def test_without_calibration_the_confidence_is_null(
    client: TestClient, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "bodkin.access")
    engine.answer(PARIS, confidence=None)
    whole = client.post("/v1/chat/completions", json=chat()).json()
    assert whole["bodkin"] == {"confidence": None, "calls": [None], "evidence": []}
    *chunks, _ = data(client.post("/v1/chat/completions", json=chat(stream=True)).text)
    assert chunks[-1]["bodkin"] == {"confidence": None, "calls": [None], "evidence": []}
    assert [json.loads(message)["confidence"] for message in caplog.messages] == [None, None]
    engine.answer(PARIS, confidence=0.98765)
    whole = client.post("/v1/chat/completions", json=chat()).json()
    assert whole["bodkin"] == {"confidence": 0.9877, "calls": [0.95], "evidence": []}


ANSWER: dict[str, Any] = {
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "place", "schema": {"type": "object", "properties": {"city": {"type": "string"}}}},
    }
}


def test_an_answer_by_a_schema(client: TestClient, engine: FakeEngine) -> None:
    body = {key: value for key, value in chat().items() if key != "tools"} | ANSWER
    choice = client.post("/v1/chat/completions", json=body).json()["choices"][0]
    assert choice["message"] == {
        "role": "assistant",
        "content": '{"city":"Paris"}',
        "refusal": None,
        "annotations": [],
    }
    assert choice["finish_reason"] == "stop"
    (request,) = engine.requests
    assert request.response is not None
    assert (request.response.name, request.tools) == ("place", ())


def test_several_choices_are_logged_as_one_answer(
    client: TestClient, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "bodkin.access")
    for stream in (False, True):
        caplog.clear()
        engine.requests.clear()
        response = client.post("/v1/chat/completions", json=chat(stream=stream, n=3, seed=7, temperature=1))
        assert response.status_code == 200
        assert [request.seed for request in engine.requests] == [7, 8, 9]
        line = json.loads(caplog.messages[-1])
        assert (line["calls"], line["prompt_tokens"], line["completion_tokens"]) == (1, 40, 21)


def test_many_equal_choices_are_computed_once(client: TestClient, engine: FakeEngine) -> None:
    body = client.post("/v1/chat/completions", json=chat(n=128)).json()
    assert len(body["choices"]) == 128
    assert len(engine.requests) == 1


def test_a_stop_sequence_in_a_stream(client: TestClient, engine: FakeEngine) -> None:
    engine.answer(text='{"city":"Paris"}')
    *chunks, done = data(client.post("/v1/chat/completions", json=chat(stream=True, stop="ris", **ANSWER)).text)
    assert done == "[DONE]"
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == '{"city":"Pa'
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_a_refused_schema_is_refused_before_the_headers(client: TestClient, engine: FakeEngine) -> None:
    engine.refusal = SchemaError("no", "response.parameters.if")
    for stream in (False, True):
        response = client.post("/v1/chat/completions", json=chat(stream=stream, **ANSWER))
        assert response.status_code == 400
        assert response.json()["error"]["param"] == "response_format.json_schema.schema.if"


def test_text_is_sent_as_it_is(client: TestClient, engine: FakeEngine) -> None:
    arguments = '{"city":"Zürich\\n\\n😀 "}'
    engine.script = lambda request: events(result(type(PARIS)("get_weather", arguments)))
    *chunks, _ = data(client.post("/v1/chat/completions", json=chat(stream=True)).text)
    pieces = [call["function"]["arguments"] for c in chunks for call in c["choices"][0]["delta"].get("tool_calls", [])]
    assert "".join(pieces) == arguments
