from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from fastapi.testclient import TestClient

from app.body import MAX_DEPTH, parse_json
from app.errors import InvalidRequestError
from app.settings import Settings
from tests.conftest import WEATHER, FakeEngine, chat


@pytest.fixture
def settings() -> Settings:
    return Settings(max_body_bytes=4096)


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "is empty"),
        (b" \n ", "is empty"),
        (b"{", "not valid JSON: Expecting property name enclosed in double quotes (line 1, column 2)"),
        (b'{"a": 1,}', "not valid JSON"),
        (b'{"a": 1} x', "Extra data"),
        (b'{"a": "\xff"}', "not valid UTF-8 (byte 7)"),
        ("{}".encode("utf-16"), "not valid UTF-8"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b'{"a": -Infinity}', "-Infinity is not a JSON number"),
        (b'{"a": 1e999}', "the number 1e999 is too large"),
        (b'{"a": ' + b"9" * 400 + b"}", "is too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "is too large"),
        (b'{"a": "\\ud83d"}', "unpaired surrogate"),
        (b'{"\\uDC00": 1}', "unpaired surrogate"),
        (nested(MAX_DEPTH + 1), "nested more than"),
        (b"[" * 200_000, "nested more than"),
        (b'{"a":' * 200_000, "nested more than"),
    ],
)
def test_refused(body: bytes, words: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_json(body)
    assert words in caught.value.message
    assert caught.value.code == "invalid_json"
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    "body", [b"{}", nested(MAX_DEPTH), b'{"a": "\\ud83d\\ude00", "b": 1e300, "c": -5}', '{"a": "ü😀"}'.encode()]
)
def test_accepted(body: bytes) -> None:
    assert parse_json(body) == json.loads(body)


def test_the_limit_is_exact(client: TestClient) -> None:
    fits = json.dumps(chat()).encode().ljust(4096)
    assert client.post("/v1/chat/completions", content=fits).status_code == 200
    response = client.post("/v1/chat/completions", content=fits + b" ")
    assert response.status_code == 413
    assert response.json()["error"] == {
        "message": "The request body is larger than this server's limit of 4096 bytes.",
        "type": "invalid_request_error",
        "param": None,
        "code": "request_too_large",
    }


@pytest.mark.parametrize("size", [5000, 200_000, 2_000_000])
def test_a_large_body_is_answered_over_a_socket_chunked_or_not(url: str, size: int) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(size // 1000):
            yield b"x" * 1000

    with httpx.Client(base_url=url) as client:
        for content in (b"x" * size, chunks()):
            # Far beyond the limit the server hangs up, and the client may see that instead of the answer.
            try:
                response = client.post("/v1/chat/completions", content=content)
            except httpx.TransportError:
                assert size > 64 * 4096
            else:
                assert response.status_code == 413
        assert client.post("/v1/chat/completions", json=chat()).status_code == 200


def test_the_content_type_does_not_matter(client: TestClient) -> None:
    body = json.dumps(chat()).encode()
    for headers in ({}, {"content-type": "text/plain"}, {"content-type": "application/x-www-form-urlencoded"}):
        assert client.post("/v1/chat/completions", content=body, headers=headers).status_code == 200


def test_nothing_of_the_body_is_lost_on_the_way(client: TestClient, engine: FakeEngine) -> None:
    parameters = {**WEATHER["function"]["parameters"], "x-note": ["ü", None, 1.5, {"deep": [True]}]}
    tools = [{"type": "function", "function": {"name": "f", "parameters": parameters}}]
    assert client.post("/v1/chat/completions", json=chat(tools=tools)).status_code == 200
    assert engine.requests[0].tools[0].parameters == parameters
