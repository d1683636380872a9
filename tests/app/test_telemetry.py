from __future__ import annotations

import json

import pytest
from fastapi.testclient import TestClient

from app.telemetry import TelemetryMiddleware
from tests.conftest import FakeEngine, chat


def test_headers(client: TestClient) -> None:
    headers = client.get("/healthz").headers
    assert headers["x-request-id"].startswith("req_")
    assert int(headers["openai-processing-ms"]) >= 0
    assert headers["openai-version"] == "2020-10-01"
    assert "x-should-retry" not in headers


def test_headers_of_streams(client: TestClient) -> None:
    headers = client.post("/v1/chat/completions", json=chat(stream=True)).headers
    assert headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("given", ["abc", "A-1_b.c:d", "x" * 128])
def test_a_sane_request_id_is_kept(client: TestClient, given: str) -> None:
    assert client.get("/healthz", headers={"x-request-id": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "a b", 'a"b', "x" * 129, "a\tb", b"\xfc"])
def test_other_request_ids_are_replaced(client: TestClient, given: str | bytes) -> None:
    name = b"x-request-id"
    headers = [(name, given.encode() if isinstance(given, str) else given)]
    assert client.get("/healthz", headers=headers).headers["x-request-id"].startswith("req_")


def test_should_retry(client: TestClient, engine: FakeEngine) -> None:
    assert client.get("/nowhere").headers["x-should-retry"] == "false"
    engine.refusal = ValueError()
    assert client.post("/v1/chat/completions", json=chat()).headers["x-should-retry"] == "true"


def test_access_log(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "bodkin.access")
    client.get('/v1/models/%0A"x"?key=secret', headers={"x-request-id": "mine"})
    (message,) = [record.getMessage() for record in caplog.records if record.name == "bodkin.access"]
    line = json.loads(message)
    assert line.pop("ms") >= 0
    assert line == {
        "request_id": "mine",
        "method": "GET",
        "path": '/v1/models/\n"x"',
        "status": 404,
        "error": "unknown_url",
    }
    assert "\n" not in message, "one line, whatever is asked for"


async def test_half_an_answer_is_broken_off(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]
        raise ValueError("late")

    async def send(message: object) -> None:
        pass

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    with pytest.raises(ValueError, match="late"):
        await TelemetryMiddleware(app)(scope, None, send)  # type: ignore[arg-type]
    assert "late" in caplog.text
