"""Measures of probabilities, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from training.reliability import Threshold, auroc, log_losses, quality, reliability, risk_coverage, threshold_for

P = np.array([0.9, 0.8, 0.8, 0.1])
RIGHT = np.array([1.0, 1.0, 0.0, 0.0])


def test_quality_of_four_answers() -> None:
    q = quality(P, RIGHT)
    assert q.brier == pytest.approx((0.01 + 0.04 + 0.64 + 0.01) / 4)
    assert q.log_loss == pytest.approx(-np.log([0.9, 0.8, 0.2, 0.9]).mean())
    assert q.ece == pytest.approx((0.1 + 0.2 + 0.8 + 0.1) / 4)  # bins of one each
    assert q.auroc == pytest.approx(3.5 / 4)  # of the pairs right and wrong, one is a tie
    assert q.aurc == pytest.approx((0 + 0.5 / 2 + 1 / 3 + 2 / 4) / 4)


def test_a_log_loss_is_finite_even_when_certainly_wrong() -> None:
    assert log_losses(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == pytest.approx([np.log(1e6)] * 2, rel=1e-6)


def test_bins_hold_equally_many() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(1000)
    bins = list(reliability(p, (rng.random(1000) < p).astype(float)))
    assert [count for _, _, count in bins] == [100] * 10
    assert all(abs(said - was) < 0.15 for said, was, _ in bins)
    assert list(reliability(P[:1], RIGHT[:1])) == [(0.9, 1.0, 1)]


def test_auroc_needs_both() -> None:
    assert auroc(P[:2], RIGHT[:2]) is None
    assert auroc(np.array([0.1, 0.9]), np.array([1.0, 0.0])) == 0.0


def test_answers_of_one_probability_are_in_no_order() -> None:
    coverage, risk = risk_coverage(P, RIGHT)
    np.testing.assert_allclose(coverage, [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(risk, [0, 0.25, 1 / 3, 0.5])
    order = [2, 0, 3, 1]
    np.testing.assert_allclose(risk_coverage(P[order], RIGHT[order])[1], risk)


def test_the_lowest_threshold_that_keeps_the_risk() -> None:
    p = np.linspace(0.01, 1.0, 100)
    right = (p > 0.5).astype(float)  # 50 right ones above 50 wrong ones
    assert threshold_for(p, right, 0.2) == Threshold(pytest.approx(0.39), pytest.approx(0.62))  # 12 of 62 are wrong
    found = threshold_for(p, right, 0.05)
    assert found is not None
    answered = p >= found.threshold
    assert answered.mean() == pytest.approx(found.coverage)
    assert 1 - right[answered].mean() <= 0.05


def test_a_threshold_does_not_cut_through_equal_answers() -> None:
    p, right = np.repeat([0.9, 0.5], 20), np.array([1.0] * 20 + [1.0] * 5 + [0.0] * 15)
    assert threshold_for(p, right, 0.2) == Threshold(0.9, 0.5)


def test_a_few_right_answers_prove_no_small_risk() -> None:
    p, right = np.linspace(1, 0, 40), np.array([1.0] * 15 + [0.0] * 25)
    assert threshold_for(p, right, 0.05) is None
    assert threshold_for(p, right, 0.1) == Threshold(pytest.approx(p[15]), 0.4)  # one of sixteen is wrong
