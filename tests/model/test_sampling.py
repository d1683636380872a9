"""The sampler against the distributions that it should draw from."""

from __future__ import annotations

import numpy as np
import pytest

from model.sampling import Sampler

PROBABILITIES = np.array([0.0, 0.5, 0.3, 0.15, 0.05, 0.0], np.float32)


def shares(sampler: Sampler, draws: int = 4_000) -> list[float]:
    picked = np.bincount([sampler.pick(PROBABILITIES) for _ in range(draws)], minlength=len(PROBABILITIES))
    return (picked / draws).tolist()


def test_temperature_0_takes_the_likeliest() -> None:
    assert {Sampler(0.0, 1.0, seed).pick(PROBABILITIES) for seed in range(20)} == {1}


@pytest.mark.parametrize("temperature", [5e-324, 1e-320, 1e-9])
def test_next_to_no_temperature_is_none(temperature: float) -> None:
    assert {Sampler(temperature, 1.0, seed).pick(PROBABILITIES) for seed in range(20)} == {1}


@pytest.mark.parametrize(
    ("temperature", "top_p", "expected"),
    [
        (1.0, 1.0, PROBABILITIES),
        (0.5, 1.0, PROBABILITIES**2 / (PROBABILITIES**2).sum()),
        (2.0, 1.0, PROBABILITIES**0.5 / (PROBABILITIES**0.5).sum()),
        (1.0, 0.79, [0, 0.625, 0.375, 0, 0, 0]),
        (1.0, 0.9, [0, 0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0, 0]),
        (1.0, 0.01, [0, 1, 0, 0, 0, 0]),
        (1.0, 0.0, [0, 1, 0, 0, 0, 0]),
    ],
)
def test_shares(temperature: float, top_p: float, expected: np.ndarray) -> None:
    assert shares(Sampler(temperature, top_p, seed=0)) == pytest.approx(list(expected), abs=0.03)


def test_need_not_sum_to_one() -> None:
    assert {Sampler(1.0, 1.0, s).pick(np.array([0, 1e-30, 0, 1e-30], np.float32)) for s in range(40)} == {1, 3}


def test_what_is_impossible_is_never_drawn_however_hot() -> None:
    assert set(np.flatnonzero(shares(Sampler(50.0, 1.0, seed=1)))) == {1, 2, 3, 4}


def test_a_seed_repeats() -> None:
    first, second, other = (Sampler(1.0, 1.0, seed) for seed in (7, 7, 8))
    draws = [[s.pick(PROBABILITIES) for _ in range(50)] for s in (first, second, other)]
    assert draws[0] == draws[1] != draws[2]
