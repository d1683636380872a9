from __future__ import annotations

import time

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
