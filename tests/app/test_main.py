from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

import app.engines
import app.main
from app.engines import Engines
from app.main import create_app
from app.settings import Settings
from model.errors import ArtifactError, RequestError
from model.manifest import read_manifest
from model.store import publish
from model.types import Event, GenerationRequest
from tests.app.test_service import Gate
from tests.conftest import FakeEngine, chat, wait_until
from tests.hollow import hollow_artifact


def test_while_loading_503_then_ready(monkeypatch: pytest.MonkeyPatch, engine: FakeEngine) -> None:
    loaded = threading.Event()
    seen: list[Exception | None] = []

    def slowly(*arguments: Any) -> FakeEngine:
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

    def fail(*arguments: Any) -> FakeEngine:
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
    def fail(*arguments: Any) -> FakeEngine:
        raise ArtifactError("manifest.json is missing.")

    monkeypatch.setattr(app.main, "build_engine", fail)
    with TestClient(create_app(Settings())):
        wait_until(lambda: "manifest.json is missing." in caplog.text)


def test_several_models_are_chosen_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    built: dict[Path, FakeEngine] = {}

    def build(folder: Path, *arguments: Any) -> FakeEngine:
        return built.setdefault(folder, FakeEngine())

    monkeypatch.setattr(app.main, "build_engine", build)
    shipped, desk = (hollow_artifact(tmp_path / name, name) for name in ("shipped", "desk"))
    publish(hollow_artifact(tmp_path / "mine", "mine"), tmp_path / "store", "mytools")
    settings = Settings(artifact=shipped, artifacts={"desk": desk}, store=tmp_path / "store")
    with TestClient(create_app(settings)) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200, 30)
        names = ["bodkin-26m", "bodkin-26m:desk", "bodkin-26m:mytools"]
        versions = [read_manifest(shipped).digest[:12], read_manifest(desk).digest[:12], "v1"]
        assert client.get("/readyz").json() == {
            "status": "ready",
            "models": dict(zip(names, versions, strict=True)),
        }
        assert [model["id"] for model in client.get("/v1/models").json()["data"]] == names
        for path in ("bodkin-26m:mytools", "bodkin-26m%3Amytools"):
            assert client.get(f"/v1/models/{path}").json()["id"] == "bodkin-26m:mytools"
        answers = [client.post("/v1/chat/completions", json=chat(model=name)).json() for name in names]
        assert [answer["model"] for answer in answers] == names
        assert len({answer["system_fingerprint"] for answer in answers}) == 3
        response = client.post("/v1/chat/completions", json=chat(model="bodkin-26m:other"))
        assert response.status_code == 404
        assert response.json()["error"]["message"] == (
            "The model 'bodkin-26m:other' does not exist. "
            "This server serves 'bodkin-26m', 'bodkin-26m:desk', 'bodkin-26m:mytools'."
        )
    # Each was asked once, behind its warm-up.
    assert [len(engine.requests) for engine in built.values()] == [2, 2, 2]


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_is_of_the_engine_that_its_name_stood_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stream: bool
) -> None:
    """The request waits for its turn while the model is swapped."""
    monkeypatch.setattr(app.main, "build_engine", lambda *arguments: FakeEngine())
    monkeypatch.setattr(app.engines, "POLL_SECONDS", 0.01)
    shipped = hollow_artifact(tmp_path / "shipped", "old")
    application = create_app(Settings(artifact=shipped, store=tmp_path / "store", max_concurrency=1))
    engines: Engines = application.state.engines
    with TestClient(application) as client, ThreadPoolExecutor(2) as pool:
        wait_until(lambda: client.get("/readyz").status_code == 200, 30)
        old = engines.choose("bodkin-26m")
        assert isinstance(old.engine, FakeEngine)
        gate = old.engine.script = Gate()
        first = pool.submit(client.post, "/v1/chat/completions", json=chat())
        wait_until(lambda: old.engine.running == 1, 30)  # type: ignore[attr-defined]
        second = pool.submit(client.post, "/v1/chat/completions", json=chat(stream=stream))
        wait_until(lambda: application.state.service._taken == 2, 30)
        hollow_artifact(shipped, "new")
        wait_until(lambda: engines.choose("bodkin-26m").fingerprint != old.fingerprint, 30)
        gate.open.set()
        for answer in (first.result(30), second.result(30)):
            assert old.fingerprint in answer.text
        assert engines.choose("bodkin-26m").fingerprint in client.post("/v1/chat/completions", json=chat()).text
        assert len(old.engine.requests) == 3


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("error", [RequestError("no"), ValueError("a bug")])
def test_an_engine_that_refused_a_request_is_released_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stream: bool, error: Exception
) -> None:
    monkeypatch.setattr(app.main, "build_engine", lambda *arguments: FakeEngine())
    monkeypatch.setattr(app.engines, "POLL_SECONDS", 0.01)
    shipped = hollow_artifact(tmp_path / "shipped", "old")
    application = create_app(Settings(artifact=shipped, store=tmp_path / "store"))
    engines: Engines = application.state.engines

    for name in ("bodkin.server", "bodkin.stream"):  # pytest keeps what is logged, tracebacks and their frames included
        monkeypatch.setattr(logging.getLogger(name), "disabled", True)

    def refuse(request: GenerationRequest) -> Iterator[Event]:
        raise type(error)(*error.args)

    with TestClient(application, raise_server_exceptions=False) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200, 30)
        old = weakref.ref(engines.choose("bodkin-26m").engine)
        engines.choose("bodkin-26m").engine.script = refuse  # type: ignore[attr-defined]
        assert "error" in client.post("/v1/chat/completions", json=chat(stream=stream)).text
        hollow_artifact(shipped, "new")
        wait_until(lambda: old() is None, 30)


@pytest.mark.parametrize("broken", ["bodkin-26m", "bodkin-26m:desk", "bodkin-26m:mytools"])
def test_a_broken_model_in_the_store_is_no_reason_to_end_and_a_configured_one_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    monkeypatch.setattr(app.main, "build_engine", lambda *arguments: FakeEngine())
    folders = {
        "bodkin-26m": hollow_artifact(tmp_path / "shipped", "shipped"),
        "bodkin-26m:desk": hollow_artifact(tmp_path / "desk", "desk"),
        "bodkin-26m:mytools": tmp_path / "store" / "mytools" / "v1",
    }
    publish(hollow_artifact(tmp_path / "mine", "mine"), tmp_path / "store", "mytools")
    (folders[broken] / "encoder.onnx").unlink()
    settings = Settings(
        artifact=folders["bodkin-26m"], artifacts={"desk": folders["bodkin-26m:desk"]}, store=tmp_path / "store"
    )
    seen: list[Exception | None] = []
    with TestClient(create_app(settings, on_load=seen.append)) as client:
        wait_until(lambda: bool(seen), 30)
        for name in folders:
            response = client.post("/v1/chat/completions", json=chat(model=name))
            assert response.status_code == (503 if name == broken else 200)
    complaint = f"{folders[broken]} is incomplete: encoder.onnx is missing"
    if broken == "bodkin-26m:mytools":
        assert seen == [None]
        assert complaint in caplog.text
    else:
        assert [str(error) for error in seen] == [complaint]
        assert complaint not in caplog.text  # it is for the caller to say


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
