"""Texts of many lengths as one row of tokens, with little padding: what the network's linear layers see.

Texts of like length share a *bucket*, a `rows x length` block padded with PAD; the blocks lie one behind the other in
one flat tensor. Linear layers and norms run over the flat tensor at once; only attention goes bucket by bucket.

oneDNN compiles a kernel for every new shape of a matrix product, in milliseconds. So flat tensors come in few lengths.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.tokenizer import PAD

SHRINK = 0.8  # a text shorter than this share of its bucket's length begins the next bucket
MULTIPLE = 4  # lengths of buckets are multiples of this, for the matrix kernels
TOKENS, ROWS = 256, 64  # flat tensors of tokens, and those of fewer rows, have a multiple of this many


@dataclass(frozen=True)
class Packed:
    """Texts 0..n-1, laid out in the order `order`.

    `ids`, `position` [N]: all buckets' tokens, and their places in their texts, then PAD at 0. `shapes`: (rows, length)
    of each bucket. `order` [n]: which text the k-th row is. `start`, `length` [n]: where text i begins in `ids`, and
    its length.
    """

    ids: Tensor
    position: Tensor
    shapes: tuple[tuple[int, int], ...]
    order: Tensor
    start: Tensor
    length: Tensor

    def __len__(self) -> int:
        return len(self.order)

    def split(self, flat: Tensor) -> Iterator[Tensor]:
        """flat [N, ..] -> each bucket's [rows, length, ..]."""
        sizes = [rows * length for rows, length in self.shapes]
        for part, shape in zip(flat[: sum(sizes)].split(sizes), self.shapes, strict=True):
            yield part.unflatten(0, shape)

    def join(self, parts: Iterable[Tensor]) -> Tensor:
        """Each bucket's [rows, length, ..] -> flat [N, ..], zero behind the last."""
        flat = [part.flatten(0, 1) for part in parts]
        behind = len(self.ids) - sum(map(len, flat))
        return torch.cat([*flat, flat[0].new_zeros(behind, *flat[0].shape[1:])])

    def rows(self, values: Tensor) -> Iterator[Tensor]:
        """values [n, ..] of the texts -> each bucket's [rows, ..]."""
        yield from values[self.order].split([rows for rows, _ in self.shapes])

    def to(self, device: torch.device) -> Packed:
        ids, position, order, start, length = (
            x.to(device, non_blocking=True) for x in (self.ids, self.position, self.order, self.start, self.length)
        )
        return Packed(ids, position, self.shapes, order, start, length)


def pad_to(multiple: int, size: int) -> int:
    """The least multiple that is no smaller than `size`."""
    return -(-size // multiple) * multiple


def buckets(lengths: npt.NDArray[np.int64], shrink: float = SHRINK) -> list[tuple[npt.NDArray[np.int64], int]]:
    """(members, padded length) of each bucket, longest first; every index of `lengths` is in exactly one."""
    order = np.argsort(-lengths, kind="stable")
    found = []
    while len(order):
        longest = pad_to(MULTIPLE, max(1, int(lengths[order[0]])))
        size = int(np.searchsorted(-lengths[order], -shrink * longest, side="right"))
        size = max(size, int(np.searchsorted(-lengths[order], -(longest - MULTIPLE), side="left")), 1)
        found.append((order[:size], longest))
        order = order[size:]
    return found


def pack(texts: Sequence[npt.ArrayLike]) -> Packed:
    """Lay texts (arrays of token ids) out in buckets."""
    arrays = [np.asarray(t, np.int64) for t in texts]
    lengths = np.array([len(a) for a in arrays])
    start = np.zeros(len(arrays), np.int64)
    ids, shapes, order = [], [], []
    offset = 0
    for members, length in buckets(lengths):
        block = np.full((len(members), length), PAD, np.int64)
        for row, i in enumerate(members):
            block[row, : lengths[i]] = arrays[i]
            start[i] = offset + row * length
        offset += block.size
        ids.append(block.ravel())
        shapes.append(block.shape)
        order.append(members)
    position = np.concatenate([np.tile(np.arange(length), rows) for rows, length in shapes])
    behind = (0, pad_to(TOKENS, offset) - offset)
    tensors: list[npt.NDArray[Any]] = [
        np.pad(np.concatenate(ids), behind, constant_values=PAD),
        np.pad(position, behind),
        np.concatenate(order),
        start,
        lengths,
    ]
    flat, places, rows, starts, sizes = map(torch.from_numpy, tensors)
    return Packed(flat, places, tuple(shapes), rows, starts, sizes)
