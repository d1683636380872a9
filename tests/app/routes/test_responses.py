from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from model.errors import ContextLengthError, SchemaError
from model.types import ArgumentsDelta, CallStarted, Event, Finished, GenerationRequest
from tests.app.responses import CALL, FLAT_TIME, FORMAT, OUTPUT, QUESTION, ask, check_event, check_response, frames
from tests.conftest import PARIS, FakeEngine, result, wait_until

URL = "/v1/responses"


def test_whole_answer(client: TestClient, engine: FakeEngine) -> None:
    response = client.post(URL, json=ask())
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    check_response(response.json())
    assert response.json()["output"][0]["arguments"] == '{"city":"Paris"}'
    assert engine.closed == 1


def test_streamed_answer(client: TestClient, engine: FakeEngine) -> None:
    response = client.post(URL, json=ask(stream=True))
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    events = frames(response.text)
    for event in events:
        check_event(event)
    assert {event["response"]["id"] for event in events if "response" in event} == {events[0]["response"]["id"]}
    assert events[-1]["type"] == "response.completed"
    assert engine.closed == 1


def test_ids_differ_between_responses(client: TestClient) -> None:
    first, second = (client.post(URL, json=ask()).json() for _ in range(2))
    assert first["id"] != second["id"]
    assert first["output"][0]["call_id"] != second["output"][0]["call_id"]


def test_none_and_forced(client: TestClient) -> None:
    (none,) = client.post(URL, json=ask(tool_choice="none")).json()["output"]
    assert none["content"][0]["text"] == ""
    forced = client.post(URL, json=ask(tool_choice={"type": "function", "name": "get_time"})).json()["output"]
    assert [call["name"] for call in forced] == ["get_time"]


@pytest.mark.parametrize("stream", [True, False])
def test_json_text(client: TestClient, stream: bool) -> None:
    response = client.post(URL, json=ask(tools=None, text={"format": FORMAT}, stream=stream))
    made = frames(response.text)[-1]["response"] if stream else response.json()
    (message,) = made["output"]
    assert json.loads(message["content"][0]["text"]) == {"city": "Paris"}
    assert made["status"] == message["status"] == "completed"


def test_events_are_sent_as_they_come(url: str, engine: FakeEngine) -> None:
    go_on = threading.Event()

    def script(request: GenerationRequest) -> Iterator[Event]:
        yield CallStarted(0, "get_weather")
        assert go_on.wait(5)
        yield ArgumentsDelta(0, PARIS.arguments)
        yield Finished(result(PARIS))

    engine.script = script
    with httpx.stream("POST", f"{url}{URL}", json=ask(stream=True)) as response:
        names = (line[7:] for line in response.iter_lines() if line.startswith("event: "))
        assert [next(names) for _ in range(3)] == [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
        ]
        go_on.set()
        assert list(names)[-1] == "response.completed"


def test_a_failure_in_the_middle_of_a_stream_ends_it(
    client: TestClient, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    def script(request: GenerationRequest) -> Iterator[Event]:
        yield CallStarted(0, "get_weather")
        raise ValueError("secret detail")

    engine.script = script
    response = client.post(URL, json=ask(stream=True), headers={"x-request-id": "mine-2"})
    assert response.status_code == 200
    *_, error, failed = frames(response.text)
    check_event(error)
    check_event(failed)
    assert (error["type"], failed["type"]) == ("error", "response.failed")
    assert "mine-2" in error["message"] and failed["response"]["status"] == "failed"
    assert "secret detail" not in response.text and "secret detail" in caplog.text
    engine.script = engine.obey
    assert frames(client.post(URL, json=ask(stream=True)).text)[-1]["type"] == "response.completed"


def test_a_failure_of_a_whole_answer_is_an_error(client: TestClient, engine: FakeEngine) -> None:
    def script(request: GenerationRequest) -> Iterator[Event]:
        raise ValueError("secret detail")
        yield

    engine.script = script
    response = client.post(URL, json=ask())
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "server_error" and "secret" not in response.text


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("refused", "param", "code"),
    [
        (
            SchemaError("No.", "tools[0].function.parameters.if"),
            "tools[1].parameters.if",
            "invalid_function_parameters",
        ),
        (SchemaError("No.", "response.parameters.if"), "text.format.schema.if", "invalid_json_schema"),
        (ContextLengthError("Too long.", "messages"), "input", "context_length_exceeded"),
    ],
)
def test_refusals_of_the_engine_are_in_the_clients_terms(
    client: TestClient, engine: FakeEngine, stream: bool, refused: Exception, param: str, code: str
) -> None:
    engine.refusal = refused
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": FLAT_TIME["name"]}]}
    response = client.post(URL, json=ask(stream=stream, tool_choice=choice, text={"format": FORMAT}))
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["param"], error["code"], error["type"]) == (param, code, "invalid_request_error")


@pytest.mark.parametrize("stream", [True, False])
def test_refusals_come_before_the_headers(client: TestClient, engine: FakeEngine, stream: bool) -> None:
    for fields, status in (({"tools": [{"type": "web_search"}]}, 400), ({"model": "gpt-9"}, 404)):
        response = client.post(URL, json=ask(stream=stream, **fields))
        assert response.status_code == status
        assert response.headers["content-type"] == "application/json"
    assert engine.requests == []


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_stops_the_generation(url: str, engine: FakeEngine, stream: bool) -> None:
    def endless(request: GenerationRequest) -> Iterator[Event]:
        yield CallStarted(0, "get_weather")
        while True:
            threading.Event().wait(0.01)
            yield ArgumentsDelta(0, " ")

    engine.script = endless
    body = json.dumps(ask(stream=stream))
    head = f"POST {URL} HTTP/1.1\r\nhost: test\r\ncontent-length: {len(body)}\r\n\r\n"
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall((head + body).encode())
        wait_until(lambda: engine.running == 1)
    wait_until(lambda: engine.closed == 1)
    assert engine.running == 0
    engine.script = engine.obey
    assert httpx.post(f"{url}{URL}", json=ask()).status_code == 200


def test_everything_that_is_logged_about_an_answer(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "bodkin.access")
    for stream in (False, True):
        caplog.clear()
        client.post(URL, json=ask(stream=stream))
        line = json.loads(caplog.messages[-1])
        assert line.pop("ms") >= 0
        assert line.pop("request_id").startswith("req_")
        assert line.pop("stream", False) is stream
        assert line == {
            "method": "POST",
            "path": URL,
            "status": 200,
            "model": "bodkin-26m",
            "version": "given",
            "calls": 1,
            "finish_reason": "tool_calls",
            "confidence": 0.93,
            "prompt_tokens": 40,
            "completion_tokens": 7,
        }


def reference(item: dict[str, Any]) -> dict[str, str]:
    return {"type": "item_reference", "id": item["id"]}


@pytest.mark.parametrize("stream", [True, False])
def test_items_can_be_referred_to(client: TestClient, engine: FakeEngine, stream: bool) -> None:
    response = client.post(URL, json=ask(stream=stream))
    (call,) = (frames(response.text)[-1]["response"] if stream else response.json())["output"]
    output = {**OUTPUT, "call_id": call["call_id"]}
    engine.answer()
    answer = client.post(URL, json=ask(input=[QUESTION, reference(call), output], stream=stream))
    (message,) = (frames(answer.text)[-1]["response"] if stream else answer.json())["output"]
    assert message["content"][0]["text"] == "18 °C and sunny"
    assert engine.requests[-1].messages[1].tool_calls == (PARIS,)
    turns = [QUESTION, reference(call), output, reference(message), {"role": "user", "content": "And Rome?"}]
    assert client.post(URL, json=ask(input=turns)).status_code == 200
    assert engine.requests[-1].messages[3].text == "18 °C and sunny"


def test_items_that_are_not_to_be_stored_are_not(client: TestClient) -> None:
    (call,) = client.post(URL, json=ask(store=False)).json()["output"]
    response = client.post(URL, json=ask(input=[QUESTION, reference(call)]))
    assert response.status_code == 404
    assert response.json()["error"]["param"] == "input[1].id"


def test_an_agent_loop_ends_with_the_tools_answer(client: TestClient, engine: FakeEngine) -> None:
    engine.answer()
    made = client.post(URL, json=ask(input=[QUESTION, CALL, OUTPUT])).json()
    assert made["output"][0]["content"][0]["text"] == "18 °C and sunny"
    assert made["status"] == "completed"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{URL}/resp_1"),
        ("DELETE", f"{URL}/resp_1"),
        ("GET", f"{URL}/resp_1/input_items"),
        ("POST", f"{URL}/resp_1/cancel"),
    ],
)
def test_no_response_is_kept(client: TestClient, method: str, path: str) -> None:
    made = client.post(URL, json=ask(store=True)).json()
    for response_id in ("resp_1", made["id"]):
        response = client.request(method, path.replace("resp_1", response_id))
        assert response.status_code == 404
        error = response.json()["error"]
        assert (error["type"], error["code"]) == ("invalid_request_error", "response_not_found")
        assert response_id in error["message"] and "keeps no responses" in error["message"]


def test_keys(engine: FakeEngine) -> None:
    with TestClient(create_app(Settings(api_keys=("right",)), engine)) as client:
        assert client.post(URL, json=ask()).status_code == 401
        assert client.get(f"{URL}/resp_1").status_code == 401
        assert client.post(URL, json=ask(), headers={"authorization": "Bearer right"}).status_code == 200


def test_the_queue_is_bounded(engine: FakeEngine) -> None:
    go_on = threading.Event()

    def script(request: GenerationRequest) -> Iterator[Event]:
        assert go_on.wait(5)
        yield Finished(result())

    engine.script = script
    with TestClient(create_app(Settings(max_concurrency=1, queue_limit=0), engine)) as client:
        first = threading.Thread(target=client.post, args=(URL,), kwargs={"json": ask()})
        first.start()
        try:
            wait_until(lambda: engine.running == 1)
            refused = client.post(URL, json=ask())
            assert refused.status_code == 429 and refused.headers["retry-after"] == "1"
        finally:
            go_on.set()
            first.join()
        assert client.post(URL, json=ask()).status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b'{"input": NaN}', b"[]", b'"input"', b'{"input": "\\ud800"}'])
def test_bodies_that_are_no_requests(client: TestClient, body: bytes) -> None:
    response = client.post(URL, content=body)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"
