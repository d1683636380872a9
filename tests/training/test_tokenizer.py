"""Training a tokenizer: repeatable, lossless, and every spaced token with its twin."""

from __future__ import annotations

import random

import pytest

pytest.importorskip("regex")

from model.tokenizer import PAD, SPECIAL_TOKENS, Tokenizer  # noqa: E402
from training.tokenizer import train_tokenizer  # noqa: E402

WORDS = (
    "weather Springfield springfield forecast getWeather get_weather HTTPServer celsius Paris Zürich naïve 東京 don't "
    "12.5 reservation reserve reserved restaurant the a of in for to with and please show me find book play light"
).split()


def texts(seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=8)) for _ in range(300)]


@pytest.fixture(scope="module")
def trained() -> Tokenizer:
    return Tokenizer(train_tokenizer(texts(), vocab_size=480, spaced=60))


def test_the_same_corpus_gives_the_same_tokenizer(trained: Tokenizer) -> None:
    assert train_tokenizer(texts(), vocab_size=480, spaced=60) == trained.json_text
    assert train_tokenizer(iter(texts()), vocab_size=480, spaced=60) == trained.json_text
    assert train_tokenizer(texts(1)[:9], vocab_size=480, spaced=60) != trained.json_text


def test_size_and_special_tokens(trained: Tokenizer) -> None:
    assert trained.vocab_size <= 480
    assert tuple(trained.tokens[: len(SPECIAL_TOKENS)]) == SPECIAL_TOKENS
    assert sum(t.startswith("Ġ") and len(t) > 1 for t in trained.tokens) > 20


def test_every_spaced_token_has_a_twin(trained: Tokenizer) -> None:
    for token, twin in zip(trained.tokens, trained.twins, strict=True):
        assert (twin != PAD) == (token.startswith("Ġ") and len(token) > 1)
        assert twin == PAD or trained.tokens[twin] == token[1:]


@pytest.mark.parametrize("word", [*WORDS, "unseen", "Reservations", "ß", "x_y"])
def test_a_space_changes_the_first_token_only(word: str, trained: Tokenizer) -> None:
    spaced, plain = trained.encode(" " + word), trained.encode(word)
    if len(spaced) == len(plain):
        assert [trained.twins[spaced[0]], *spaced[1:]] == plain
    else:
        assert spaced == [*trained.encode(" "), *plain]


@pytest.mark.parametrize("text", [*texts()[:20], "", "  a\n\tb ", "<end> <pad>", "𝕏 עברית\0"])
def test_lossless(text: str, trained: Tokenizer) -> None:
    assert trained.decode(trained.encode(text)) == text
    assert all(i >= len(SPECIAL_TOKENS) for i in trained.encode(text))


def test_a_corpus_too_small_for_the_vocabulary_gives_a_smaller_one() -> None:
    small = Tokenizer(train_tokenizer(["a b"], vocab_size=5_000, spaced=100))
    assert small.vocab_size < 300
    assert small.decode(small.encode("hello")) == "hello"
