"""Intervals and the paired test, against values worked out elsewhere."""

from __future__ import annotations

import pytest

from training.evaluation.statistics import mcnemar, wilson


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [
        (5, 10, 0.2366, 0.7634),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (131, 300, 0.3817, 0.4932),
        (1, 29, 0.0061, 0.1718),  # Newcombe 1998, table I
        (0, 0, 0.0, 1.0),
    ],
)
def test_wilson(right: int, total: int, low: float, high: float) -> None:
    assert wilson(right, total) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [
        (0, 0, 1.0),
        (3, 3, 1.0),
        (0, 5, 0.0625),
        (1, 9, 22 / 1024),
        (10, 2, 2 * (1 + 12 + 66) / 4096),
    ],
)
def test_mcnemar(first: int, second: int, p: float) -> None:
    assert mcnemar(first, second) == pytest.approx(p) == mcnemar(second, first)
