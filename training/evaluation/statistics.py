"""How sure the figures are: intervals for a share, and a test of two models on the same requests."""

from __future__ import annotations

import math

Z = 1.959964  # standard deviations that hold 95 % of a normal distribution


def wilson(right: int, total: int) -> tuple[float, float]:
    """The 95 % score interval of the share `right / total`, within [0, 1]; all of it when there is nothing to count."""
    if total == 0:
        return 0.0, 1.0
    share, spread = right / total, Z * Z / total
    middle = share + spread / 2
    half = Z * math.sqrt(share * (1 - share) / total + spread / (4 * total))
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact two-sided p of McNemar's test.

    Of requests that just one of two models answers right, chance gives each half; `only_first` and `only_second` count
    them. Returns the probability of a split at least as uneven.
    """
    total = only_first + only_second
    tail = sum(math.comb(total, k) for k in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / 2**total)
