from __future__ import annotations

import base64
import json
import struct
import threading
import weakref
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.schemas.embeddings import MAX_INPUTS
from app.settings import Settings
from model.engine import load_engine
from model.errors import ContextLengthError
from model.types import Embeddings
from tests.conftest import FakeEngine, chat, serve, wait_until

ARTIFACT = Path(__file__).resolve().parents[3] / "model" / "artifact"


def ask(client: TestClient, **fields: Any) -> httpx.Response:
    return client.post("/v1/embeddings", json={"model": "bodkin-26m", "input": "four", **fields})  # type: ignore[return-value]


def one_hot(place: int) -> list[float]:
    """FakeEngine's vector of a text of this length."""
    return [float(place % 8 == i) for i in range(8)]


def test_one_text(client: TestClient) -> None:
    response = ask(client)
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": one_hot(4)}],
        "model": "bodkin-26m",
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }


def test_several_texts_keep_their_order(client: TestClient) -> None:
    answer = ask(client, input=["a", "two words", "  ", "Zürich 😀"]).json()
    assert [item["index"] for item in answer["data"]] == [0, 1, 2, 3]
    assert [item["embedding"] for item in answer["data"]] == [one_hot(n) for n in (1, 9, 2, 8)]
    assert answer["usage"] == {"prompt_tokens": 20, "total_tokens": 20}


def test_base64_is_little_endian_float32(client: TestClient) -> None:
    (item,) = ask(client, encoding_format="base64").json()["data"]
    raw = base64.b64decode(item["embedding"], validate=True)
    assert list(struct.unpack("<8f", raw)) == one_hot(4)


@pytest.mark.parametrize(
    "fields",
    [
        {"encoding_format": "float"},
        {"encoding_format": None},
        {"dimensions": 8},
        {"dimensions": None},
        {"user": "me"},
        {"user": 5, "input_type": "query", "truncate": "NONE"},
    ],
)
def test_fields_that_change_nothing(client: TestClient, fields: dict[str, Any]) -> None:
    assert ask(client, **fields).json() == ask(client).json()


def test_as_many_texts_as_openai_takes(client: TestClient) -> None:
    assert len(ask(client, input=["a"] * MAX_INPUTS).json()["data"]) == MAX_INPUTS


TOKENS = (
    "Invalid 'input': these are token ids, and of another model's tokenizer; send the texts themselves "
    "(langchain-openai does with check_embedding_ctx_length=False)."
)


@pytest.mark.parametrize(
    ("fields", "status", "param", "code", "message"),
    [
        ({"input": None}, 400, "input", "invalid_type", None),
        ({"input": 5}, 400, "input", "invalid_type", None),
        ({"input": {}}, 400, "input", "invalid_type", None),
        ({"input": True}, 400, "input", "invalid_type", None),
        ({"input": ["a", None]}, 400, "input[1]", "invalid_type", None),
        ({"input": [True]}, 400, "input[0]", "invalid_type", None),
        (
            {"input": ""},
            400,
            "input",
            "empty_string",
            "Invalid 'input': empty string. Expected a string with minimum length 1, but got an empty string instead.",
        ),
        ({"input": ["a", ""]}, 400, "input[1]", "empty_string", None),
        ({"input": []}, 400, "input", "empty_array", None),
        (
            {"input": ["a"] * (MAX_INPUTS + 1)},
            400,
            "input",
            "array_above_max_length",
            "Invalid 'input': array too long. Expected an array with maximum length 2048, but got an array with length "
            "2049 instead.",
        ),
        ({"input": [15339, 1917]}, 400, "input", "invalid_value", TOKENS),
        ({"input": [[15339, 1917], [9906]]}, 400, "input", "invalid_value", TOKENS),
        ({"input": ["text", [9906]]}, 400, "input", "invalid_value", TOKENS),
        ({"input": [[]]}, 400, "input", "invalid_value", TOKENS),
        ({"encoding_format": "int8"}, 400, "encoding_format", "invalid_value", None),
        ({"dimensions": 0}, 400, "dimensions", "integer_below_min_value", None),
        ({"dimensions": 8.5}, 400, "dimensions", "invalid_type", None),
        (
            {"dimensions": 256},
            400,
            "dimensions",
            "unsupported_value",
            "The vectors of 'bodkin-26m' have 8 dimensions; leave 'dimensions' out, or send 8.",
        ),
        (
            {"model": "text-embedding-3-small"},
            404,
            "model",
            "model_not_found",
            "The model 'text-embedding-3-small' does not exist. This server serves 'bodkin-26m'.",
        ),
        ({"model": None}, 400, "model", "invalid_type", None),
    ],
)
def test_bad_requests(
    client: TestClient, fields: dict[str, Any], status: int, param: str, code: str, message: str | None
) -> None:
    response = ask(client, **fields)
    error = response.json()["error"]
    assert response.status_code == status
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)
    assert message is None or error["message"] == message
    assert response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("name", ["input", "model"])
def test_missing_fields(client: TestClient, name: str) -> None:
    body = {"model": "bodkin-26m", "input": "a"}
    del body[name]
    error = client.post("/v1/embeddings", json=body).json()["error"]
    assert (error["param"], error["code"]) == (name, "missing_required_parameter")


@pytest.mark.parametrize(
    ("sent", "param"), [("too long", "input"), (["a", "b"], "input[0]"), (["too long"], "input[0]")]
)
def test_a_text_that_is_too_long_is_named_as_it_was_sent(
    client: TestClient, engine: FakeEngine, sent: Any, param: str
) -> None:
    engine.refusal = ContextLengthError("the text needs 600 tokens; this model reads at most 512.", "input[0]")
    response = ask(client, input=sent)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["param"], error["code"]) == (param, "context_length_exceeded")


def test_an_unexpected_failure_tells_nothing(
    client: TestClient, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine.refusal = ValueError("secret detail")
    response = ask(client)
    assert response.status_code == 500
    assert "secret detail" not in response.text
    assert response.json()["error"]["type"] == "server_error"
    engine.refusal = None
    assert ask(client).status_code == 200


def test_everything_that_is_logged(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "bodkin.access")
    ask(client, input=["a", "bcd"])
    line = json.loads(caplog.messages[-1])
    assert {key: line[key] for key in ("path", "status", "model", "version", "texts", "prompt_tokens")} == {
        "path": "/v1/embeddings",
        "status": 200,
        "model": "bodkin-26m",
        "version": "given",
        "texts": 2,
        "prompt_tokens": 4,
    }


class SlowEngine(FakeEngine):
    """Waits in `embed` until `open`."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.embedding = 0

    def embed(self, texts: Sequence[str]) -> Embeddings:
        self.embedding += 1
        assert self.open.wait(30)
        return super().embed(texts)


def test_the_queue_is_the_same_as_for_completions() -> None:
    engine = SlowEngine()
    application = create_app(Settings(max_concurrency=1, queue_limit=1), engine)
    service = application.state.service
    with serve(application) as url, httpx.Client(base_url=url, timeout=30) as client:
        body = {"model": "bodkin-26m", "input": "four"}
        answers: list[int] = []
        threads = [
            threading.Thread(target=lambda: answers.append(client.post("/v1/embeddings", json=body).status_code))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        wait_until(lambda: service._taken == 2)
        for path, sent in (("/v1/embeddings", body), ("/v1/chat/completions", chat())):
            refused = client.post(path, json=sent)
            assert refused.status_code == 429
            assert refused.headers["retry-after"] == "1"
        assert engine.embedding == 1, "one at a time"
        engine.open.set()
        for thread in threads:
            thread.join(30)
        assert answers == [200, 200]
        assert service._taken == 0


def test_a_client_that_leaves_the_queue_costs_nothing() -> None:
    engine = SlowEngine()
    application = create_app(Settings(max_concurrency=1), engine)
    with serve(application) as url:
        body = {"model": "bodkin-26m", "input": "four"}
        first = threading.Thread(target=lambda: httpx.post(f"{url}/v1/embeddings", json=body, timeout=30))
        first.start()
        wait_until(lambda: engine.embedding == 1)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{url}/v1/embeddings", json=body, timeout=0.3)
        wait_until(lambda: application.state.service._taken == 1)
        engine.open.set()
        first.join(30)
        wait_until(lambda: application.state.service._taken == 0)
    assert engine.embedding == 1


@pytest.mark.parametrize("refused", [False, True])
def test_the_engine_is_not_held(refused: bool) -> None:
    """As after a swap: with its last request an engine goes."""
    application = create_app(Settings())
    engines = application.state.engines
    client = TestClient(application)  # never started: nothing is loaded but what is put there
    old = FakeEngine()
    if refused:
        old.refusal = ContextLengthError("too long", "input[0]")
    engines.put("bodkin-26m", old)
    assert ask(client).status_code == (400 if refused else 200)
    gone = weakref.ref(old)
    engines.put("bodkin-26m", FakeEngine())
    del old
    wait_until(lambda: gone() is None)


@pytest.fixture(scope="module")
def real_url() -> Iterator[str]:
    with serve(create_app(Settings(), load_engine(ARTIFACT, threads=1))) as url:
        yield url


@pytest.fixture
def sdk(real_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{real_url}/v1", api_key="unused", max_retries=0) as client:
        yield client


@pytest.fixture
async def async_sdk(real_url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{real_url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def vectors(sdk: openai.OpenAI, texts: list[str], **fields: Any) -> list[list[float]]:
    answer = sdk.embeddings.create(model="bodkin-26m", input=texts, **fields)
    assert [item.index for item in answer.data] == list(range(len(texts)))
    return [item.embedding for item in answer.data]


def dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


@pytest.mark.integration
def test_the_official_client_reads_both_formats(sdk: openai.OpenAI) -> None:
    texts = ["What is the weather in Paris?", "Zürich 😀"]
    packed = vectors(sdk, texts)  # the client asks for base64 by itself, and unpacks it
    plain = vectors(sdk, texts, encoding_format="float")
    assert packed == plain, "bit by bit"
    for vector in plain:
        assert len(vector) == 384
        assert dot(vector, vector) == pytest.approx(1, abs=1e-4)
    assert vectors(sdk, texts, dimensions=384) == plain
    with pytest.raises(openai.BadRequestError, match="have 384 dimensions"):
        vectors(sdk, texts, dimensions=256)
    usage = sdk.embeddings.create(model="bodkin-26m", input=texts).usage
    assert usage.prompt_tokens == usage.total_tokens > 8


@pytest.mark.integration
async def test_the_async_client(async_sdk: openai.AsyncOpenAI) -> None:
    answer = await async_sdk.embeddings.create(model="bodkin-26m", input="Hello")
    assert answer.object == "list" and answer.model == "bodkin-26m"
    assert len(answer.data[0].embedding) == 384


@pytest.mark.integration
def test_a_text_beyond_the_models_limit(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        vectors(sdk, ["short", "word " * 5000])
    assert (caught.value.param, caught.value.code) == ("input[1]", "context_length_exceeded")
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.embeddings.create(model="bodkin-26m", input="word " * 5000)
    assert caught.value.param == "input"


ALIKE = [
    ("Turn the lights in the kitchen off", "Switch off the kitchen lamps"),
    ("What will the weather be like tomorrow?", "Give me tomorrow's forecast"),
    ("Book a table for two at an Italian restaurant", "Reserve dinner for 2 people, somewhere with pasta"),
    ("Send an email to my boss", "Write my manager a message"),
    ("How much is 100 dollars in euros?", "Convert currency from USD to EUR"),
    ("Play some jazz", "I'd like to listen to music"),
    ("Set an alarm for 6 am", "Wake me up early in the morning"),
    ("Find flights from London to Tokyo", "I need a plane ticket to Japan"),
]


@pytest.mark.integration
def test_texts_about_the_same_are_nearest(sdk: openai.OpenAI) -> None:
    left = vectors(sdk, [pair[0] for pair in ALIKE])
    right = vectors(sdk, [pair[1] for pair in ALIKE])
    nearest = [max(range(len(right)), key=lambda j: dot(vector, right[j])) for vector in left]
    assert nearest == list(range(len(ALIKE)))


@pytest.mark.integration
def test_a_texts_company_moves_its_vector_hardly(sdk: openai.OpenAI) -> None:
    """Not at all would be wrong to expect: the int8 encoder's activations are quantised by the largest of a batch."""
    texts = ["Hello", "What is the weather in Paris tomorrow, and how do I get there by train?", "a"]
    together = vectors(sdk, texts)
    for text, vector in zip(texts, together, strict=True):
        (alone,) = vectors(sdk, [text])
        assert dot(alone, vector) > 0.97
        (again,) = vectors(sdk, [text])
        assert again == alone
