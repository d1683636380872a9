"""Recall among many tools, with vectors that count words, and with an artifact's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from model.prompt import Prompt, encode_messages, encode_tool
from model.types import GenerationRequest, Message, Tool
from training.data.example import Call, Example
from training.evaluation import retrieval
from training.evaluation.retrieval import Recall, Vector, load_encoder, recall

WIDTH = 4_096


class Words:
    """A tokenizer whose tokens are words."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def encode(self, text: str) -> list[int]:
        return [10 + self.numbers.setdefault(word, len(self.numbers)) for word in text.replace(":", " ").split()]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode(text) for text in texts]

    def encode_pieces(self, pieces: Sequence[str]) -> tuple[list[int], list[int]]:
        found = [self.encode(piece) for piece in pieces]
        return [token for ids in found for token in ids], [sum(map(len, found[:k])) for k in range(len(found))]


def count_words(prompts: Sequence[Prompt]) -> list[Vector]:
    """Unit vectors of how often each token occurs; the first is the role's."""
    rows = [np.bincount(p.ids[1:], minlength=WIDTH).astype(np.float32) for p in prompts]
    return [row / max(1.0, float(np.linalg.norm(row))) for row in rows]


def request(text: str, family: str, *tools: Tool, called: Sequence[str] = ()) -> Example:
    calls = tuple(Call(name, {}) for name in called)
    return Example("s", family, (Message("user", text),), tools, calls)


def measure(sets: dict[str, list[Example]], **options: Any) -> dict[str, dict[int, Recall]]:
    return recall(sets, Words(), count_words, **{"max_tokens": 100, **options})  # type: ignore[arg-type]


def others(count: int, word: str = "idle", source: str = "other") -> list[Example]:
    """Requests of families of their own, each calling one tool whose description is its number and `word`."""
    return [
        request(f"nothing{k}", f"{source}:{k}", Tool(f"{source}{k}", f"{word} number{k}"), called=(f"{source}{k}",))
        for k in range(count)
    ]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "SIZES", (2, 5, 20))


def test_how_many_nearer_tools_there_are_decides() -> None:
    due = Tool("due", "paint fence")
    nearer = [Tool(f"near{k}", "paint the fence") for k in range(4)]
    sets = {"set": [request("paint the fence", "f", due, *nearer, called=("due",)), *others(30)]}
    found = measure(sets)["set"]
    first = {size: found[size].total for size in found}
    assert first == {2: 31, 5: 31, 20: 31}
    # With one other tool it is second, with four it is fifth: among the 8 nearest, not among the 4.
    alone = measure({"set": sets["set"][:1], "rest": others(30)})["set"]
    assert {size: dict(r.found) for size, r in alone.items()} == {2: {4: 1, 8: 1}, 5: {8: 1}, 20: {8: 1}}
    assert alone[5].share(1) == 0.0 and alone[5].share(8) == 1.0


def test_tools_that_are_due_do_not_push_each_other_out() -> None:
    a, b = Tool("a", "paint fence"), Tool("b", "paint wall")
    sets = {"set": [request("paint fence wall", "f", a, b, called=("a", "b"))], "rest": others(30)}
    found = measure(sets)["set"][20]
    assert (found.total, found.found[1]) == (2, 2)


def test_tools_of_the_same_family_are_no_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those called by the family's other requests, or offered there; a tool of another family is one."""
    due, twin, idle = Tool("due", "paint fence"), Tool("twin", "paint the fence"), Tool("idle", "paint the fence")
    sets = {
        "set": [
            request("paint the fence", "f#1", due, called=("due",)),
            request("nothing", "f#2", twin, idle, called=("twin",)),
        ],
        "rest": others(30),
    }
    assert measure(sets)["set"][20].found[1] == 2
    sets["set"][1] = request("nothing", "g", twin, called=("twin",))
    # All tools are declared, so that the twin is sure to be drawn.
    monkeypatch.setattr(retrieval, "SIZES", (32,))
    assert measure(sets)["set"][32].found[1] == 1


def test_requests_that_are_not_measured() -> None:
    long = Tool("long", "word " * 200)
    sets = {
        "set": [
            request("no call is right", "f", Tool("x", "y")),
            request("word " * 200, "g", Tool("z", "z"), called=("z",)),
            request("word", "h", long, called=("long",)),
        ],
        "rest": others(30),
    }
    assert {size: r.total for size, r in measure(sets)["set"].items()} == {2: 0, 5: 0, 20: 0}


def test_a_size_that_cannot_be_filled_is_not_counted() -> None:
    found = measure({"set": others(6)})["set"]
    assert {size: r.total for size, r in found.items()} == {2: 6, 5: 6, 20: 0}


def test_distractors_are_drawn_by_the_seed() -> None:
    sets = {"set": [request("number1 number2 number3", "f", Tool("due", "far away number3"), called=("due",))] * 40}
    sets["rest"] = others(10)
    draws = [measure(sets, seed=seed)["set"][5].found[1] for seed in (1, 1, 2, 3, 4, 5)]
    assert draws[0] == draws[1] and len(set(draws)) > 1


def test_the_vectors_are_those_that_the_engine_compares() -> None:
    pytest.importorskip("torch")
    from model.engine import load_engine
    from tests.artifact import TOOLS, artifact, user

    engine = load_engine(artifact(), threads=1)
    tokenizer, encode, max_tokens = load_encoder(artifact(), threads=1)
    assert max_tokens == engine.manifest.max_tokens
    orders = set()
    for text in ("What is the weather in Paris?", "Book a table", "Send a report to anna", "ping"):
        messages = user(text)
        query = encode([encode_messages(messages, tokenizer)])[0]
        tools = [encode([encode_tool(t, tokenizer)])[0] for t in TOOLS]
        near = [int(i) for i in np.argsort([-float(t @ query) for t in tools], kind="stable")]
        asked = GenerationRequest(messages, TOOLS)
        assert near == engine._candidates(asked, engine._prepare(asked))
        orders.add(tuple(near))
    assert len(orders) > 1
