"""The dry run: what it foretells is what a run takes, and it asks nothing of the teacher."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.distil.toys import TOOLS, Toy, price
from training.distil.generate import GenerateConfig, generate
from training.distil.ledger import Ledger, read_ledger
from training.distil.plan import plan
from training.distil.sampling import Sampling
from training.teacher.base import Tokens

CONFIG = GenerateConfig(examples=200, concurrency=4, seed=3)


def test_a_plan_is_of_the_size_of_what_a_run_takes(tmp_path: Path) -> None:
    made = plan(TOOLS, CONFIG, price)
    with Ledger(tmp_path / "l", {}) as ledger:
        generate(Toy(), TOOLS, ledger, CONFIG, price)
        assert 0.6 < made.dollars / ledger.dollars < 1.8
        assert ledger.dollars < made.at_most
        assert 0.8 < made.samples / ledger.samples < 1.3
        assert 0.9 < made.inventions / len(ledger.inventions) < 1.3
        assert 0.7 < made.tokens.input / ledger.tokens.input < 1.7
        rest = plan(TOOLS, CONFIG, price, ledger=ledger)
        assert (rest.examples, rest.samples, rest.spent) == (0, 0, ledger.dollars)


def test_what_was_done_is_not_planned_again(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l", {}) as ledger:
        generate(Toy(), TOOLS, ledger, replace(CONFIG, examples=80), price)
    done = read_ledger(tmp_path / "l")
    whole, rest = plan(TOOLS, CONFIG, price), plan(TOOLS, CONFIG, price, ledger=done)
    assert (whole.examples, rest.examples) == (200, 120)
    assert whole.inventions - rest.inventions == len(done.inventions) and rest.dollars < 0.7 * whole.dollars
    assert "were spent before" in str(rest) and "before" not in str(whole)


def test_the_budget_is_measured_by_the_plan() -> None:
    made = plan(TOOLS, replace(CONFIG, budget=1.0), price)
    tight = plan(TOOLS, replace(CONFIG, budget=made.dollars / 4), price)
    assert (made.affordable, tight.affordable) == (1.0, pytest.approx(0.25))
    assert "pays for about 25 % of it" in str(tight)
    assert plan(TOOLS, CONFIG, price).affordable == 1.0


def test_batches_and_samples_change_the_price() -> None:
    def half(tokens: Tokens) -> float:
        return price(tokens) / 2

    made = plan(TOOLS, CONFIG, price, half)
    batched = plan(TOOLS, replace(CONFIG, batch=True), price, half)
    assert 0.5 * made.dollars < batched.dollars < 0.9 * made.dollars
    assert plan(TOOLS, replace(CONFIG, sampling=Sampling(5, 5)), price).samples == 1_000
    assert plan(TOOLS, replace(CONFIG, sampling=Sampling(1, 1)), price).samples == 200


def test_a_plan_in_words_has_its_figures() -> None:
    text = str(plan(TOOLS, replace(CONFIG, examples=5_000, budget=20.0), price))
    assert text.startswith("5,000 requests to answer, by about 13,750 answers, and 695 calls to invent them: call 388")
    assert "tokens in and" in text and "The budget of $20.00 pays for about 100 % of it." in text
