"""The student's batches: its teacher's labels, with examples of the general corpus among them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count

import numpy as np

from training.config import TrainConfig
from training.data.batches import Batch, Ints, build_batch, epoch_batches
from training.data.shards import ExampleTable, ToolTable

MOST_MEASURED = 256  # held-out examples: measuring them takes as long as a few steps


def mixed_batches(
    examples: ExampleTable,
    tools: ToolTable,
    rows: int,
    candidates: int,
    seed: int,
    start: int = 0,
    stride: int = 1,
    *,
    replay: float,
) -> Iterator[Batch]:
    """Of one endless sequence of batches the `start`-th and every `stride`-th behind it.

    Labels are the closed examples; `replay` is the share of a batch's rows that are others. Batch k is the same whoever
    builds it. ValueError when the others do not fill their share of one.
    """
    labels, others = np.flatnonzero(examples.closed), np.flatnonzero(~examples.closed)
    replayed = replay_rows(rows, replay) if len(others) else 0
    general = _General(examples.where(~examples.closed), replayed, seed) if replayed else None
    for k in count(start, stride):
        taken = labels[_labels(len(labels), rows - replayed, seed, k)]
        # The others first: the encoder is held to what it was on the first rows of a batch.
        indices = np.concatenate((others[general.batch(k)], taken)) if general else taken
        yield build_batch(examples, tools, indices, candidates, np.random.default_rng((seed, k)))


def replay_rows(rows: int, replay: float) -> int:
    """How many of a batch's rows are replayed: at least one is a label."""
    return min(round(replay * rows), rows - 1)


def held_out_batches(heldout: ExampleTable, tools: ToolTable, config: TrainConfig) -> Iterator[Batch]:
    """Fixed batches of about the same size, which hold every held-out example, or `MOST_MEASURED` of them."""
    chosen = np.random.default_rng(0).permutation(len(heldout))[:MOST_MEASURED]
    for k, indices in enumerate(np.array_split(chosen, math.ceil(len(chosen) / config.rows))):
        yield build_batch(heldout, tools, indices, config.candidates, np.random.default_rng(k))


def _labels(total: int, rows: int, seed: int, k: int) -> Ints:
    """Which labels are in batch k: all in an order that each epoch shuffles anew, one behind the other."""
    first, last = k * rows, (k + 1) * rows
    epochs = range(first // total, -(-last // total))
    orders = [np.random.default_rng((seed, epoch, 1)).permutation(total) for epoch in epochs]
    return np.concatenate(orders)[first - epochs.start * total : last - epochs.start * total]


class _General:
    """Batches of `rows` general examples, by number."""

    def __init__(self, examples: ExampleTable, rows: int, seed: int) -> None:
        self._examples, self._rows, self._seed = examples, rows, seed
        self._in_epoch = len(examples) // rows
        if not self._in_epoch:
            raise ValueError(f"{len(examples)} examples to replay do not fill their {rows} rows of a batch")
        self._epoch = -1
        self._batches: list[Ints] = []

    def batch(self, k: int) -> Ints:
        """Indices into `examples`."""
        epoch, place = divmod(k, self._in_epoch)
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, epoch_batches(self._examples, self._rows, self._seed + epoch)
        return self._batches[place]
