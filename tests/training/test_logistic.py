"""The fit: it finds what the examples were drawn from, and what the prior says where they are silent."""

from __future__ import annotations

import numpy as np
import pytest

from training.logistic import fit_logistic, sigmoid

TRUE = np.array([1.5, -0.75, 0.4])


def drawn(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 2))
    return x, (rng.random(count) < sigmoid(x @ TRUE[:2] + TRUE[2])).astype(np.float64)


def test_it_recovers_known_coefficients() -> None:
    x, right = drawn(40_000)
    found = fit_logistic(x, right, np.zeros(3), np.ones(3))
    np.testing.assert_allclose(found, TRUE, atol=0.06)


def test_at_the_solution_the_gradient_is_zero() -> None:
    x, right = drawn(60, seed=1)
    prior, strength = np.array([1.0, 0.0, 0.0]), np.array([1.0, 10.0, 2.0])
    found = fit_logistic(x, right, prior, strength)
    padded = np.column_stack([x, np.ones(60)])
    gradient = padded.T @ (sigmoid(padded @ found) - right) + strength * (found - prior)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-6)


def test_without_examples_the_prior_stays() -> None:
    prior = np.array([1.0, 0.0, -2.0])
    np.testing.assert_allclose(fit_logistic(np.zeros((0, 2)), np.zeros(0), prior, np.ones(3)), prior)


def test_a_stronger_prior_pulls_harder() -> None:
    x, right = drawn(200, seed=2)
    prior = np.array([5.0, 5.0, 5.0])
    distances = [np.abs(fit_logistic(x, right, prior, np.full(3, s)) - prior).max() for s in (0.1, 10.0, 1e6)]
    assert distances[0] > distances[1] > distances[2]
    assert distances[2] < 1e-3


@pytest.mark.parametrize("start", [0.0, 30.0, -30.0])
def test_it_converges_from_afar_and_on_separable_examples(start: float) -> None:
    """Plain Newton steps diverge from a saturated start; and without a prior, separable examples have no solution."""
    x = np.linspace(-3, 3, 50)[:, None]
    right = (x[:, 0] > 0).astype(np.float64)
    found = fit_logistic(x, right, np.full(2, start), np.full(2, 0.01))
    assert np.isfinite(found).all()
    assert ((sigmoid(x[:, 0] * found[0] + found[1]) > 0.5) == (right > 0.5)).mean() > 0.9


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        fit_logistic(np.array([[np.inf]]), np.ones(1), np.zeros(2), np.ones(2))


def test_sigmoid_does_not_overflow() -> None:
    np.testing.assert_allclose(sigmoid(np.array([-1e4, 0.0, np.log(3.0), 1e4])), [0.0, 0.5, 0.75, 1.0])
