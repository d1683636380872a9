"""Batches ahead of the step that needs them: from several sets of shards in turn, built by processes of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from math import gcd
from typing import cast

import torch.multiprocessing
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from training.data.batches import Batch

AHEAD = 4  # batches that each process has ready
Draw = Callable[[int, int], Iterator[Batch]]  # (start, stride): the start-th batch, and every stride-th behind it


def in_turn(sets: Sequence[Draw]) -> Draw:
    """One sequence of batches whose k-th is the next one of the k-th set, counted round and round."""

    def draw(start: int, stride: int) -> Iterator[Batch]:
        several = len(sets)
        period = several // gcd(stride, several)  # so many strides lead to the same set again
        places = [start + i * stride for i in range(period)]
        streams = [sets[k % several](k // several, stride * period // several) for k in places]
        for stream in cycle(streams):
            yield next(stream)

    return draw


def ahead(draw: Draw, start: int, stride: int, workers: int) -> Iterator[Batch]:
    """`draw(start, stride)`, built by `workers` processes while the caller computes; by the caller itself for none.

    What a batch holds does not depend on `workers`. A GPU takes a batch in less time than it takes to build one.
    """
    if not workers:
        return draw(start, stride)
    # By default each tensor under way is an open file: hundreds a batch, of the thousand that a process may have.
    torch.multiprocessing.set_sharing_strategy("file_system")
    loader = DataLoader(
        _Stream(draw, start, stride),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=AHEAD,
        multiprocessing_context="fork",  # shares the examples, and a `draw` that is a closure
    )
    return cast(Iterator[Batch], iter(loader))


class _Stream(IterableDataset[Batch]):
    """A worker's part of a sequence; the loader takes one batch of each worker in turn."""

    def __init__(self, draw: Draw, start: int, stride: int) -> None:
        self.draw, self.start, self.stride = draw, start, stride

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        assert worker is not None, "in a worker only"
        return self.draw(self.start + worker.id * self.stride, self.stride * worker.num_workers)
