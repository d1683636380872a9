"""The OpenAPI document is made from the schemas: what /docs shows must be what the server takes and gives."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

from app.schemas import chat
from app.schemas.base import json_type


@pytest.fixture
def document(client: TestClient) -> dict[str, Any]:
    body: dict[str, Any] = client.get("/openapi.json").json()
    return body


def test_paths(document: dict[str, Any]) -> None:
    assert set(document["paths"]) == {
        "/v1/chat/completions",
        "/v1/models",
        "/v1/models/{model}",
        "/healthz",
        "/readyz",
    }


def test_the_chat_route_is_typed(document: dict[str, Any]) -> None:
    operation = document["paths"]["/v1/chat/completions"]["post"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/ChatCompletionRequest"}
    assert set(operation["responses"]) == {"200", "default"}, "FastAPI's own 422 is never sent"
    error = operation["responses"]["default"]["content"]["application/json"]["schema"]
    assert error == {"$ref": "#/components/schemas/ErrorEnvelope"}
    described = document["components"]["schemas"]["ChatCompletionRequest"]["properties"]["max_tokens"]["description"]
    assert "max_completion_tokens" in described


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (chat.ChatCompletion, ChatCompletion),
        (chat.ChatCompletionChunk, ChatCompletionChunk),
    ],
)
def test_fields_are_those_of_the_official_client(ours: type[BaseModel], theirs: type[BaseModel]) -> None:
    extensions = {"bodkin"}
    assert set(ours.model_fields) - extensions <= set(theirs.model_fields)
    required = {name for name, field in theirs.model_fields.items() if field.is_required()}
    assert required <= set(ours.model_fields)


@pytest.mark.parametrize(
    ("value", "tag"), [("a", "#string"), ([], "#array"), ({}, "#object"), (None, None), (1, None), (True, None)]
)
def test_json_type(value: Any, tag: str | None) -> None:
    assert json_type(value) == tag
