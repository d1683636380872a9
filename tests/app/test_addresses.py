from __future__ import annotations

import httpx
import openai
import pytest
from fastapi.testclient import TestClient

from app.addresses import advice
from tests.conftest import chat

SERVED = {
    "/v1/chat/completions": "POST",
    "/v1/embeddings": "POST",
    "/v1/models": "GET",
    "/v1/models/{model}": "GET",
}
ALL = "This server has POST /v1/chat/completions, POST /v1/embeddings, GET /v1/models."
BASE_URL = "The client's base_url has to end in /v1, once."


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/chat/completions", f"Did you mean POST /v1/chat/completions? {BASE_URL}"),
        ("/v1/v1/chat/completions", f"Did you mean POST /v1/chat/completions? {BASE_URL}"),
        ("/api/v1/embeddings", f"Did you mean POST /v1/embeddings? {BASE_URL}"),
        ("/openai/deployments/x/chat/completions", f"Did you mean POST /v1/chat/completions? {BASE_URL}"),
        ("/models/some/model", f"Did you mean GET /v1/models/some/model? {BASE_URL}"),
        ("//v1//chat/completions", "Did you mean POST /v1/chat/completions?"),
        ("/v1/chat/completions/", "Did you mean POST /v1/chat/completions?"),
        ("/v1/models/", "Did you mean GET /v1/models?"),
        ("/v1/chat/completion", "Did you mean POST /v1/chat/completions?"),
        ("/v1/embedding", "Did you mean POST /v1/embeddings?"),
        ("/v1", ALL),
        ("/v1/", ALL),
        ("/", ALL),
        ("", ALL),
        ("/v1/nothing/like/it", ALL),
        ("/v1/chat/completions/\n\n\n\n\n\n", ALL),
        ("/v1/" + "/" * 10_000 + "x" * 10_000, ALL),
        ("/v1/{model}", ALL),
        ("/v1/files/abc/content", f"Bodkin keeps nothing between requests. {ALL}"),
        ("/v1/audio/speech", f"Bodkin reads and writes text only. {ALL}"),
        ("/images/generations", f"Bodkin reads and writes text only. {ALL}"),
    ],
)
def test_advice(path: str, sentence: str) -> None:
    assert advice(path, SERVED) == sentence


# OpenAI's endpoints that Bodkin has not got.
OTHERS = (
    "completions",
    "assistants",
    "threads/runs",
    "audio/transcriptions",
    "audio/speech",
    "batches",
    "files",
    "uploads",
    "moderations",
    "images/generations",
    "fine_tuning/jobs",
    "vector_stores",
    "conversations",
    "realtime/sessions",
    "videos",
    "evals",
)


@pytest.mark.parametrize("path", OTHERS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_openais_other_endpoints(client: TestClient, method: str, path: str) -> None:
    response = client.request(method, f"/v1/{path}", content=b"not even JSON")
    error = response.json()["error"]
    assert (response.status_code, response.headers["x-should-retry"]) == (404, "false")
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, "unknown_url")
    assert error["message"].startswith(f"Invalid URL ({method} /v1/{path}). ")
    assert "POST /v1/chat/completions" in error["message"]
    assert len(error["message"]) < 500


def test_text_completions_point_to_chat(client: TestClient) -> None:
    message = client.post("/v1/completions", json={"model": "bodkin-26m", "prompt": "Hi"}).json()["error"]["message"]
    assert "declare 'tools' or a schema and use POST /v1/chat/completions" in message


@pytest.mark.parametrize("wrong", ["", "/", "/v1/v1", "/api/v1", "/openai"])
def test_a_wrong_base_url_is_explained_by_the_clients_exception(url: str, wrong: str) -> None:
    with openai.OpenAI(base_url=url + wrong, api_key="unused", max_retries=0) as client:
        with pytest.raises(openai.NotFoundError, match="base_url has to end in /v1"):
            client.chat.completions.create(**chat())
        with pytest.raises(openai.NotFoundError, match="Did you mean GET /v1/models"):
            client.models.list()


def test_double_slashes_on_a_socket(url: str) -> None:
    for path in ("//v1/chat/completions", "/v1//chat/completions", "/v1/chat//completions//"):
        response = httpx.post(url + path, json=chat())
        assert response.status_code == 404
        assert (
            response.json()["error"]["message"] == f"Invalid URL (POST {path}). Did you mean POST /v1/chat/completions?"
        )


def test_a_long_address_is_not_repeated_in_full(client: TestClient) -> None:
    response = client.get("/v1/" + "x" * 10_000)
    assert response.status_code == 404
    assert len(response.text) < 800
