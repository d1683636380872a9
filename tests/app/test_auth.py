from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from app.auth import check_key
from app.errors import AuthenticationError
from app.settings import Settings
from tests.conftest import FakeEngine, chat


@pytest.fixture
def settings() -> Settings:
    return Settings(api_keys=("first", "schlüssel"))


@pytest.mark.parametrize("header", ["Bearer first", "bearer first", "Bearer  first ", "Bearer schlüssel"])
def test_good_keys(header: str) -> None:
    check_key(header, ("first", "schlüssel"))


@pytest.mark.parametrize(
    "header", [None, "", "first", "Basic first", "Bearer", "Bearer ", "Bearer firs", "Bearer firstt"]
)
def test_bad_keys(header: str | None) -> None:
    with pytest.raises(AuthenticationError):
        check_key(header, ("first", "schlüssel"))


def test_without_keys_everybody_may_come_in() -> None:
    check_key(None, ())


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/bodkin-26m", "/v1/nowhere"])
def test_everything_under_v1_is_guarded(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["x-should-retry"] == "false"
    assert response.json() == {
        "error": {
            "message": "You didn't provide an API key. Send it as a bearer token: 'Authorization: Bearer YOUR_KEY'.",
            "type": "invalid_request_error",
            "param": None,
            "code": "invalid_api_key",
        }
    }


def test_a_wrong_key_is_refused_before_the_body_is_read(client: TestClient, engine: FakeEngine) -> None:
    response = client.post("/v1/chat/completions", content=b"not json", headers={"authorization": "Bearer wrong"})
    assert response.status_code == 401
    assert response.json()["error"]["message"] == "Incorrect API key provided."
    assert engine.requests == []


def test_a_right_key_passes(client: TestClient) -> None:
    response = client.post("/v1/chat/completions", json=chat(), headers={"authorization": "Bearer first"})
    assert response.status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json"])
def test_probes_and_documentation_stay_open(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 200
