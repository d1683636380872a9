"""Logistic regression with a Gaussian prior, by Newton's method: a few features, some hundred examples, numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

STEPS = 100
TOLERANCE = 1e-9


def fit_logistic(features: Array, right: Array, prior: Array, strength: Array) -> Array:
    """The weights and, last, the bias [F+1] that are most probable given the examples.

    Args:
        features: [N, F]; scale them alike, for `strength` is per unit of weight.
        right: [N], 1.0 or 0.0.
        prior: [F+1], what the weights and the bias are drawn towards; without examples, the result.
        strength: [F+1], positive: how many examples' worth of certainty the prior has.

    Raises `ValueError` on input that is not finite.
    """
    x = np.column_stack([features, np.ones(len(right))])
    if not (np.isfinite(x).all() and np.isfinite(right).all()):
        raise ValueError("cannot fit a calibration to values that are not finite")
    weights = prior.astype(np.float64)
    loss = _loss(x, right, weights, prior, strength)
    for _ in range(STEPS):
        p = sigmoid(x @ weights)
        gradient = x.T @ (p - right) + strength * (weights - prior)
        curvature = (x * (p * (1.0 - p))[:, None]).T @ x + np.diag(strength)
        step = np.linalg.solve(curvature, gradient)
        # Far from the optimum a full step can overshoot; the loss is convex, so a shorter one always gains.
        size = 1.0
        while (new := _loss(x, right, weights - size * step, prior, strength)) > loss + 1e-12 and size > 1e-6:
            size /= 2.0
        weights, loss = weights - size * step, new
        if np.abs(size * step).max() < TOLERANCE:
            break
    return weights


def sigmoid(odds: Array) -> Array:
    """1 / (1 + exp(-odds)), without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * odds)))


def _loss(x: Array, right: Array, weights: Array, prior: Array, strength: Array) -> float:
    odds = x @ weights
    return float((np.logaddexp(0.0, odds) - right * odds).sum() + 0.5 * (strength * (weights - prior) ** 2).sum())
