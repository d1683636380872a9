"""Vectors of texts: those by which tools are retrieved, the same in any company."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from model import load_engine  # noqa: E402
from model.engine import BodkinEngine  # noqa: E402
from model.errors import ContextLengthError  # noqa: E402
from model.prompt import encode_messages  # noqa: E402
from model.types import Embeddings, GenerationRequest  # noqa: E402
from tests.artifact import CITIES, SENTENCES, calibrated, user  # noqa: E402

TEXTS = (*SENTENCES, *CITIES, "", " ", "Paris " * 40)


@pytest.fixture(scope="module")
def engine() -> BodkinEngine:
    return load_engine(calibrated(), threads=1)


def test_vectors_are_of_unit_length_and_in_order(engine: BodkinEngine) -> None:
    found = engine.embed(TEXTS)
    assert len(found.vectors) == len(TEXTS) > 16  # more than are encoded together
    assert {len(vector) for vector in found.vectors} == {engine.manifest.sizes["width"]}
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1.0, atol=1e-5)
    for text, vector in zip(TEXTS, found.vectors, strict=True):
        np.testing.assert_allclose(engine.embed([text]).vectors[0], vector, atol=2e-4)


def test_a_vector_is_that_of_the_same_message(engine: BodkinEngine) -> None:
    [vector] = engine.embed(["Weather in Paris"]).vectors
    conversation = engine._prepare(GenerationRequest(user("Weather in Paris"), ())).conversation
    np.testing.assert_allclose(vector, conversation.pooled, atol=1e-6)


def test_tokens_are_all_that_was_read(engine: BodkinEngine) -> None:
    lengths = [len(encode_messages(user(text), engine.tokenizer).ids) for text in TEXTS]
    assert engine.embed(TEXTS).tokens == sum(lengths)
    assert engine.embed(()) == Embeddings((), 0)


def test_a_text_that_is_too_long_is_named(engine: BodkinEngine) -> None:
    long = "a " * engine.manifest.max_tokens
    tokens = len(encode_messages(user(long), engine.tokenizer).ids)
    with pytest.raises(ContextLengthError, match=rf"{tokens} tokens.* {engine.manifest.max_tokens}") as caught:
        engine.embed(["Paris", "Rome", long])
    assert caught.value.param == "input[2]"


def test_the_shipped_model_puts_like_texts_together(shipped: BodkinEngine) -> None:
    texts = (
        "What's the weather in Paris?",
        "Will it rain in Rome tomorrow?",
        "Send an email to Anna",
        "Write a message to my boss",
    )
    vectors = np.array(shipped.embed(texts).vectors)
    nearness = vectors @ vectors.T - 2 * np.eye(len(texts))
    assert nearness.argmax(axis=1).tolist() == [1, 0, 3, 2]
