"""Dollars."""

from __future__ import annotations

import pytest

from training.teacher.base import Tokens
from training.teacher.gemini import DEFAULT_MODEL
from training.teacher.prices import PRICES, Price, cost, estimate, price


def test_cost() -> None:
    tokens = Tokens(input=2_000_000, output=500_000)
    assert cost(tokens, "gemini-2.5-flash-lite") == pytest.approx(2 * 0.10 + 0.5 * 0.40)
    assert cost(tokens, "gemini-2.5-flash-lite", batch=True) == pytest.approx(0.20)
    assert cost(tokens, "gemini-2.5-flash-lite", Price(1, 4)) == pytest.approx(4)
    assert cost(Tokens(), "gemini-2.5-pro") == 0


def test_dated_names_have_the_price_of_their_model() -> None:
    assert price("models/gemini-2.5-flash-001") == PRICES["gemini-2.5-flash"]
    assert price("gemini-2.5-flash-lite-preview-09-2025") == PRICES["gemini-2.5-flash-lite"]
    assert price("gemini-3-flash-preview") == PRICES["gemini-3-flash-preview"]
    assert price(DEFAULT_MODEL)


@pytest.mark.parametrize("model", ["gemini-9-ultra", "gemini-2.5-flash-image", "gpt-6"])
def test_a_model_that_is_not_listed_needs_a_price(model: str) -> None:
    with pytest.raises(ValueError, match=f"no price is known for '{model}': give its dollars per million"):
        cost(Tokens(1, 1), model)
    assert cost(Tokens(1_000_000, 0), model, Price(3, 5)) == pytest.approx(3)


def test_a_price_is_not_negative() -> None:
    with pytest.raises(ValueError, match="not negative"):
        Price(-1, 2)


def test_estimate() -> None:
    sizes = {"invention": Tokens(1_000, 500), "answer": Tokens(800, 60)}
    live = estimate("gemini-2.5-flash-lite", inventions=600, answers=5_000, **sizes)
    assert live.tokens == Tokens(600 * 1_000 + 5_000 * 800, 600 * 500 + 5_000 * 60)
    assert live.inventing == pytest.approx(0.6 * 0.10 + 0.3 * 0.40)
    assert live.answering == pytest.approx(4.0 * 0.10 + 0.3 * 0.40)
    assert live.dollars == pytest.approx(live.inventing + live.answering)
    batch = estimate("gemini-2.5-flash-lite", inventions=600, answers=5_000, batch=True, **sizes)
    assert batch.inventing == live.inventing
    assert batch.answering == pytest.approx(live.answering / 2)
