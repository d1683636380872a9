from __future__ import annotations

import json

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
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


EMBED = {"model": "bodkin-26m", "input": "a"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/healthz", None, 200),
        ("GET", "/v1/models", None, 200),
        ("GET", "/openapi.json", None, 200),
        ("POST", "/v1/chat/completions", chat(), 200),
        ("POST", "/v1/chat/completions", chat(stream=True), 200),
        ("POST", "/v1/responses", {"model": "bodkin-26m", "input": "a", "tools": [], "stream": True}, 400),
        ("POST", "/v1/embeddings", EMBED, 200),
        ("POST", "/v1/embeddings", {"input": "a"}, 400),
        ("POST", "/v1/embeddings", {**EMBED, "model": "gpt-9"}, 404),
        ("GET", "/v1/nothing", None, 404),
        ("DELETE", "/v1/models", None, 405),
        ("POST", "/v1/embeddings", {**EMBED, "input": "a" * 2**20}, 413),
        ("POST", "/v1/chat/completions", chat(), 429),
        ("POST", "/v1/embeddings", EMBED, 429),
        ("POST", "/v1/embeddings", EMBED, 500),
    ],
)
def test_every_answer_has_openais_headers(
    client: TestClient, engine: FakeEngine, method: str, path: str, body: object, status: int
) -> None:
    if status == 429:
        client.app.state.service._places = 0  # type: ignore[attr-defined]
    if status == 500:
        engine.refusal = ValueError()
    response = client.request(method, path, json=body)
    assert response.status_code == status, response.text
    headers = response.headers
    assert headers["x-request-id"].startswith("req_")
    assert int(headers["openai-processing-ms"]) >= 0
    assert headers["openai-version"] == "2020-10-01"
    assert headers.get("x-should-retry") == (None if status < 400 else "true" if status in (429, 500) else "false")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/nothing", "/v1/chat/completions"])
def test_so_has_the_answer_to_a_stranger(path: str, engine: FakeEngine) -> None:
    response = TestClient(create_app(Settings(api_keys=("k",)), engine)).get(path)
    assert response.status_code == 401
    assert response.headers["x-request-id"].startswith("req_")
    assert response.headers["x-should-retry"] == "false"
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/readyz", "/v1/models/bodkin-26m"])
def test_so_has_the_answer_before_there_is_a_model(path: str) -> None:
    response = TestClient(create_app(Settings())).get(path)
    assert response.status_code == 503
    assert response.headers["x-request-id"].startswith("req_")
    assert (response.headers["x-should-retry"], response.headers["retry-after"]) == ("true", "1")


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
