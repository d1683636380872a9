from __future__ import annotations

import threading

import pytest
from fastapi.testclient import TestClient

import app.main
from app.main import create_app
from app.settings import Settings
from model.errors import ArtifactError
from tests.conftest import FakeEngine, chat, wait_until


def test_while_loading_503_then_ready(monkeypatch: pytest.MonkeyPatch, engine: FakeEngine) -> None:
    loaded = threading.Event()
    seen: list[Exception | None] = []

    def slowly(settings: Settings) -> FakeEngine:
        assert loaded.wait(5)
        return engine

    monkeypatch.setattr(app.main, "build_engine", slowly)
    with TestClient(create_app(Settings(), on_load=seen.append)) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/v1/models").status_code == 200
        for response in (client.get("/readyz"), client.post("/v1/chat/completions", json=chat())):
            assert response.status_code == 503
            assert response.headers["retry-after"] == "1"
            assert response.headers["x-should-retry"] == "true"
            assert response.json() == {
                "error": {
                    "message": "The model is still being loaded; try again in a moment.",
                    "type": "server_error",
                    "param": None,
                    "code": "model_not_ready",
                }
            }
        assert client.post("/v1/chat/completions", json=chat(temperature=9)).status_code == 400
        loaded.set()
        wait_until(lambda: client.get("/readyz").status_code == 200)
        assert client.post("/v1/chat/completions", json=chat()).status_code == 200
    assert seen == [None]


def test_a_failed_load_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    failure = ArtifactError("manifest.json is missing.")
    seen: list[Exception | None] = []

    def fail(settings: Settings) -> FakeEngine:
        raise failure

    monkeypatch.setattr(app.main, "build_engine", fail)
    with TestClient(create_app(Settings(), on_load=seen.append)) as client:
        wait_until(lambda: bool(seen))
        response = client.post("/v1/chat/completions", json=chat())
    assert seen == [failure]
    assert response.status_code == 503
    assert response.json()["error"]["message"] == "The model could not be loaded; the server's log says why."


def test_a_failed_load_is_logged_when_nobody_listens(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(settings: Settings) -> FakeEngine:
        raise ArtifactError("manifest.json is missing.")

    monkeypatch.setattr(app.main, "build_engine", fail)
    with TestClient(create_app(Settings())):
        wait_until(lambda: "manifest.json is missing." in caplog.text)


def test_a_full_queue(engine: FakeEngine) -> None:
    application = create_app(Settings(max_concurrency=1, queue_limit=0), engine)
    application.state.service._taken = 1
    response = TestClient(application).post("/v1/chat/completions", json=chat())
    assert response.status_code == 429
    assert response.headers["retry-after"] == "1"
    assert response.headers["x-should-retry"] == "true"
    assert response.json() == {
        "error": {
            "message": "Too many requests are waiting for this server; try again in a moment.",
            "type": "requests",
            "param": None,
            "code": "rate_limit_exceeded",
        }
    }
