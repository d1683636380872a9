"""From examples to an answer over HTTP: train a tiny network, export it, load it, serve it."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

pytest.importorskip("torch")

from fastapi.testclient import TestClient  # noqa: E402
from jsonschema import Draft202012Validator  # noqa: E402

from app.main import create_app  # noqa: E402
from app.settings import Settings  # noqa: E402
from model import load_engine  # noqa: E402
from model.types import Tool  # noqa: E402
from tests.artifact import PING, WEATHER, tokenizer  # noqa: E402
from tests.training import corpus  # noqa: E402
from training.checkpoint import load_checkpoint, network_of  # noqa: E402
from training.config import ModelConfig, TrainConfig  # noqa: E402
from training.data.example import Call, Example  # noqa: E402
from training.data.shards import load_description  # noqa: E402
from training.export import export  # noqa: E402
from training.train import train  # noqa: E402

pytestmark = pytest.mark.integration

CONFIG = TrainConfig(
    steps=200, rows=16, candidates=2, decoder_lr=3e-3, encoder_lr=3e-3, warmup=10, eval_every=200, anchor_weight=0.0
)


def examples(count: int, seed: int) -> list[Example]:
    rng = random.Random(seed)
    made = []
    for k in range(count):
        city = rng.choice(corpus.CITIES)
        weather = corpus.example("w", f"weather in {city}?", (WEATHER, PING), Call("get_weather", {"city": city}))
        made.append((weather, corpus.example("p", "Answer at once.", (WEATHER, PING), Call("ping", {})))[k % 2])
    return made


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("life")
    shards = corpus.write_shards(folder / "shards", examples(128, 0), examples(32, 1))
    train(shards, folder / "run", CONFIG, ModelConfig.tiny(tokenizer().vocab_size), init="random")
    info = {"data_sha256": load_description(shards)["sha256"]}
    manifest = export(
        network_of(load_checkpoint(folder / "run" / "checkpoint.pt")),
        tokenizer(),
        folder / "artifact",
        int8=True,
        info=info,
    )
    assert manifest.info == info
    engine = load_engine(folder / "artifact", threads=1)
    with TestClient(create_app(Settings(threads=1), engine)) as client:
        yield client


def wire(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def ask(client: TestClient, text: str, **fields: Any) -> dict[str, Any]:
    body = {
        "model": "bodkin-26m",
        "messages": [{"role": "user", "content": text}],
        "tools": [wire(PING), wire(WEATHER)],
    }
    response = client.post("/v1/chat/completions", json={**body, **fields})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def calls(answer: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    functions = [c["function"] for c in answer["choices"][0]["message"].get("tool_calls") or []]
    return [(f["name"], json.loads(f["arguments"])) for f in functions]


def test_a_learned_request_is_answered_with_a_valid_call(client: TestClient) -> None:
    named, exact = 0, 0
    for city in corpus.CITIES:
        answer = ask(client, f"weather in {city}?")
        found = calls(answer)
        for name, arguments in found:
            Draft202012Validator({"get_weather": WEATHER, "ping": PING}[name].parameters).validate(arguments)
        named += [name for name, _ in found] == ["get_weather"]
        exact += found == [("get_weather", {"city": city})]
        said = answer["bodkin"]
        assert said["confidence"] is None and said["calls"] == [None] * len(found)  # never calibrated
        assert len(said["evidence"]) == len(found)
    assert named >= 6
    assert exact >= 4
    assert calls(ask(client, "Answer at once.")) == [("ping", {})]
    assert ask(client, "Answer at once.")["choices"][0]["finish_reason"] == "tool_calls"


def test_the_stream_says_the_same(client: TestClient) -> None:
    whole = ask(client, "weather in Paris?")
    body = {
        "model": "bodkin-26m",
        "messages": [{"role": "user", "content": "weather in Paris?"}],
        "tools": [wire(PING), wire(WEATHER)],
        "stream": True,
    }
    pieces: list[str] = []
    with client.stream("POST", "/v1/chat/completions", json=body) as response:
        for line in response.iter_lines():
            if line.startswith("data: {"):
                choices = json.loads(line.removeprefix("data: "))["choices"]
                for call in (choices[0]["delta"].get("tool_calls") or []) if choices else []:
                    pieces.append(call["function"].get("arguments") or "")
    arguments = [c["function"]["arguments"] for c in whole["choices"][0]["message"]["tool_calls"]]
    assert "".join(pieces) == "".join(arguments)


def test_tool_choice_and_refusals_reach_the_engine(client: TestClient) -> None:
    assert calls(ask(client, "weather in Paris?", tool_choice="none")) == []
    [(name, _)] = calls(
        ask(client, "weather in Paris?", tool_choice={"type": "function", "function": {"name": "ping"}})
    )
    assert name == "ping"
    broken = {"type": "function", "function": {"name": "x", "parameters": {"type": "object", "not": {}}}}
    body = {"model": "bodkin-26m", "messages": [{"role": "user", "content": "x"}], "tools": [wire(PING), broken]}
    response = client.post("/v1/chat/completions", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["param"].startswith("tools[1].function.parameters")
