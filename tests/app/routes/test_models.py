from __future__ import annotations

import time

import openai.types
import pytest
from fastapi.testclient import TestClient

from app.settings import Settings


@pytest.fixture
def settings() -> Settings:
    return Settings(model="acme/tools-v2")


def test_list(client: TestClient) -> None:
    body = client.get("/v1/models").json()
    created = body["data"][0]["created"]
    assert body == {
        "object": "list",
        "data": [{"id": "acme/tools-v2", "object": "model", "created": created, "owned_by": "bodkin"}],
    }
    assert abs(created - time.time()) < 60


@pytest.mark.parametrize("path", ["acme/tools-v2", "acme%2Ftools-v2"])
def test_retrieve(client: TestClient, path: str) -> None:
    response = client.get(f"/v1/models/{path}")
    assert response.json() == client.get("/v1/models").json()["data"][0]


def test_unknown(client: TestClient) -> None:
    response = client.get("/v1/models/gpt-9")
    assert response.status_code == 404
    assert response.json()["error"] == {
        "message": "The model 'gpt-9' does not exist. This server serves 'acme/tools-v2'.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }


def test_names_are_taken_literally(client: TestClient) -> None:
    for path in ("/v1/models/", "/v1/models/%0A"):
        assert client.get(path).json()["error"]["code"] == "unknown_url"


@pytest.mark.parametrize("path", ["acme/tools-v2", "gpt-9"])
def test_models_cannot_be_deleted(client: TestClient, path: str) -> None:
    response = client.delete(f"/v1/models/{path}")
    assert (response.status_code, response.headers["allow"]) == (405, "GET")
    assert response.json()["error"] == {
        "message": f"Not allowed to DELETE on /v1/models/{path}: use GET.",
        "type": "invalid_request_error",
        "param": None,
        "code": "method_not_supported",
    }
    assert client.get("/v1/models/acme/tools-v2").status_code == 200


def test_the_official_client_takes_the_answers_strictly(client: TestClient) -> None:
    """As pydantic-ai does, which validates whole responses."""
    listed = client.get("/v1/models").json()["data"]
    for model in [*listed, client.get("/v1/models/acme/tools-v2").json()]:
        assert openai.types.Model.model_validate(model, strict=True).model_extra == {}
