"""What /docs shows must be what the server takes and gives. (That its examples work: tests/test_docs.py.)"""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator

from app.examples import EXAMPLES
from app.main import create_app
from app.openapi import FRAMES
from app.settings import Settings
from tests.conftest import FakeEngine


@pytest.fixture
def document(client: TestClient) -> dict[str, Any]:
    body: dict[str, Any] = client.get("/openapi.json").json()
    return body


def test_the_pages_are_there(client: TestClient) -> None:
    assert client.get("/docs").status_code == 200
    assert client.get("/redoc").status_code == 200


def test_it_stays_open_when_keys_are_needed() -> None:
    client = TestClient(create_app(Settings(api_keys=("k",)), FakeEngine()))
    assert client.get("/openapi.json").status_code == 200
    assert client.get("/v1/models").status_code == 401


def test_paths(document: dict[str, Any]) -> None:
    known = {"/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/models", "/v1/models/{model}"}
    assert known <= set(document["paths"])
    assert {"/healthz", "/readyz"} <= set(document["paths"])


def test_bodies_errors_and_keys(document: dict[str, Any]) -> None:
    envelope = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorEnvelope"}}}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            responses = operation["responses"]
            assert "422" not in responses and "default" not in responses
            assert all(responses[status]["content"] == envelope for status in responses if status >= "400")
            if not path.startswith("/v1/"):
                continue
            assert {"401", "500"} <= responses.keys()
            assert operation["security"] == [{}, {"key": []}]
            if method == "post":
                assert {"400", "404", "413"} <= responses.keys()
                body = operation["requestBody"]["content"]["application/json"]
                assert body["schema"]["$ref"].startswith("#/components/schemas/")
                assert body["examples"]


def test_streams(document: dict[str, Any]) -> None:
    for path in FRAMES:
        content = document["paths"][path]["post"]["responses"]["200"]["content"]
        assert content.keys() == {"application/json", "text/event-stream"}
        assert content["text/event-stream"]["itemSchema"]["required"] == ["data"]


def test_references_lead_somewhere(document: dict[str, Any]) -> None:
    def references(value: Any) -> set[str]:
        if isinstance(value, list):
            return set().union(*map(references, value))
        if not isinstance(value, dict):
            return set()
        inner = set().union(*map(references, value.values()))
        return inner | ({value["$ref"]} if isinstance(value.get("$ref"), str) else set())

    names = {reference.removeprefix("#/components/schemas/") for reference in references(document)}
    assert names <= document["components"]["schemas"].keys()


@pytest.mark.parametrize("path", EXAMPLES)
def test_examples_are_what_the_schemas_admit(document: dict[str, Any], path: str) -> None:
    content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    validator = Draft202012Validator({**content["schema"], "components": document["components"]})
    for example in content["examples"].values():
        validator.validate(example["value"])


def test_what_a_docstring_says_of_the_fields_below_is_said_of_each(document: dict[str, Any]) -> None:
    fields = document["components"]["schemas"]["ChatCompletionRequest"]["properties"]
    for name in ("store", "metadata", "user", "logit_bias", "prediction"):
        assert fields[name]["description"] == "Accepted and ignored."


def test_operations_are_named_like_the_routes(document: dict[str, Any]) -> None:
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert {"create_chat_completion", "create_embeddings", "list_models"} <= set(names)
