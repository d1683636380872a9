"""Picking from a distribution: greedy at temperature 0, else temperature and nucleus sampling."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


class Sampler:
    """Draws indices from probabilities. One per request; `seed` makes it repeatable."""

    def __init__(self, temperature: float, top_p: float, seed: int | None) -> None:
        self.temperature = temperature
        self.top_p = top_p
        self._random = np.random.default_rng(seed)

    def pick(self, probabilities: npt.NDArray[np.float32]) -> int:
        """An index into `probabilities` [V], which are non-negative, sum to something positive, and need no norm."""
        if self.temperature == 0.0:
            return int(probabilities.argmax())
        with np.errstate(divide="ignore", over="ignore"):
            logits = np.log(probabilities.astype(np.float64))
            # Subtracted first: divided by the least of temperatures, the best one must still be a number.
            weights = np.exp((logits - logits.max()) / self.temperature)
        weights /= weights.sum()
        if self.top_p < 1.0:
            order = np.argsort(-weights, kind="stable")
            # The smallest set whose mass reaches top_p: what lies before a token must be less than top_p.
            before = np.cumsum(weights[order]) - weights[order]
            weights[order[(before >= self.top_p) & (np.arange(len(order)) > 0)]] = 0.0
            weights /= weights.sum()
        return int(self._random.choice(len(weights), p=weights))
