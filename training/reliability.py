"""How good probabilities of being right are: calibration, ranking, and what may be answered at which risk."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

BINS = 10
SMALLEST = 1e-6  # a probability below counts as this in the log loss


@dataclass(frozen=True)
class Quality:
    """Of N probabilities p of being right. Lower is better, except for `auroc`.

    `brier`: mean (p - right)². `log_loss`: mean nats. `ece`: expected calibration error over ten bins of equal count.
    `auroc`: probability that a right answer has the higher p, None when all or none are right. `aurc`: area under the
    risk-coverage curve, the error rate averaged over all coverages.
    """

    brier: float
    log_loss: float
    ece: float
    auroc: float | None
    aurc: float


def quality(p: Array, right: Array) -> Quality:
    """p, right [N], N > 0."""
    ece = sum(count * abs(said - was) for said, was, count in reliability(p, right)) / len(p)
    _, risk = risk_coverage(p, right)
    return Quality(
        float(np.mean((p - right) ** 2)), float(log_losses(p, right).mean()), ece, auroc(p, right), float(risk.mean())
    )


def log_losses(p: Array, right: Array) -> Array:
    """Each example's log loss in nats [N]."""
    p = np.clip(p, SMALLEST, 1.0 - SMALLEST)
    return np.asarray(-np.where(right > 0.5, np.log(p), np.log1p(-p)))


def reliability(p: Array, right: Array, bins: int = BINS) -> Iterator[tuple[float, float, int]]:
    """(mean p, share right, count) of each bin; bins hold equally many, the least sure first."""
    for chosen in np.array_split(np.argsort(p, kind="stable"), bins):
        if len(chosen):
            yield float(p[chosen].mean()), float(right[chosen].mean()), len(chosen)


def auroc(p: Array, right: Array) -> float | None:
    """Area under the ROC curve; ties count half."""
    good, bad = p[right > 0.5], p[right < 0.5]
    if not len(good) or not len(bad):
        return None
    return float((good[:, None] > bad).mean() + 0.5 * (good[:, None] == bad).mean())


def risk_coverage(p: Array, right: Array) -> tuple[Array, Array]:
    """(coverage, risk), [N] each: answering only the k surest, the share answered and the share of those wrong.

    Answers of one probability cannot be told apart, so each counts as wrong by their average.
    """
    _, group, counts = np.unique(-p, return_inverse=True, return_counts=True)
    wrong = np.bincount(group, weights=1.0 - right) / counts
    k = np.arange(1, len(p) + 1)
    return k / len(p), np.cumsum(np.repeat(wrong, counts)) / k


@dataclass(frozen=True)
class Threshold:
    """Answering what is at least `threshold` sure: at most the wanted share is wrong, and `coverage` is answered."""

    threshold: float
    coverage: float


def threshold_for(p: Array, right: Array, risk: float) -> Threshold | None:
    """The lowest threshold whose answered requests are wrong at a rate of at most `risk`; None when there is none.

    Of fewer than 1/`risk` answers, none wrong proves nothing: a threshold that leaves so few is not taken.
    """
    best = None
    for threshold in np.unique(p)[::-1]:
        answered = p >= threshold
        if answered.sum() >= math.ceil(1.0 / risk) and 1.0 - right[answered].mean() <= risk + 1e-12:
            best = Threshold(float(threshold), float(answered.mean()))
    return best
