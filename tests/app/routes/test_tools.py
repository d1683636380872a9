from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from app import contracts
from app.main import create_app
from app.settings import Settings
from tests.conftest import TIME, WEATHER, FakeEngine, wait_until
from tests.hollow import hollow_artifact

CHECK = "/v1/tools/check"
BAD: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "bad",
        "parameters": {"properties": {"a": {"not": {}}, "b": {"type": "string", "pattern": "a^"}}},
    },
}


def test_tools_that_can_be_served(client: TestClient, engine: FakeEngine) -> None:
    response = client.post(CHECK, json={"tools": [WEATHER, TIME]})
    assert response.status_code == 200
    body = response.json()
    assert (body["object"], body["model"], body["servable"]) == ("tools.check", "bodkin-26m", True)
    weather, _ = body["tools"]
    assert weather.pop("compile_ms") > 0
    assert weather.pop("grammar_bytes") > 0
    assert 0 < weather.pop("tokens") < 512
    parameters = "tools[0].function.parameters"
    assert weather == {
        "index": 0,
        "name": "get_weather",
        "servable": True,
        "max_tokens": 512,
        "refusals": [],
        "complete": True,
        "keywords": [
            {"path": parameters, "keyword": "type", "status": "enforced", "note": None},
            {"path": parameters, "keyword": "properties", "status": "enforced", "note": None},
            {"path": parameters, "keyword": "required", "status": "enforced", "note": None},
            {"path": parameters, "keyword": "additionalProperties", "status": "enforced", "note": None},
            {"path": f"{parameters}.properties.city", "keyword": "type", "status": "enforced", "note": None},
        ],
    }
    assert engine.requests == []


def test_tools_that_cannot(client: TestClient) -> None:
    body = client.post(CHECK, json={"model": "bodkin-26m", "tools": [WEATHER, BAD], "unknown": 1}).json()
    assert body["servable"] is False
    assert [tool["servable"] for tool in body["tools"]] == [True, False]
    bad = body["tools"][1]
    assert [(refusal["param"], refusal["keyword"]) for refusal in bad["refusals"]] == [
        ("tools[1].function.parameters.properties.a.not", "not"),
        ("tools[1].function.parameters.properties.b.pattern", "pattern"),
    ]
    assert all(refusal["message"] and refusal["remedy"] for refusal in bad["refusals"])
    assert bad["compile_ms"] is None and bad["grammar_bytes"] is None


def test_the_report_is_what_a_request_meets(client: TestClient) -> None:
    # Errors of the API name the same place, with the same words.
    report = client.post(CHECK, json={"tools": [BAD]}).json()["tools"][0]["refusals"][0]
    assert report["param"] == "tools[0].function.parameters.properties.a.not"
    assert report["message"] == "The keyword 'not' cannot be enforced."


@pytest.mark.parametrize(
    "tool, path",
    [
        ({"type": "function", "name": "flat", "parameters": {"title": "x"}}, "tools[0].parameters"),
        ({"name": "bare", "parameters": {"title": "x"}, "strict": True}, "tools[0].parameters"),
        ({"name": "mcp", "inputSchema": {"title": "x"}}, "tools[0].inputSchema"),
    ],
)
def test_other_forms_of_a_tool(tool: Any, path: str, client: TestClient) -> None:
    [report] = client.post(CHECK, json={"tools": [tool]}).json()["tools"]
    assert report["servable"]
    assert [keyword["path"] for keyword in report["keywords"]] == [path]


@pytest.mark.parametrize(
    "body, param, code",
    [
        ({}, "tools", "missing_required_parameter"),
        ({"tools": []}, "tools", "empty_array"),
        ({"tools": {}}, "tools", "invalid_type"),
        ({"tools": [{}]}, "tools[0].name", "missing_required_parameter"),
        ({"tools": [{"type": "custom"}]}, "tools[0].type", "invalid_value"),
        ({"tools": [WEATHER, {"name": "get_weather"}]}, "tools[1].name", "invalid_value"),
        ({"tools": [WEATHER, TIME, WEATHER]}, "tools[2].function.name", "invalid_value"),
        ({"tools": [{"name": "ä"}]}, "tools[0].name", "invalid_value"),
    ],
)
def test_errors(body: Any, param: str, code: str, client: TestClient) -> None:
    response = client.post(CHECK, json=body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["param"], error["code"]) == (param, code)


def test_an_unknown_model(client: TestClient) -> None:
    response = client.post(CHECK, json={"model": "gpt-4o", "tools": [WEATHER]})
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"


def test_no_model_needs_to_be_loaded(tmp_path: Path) -> None:
    # Nor is there an engine: without the application's lifespan nothing is loaded.
    other = Settings(artifacts={"other": Settings().artifact}, store=tmp_path)
    client = TestClient(create_app(other))
    assert client.post("/v1/chat/completions", json={"model": "bodkin-26m", "messages": []}).status_code != 200
    assert client.post(CHECK, json={"tools": [WEATHER]}).json()["servable"] is True
    assert client.post(CHECK, json={"model": "bodkin-26m:other", "tools": [WEATHER]}).json()["servable"] is True


def test_a_damaged_artifact(tmp_path: Path, engine: FakeEngine) -> None:
    settings = Settings(artifact=hollow_artifact(tmp_path / "hollow", "x"), store=tmp_path)
    response = TestClient(create_app(settings, engine)).post(CHECK, json={"tools": [WEATHER]})
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "model_not_ready"


def test_it_does_not_block_other_requests(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    going, go_on = threading.Event(), threading.Event()
    read = contracts.read_checker

    def slow(folder: Path) -> Any:
        going.set()
        assert go_on.wait(20)
        return read(folder)

    monkeypatch.setattr(contracts, "read_checker", slow)
    answers: list[httpx.Response] = []
    asking = threading.Thread(
        target=lambda: answers.append(httpx.post(url + CHECK, json={"tools": [WEATHER]}, timeout=60))
    )
    asking.start()
    try:
        wait_until(going.is_set, 20)
        assert httpx.get(url + "/healthz").status_code == 200
    finally:
        go_on.set()
        asking.join()
    assert answers[0].status_code == 200


def test_it_takes_a_place_in_the_queue(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app(Settings(max_concurrency=1, queue_limit=0), engine)
    monkeypatch.setattr(app.state.service, "_taken", 1)
    response = TestClient(app).post(CHECK, json={"tools": [WEATHER]})
    assert response.status_code == 429 and response.headers["retry-after"]


def test_it_ends_in_time(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contracts, "MAX_SECONDS", -1.0)
    response = client.post(CHECK, json={"tools": [WEATHER]})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "tools[0]"
