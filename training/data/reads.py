"""Who reads what: queries that read the same text stand together, so that its keys and values are taken only once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training.data.packing import buckets

QUERIES = 16  # of a chunk
SHRINK = 0.5  # padding of texts costs little here, and every bucket some calls

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Reads:
    """n queries, each of which reads the beginning of at most one text of a flat row of tokens.

    Queries of one text stand in chunks of QUERIES, Q, and chunks that read about as far in a bucket of m. By bucket
    `source` [m, S] are places among the tokens, `readable` [m, Q, S] what of them each query reads, and `query` [m, Q]
    the queries, n where there is none. `place` [n] is where a query stands when all chunks are laid behind each other,
    and one behind the last place for a query that reads nothing.
    """

    source: tuple[Tensor, ...]
    readable: tuple[Tensor, ...]
    query: tuple[Tensor, ...]
    place: Tensor


def group_reads(start: Ints, length: Ints) -> Reads:
    """Query i reads the `length[i]` tokens from `start[i]` on, possibly none; equal starts mean the same text."""
    n = len(start)
    reading = np.flatnonzero(length > 0)
    # Of one text those that read as far stand together, which saves padding.
    order = reading[np.lexsort((length[reading], start[reading]))]
    cuts = np.flatnonzero(np.diff(start[order])) + 1
    texts = np.split(order, cuts) if len(order) else []
    chunks = [text[i : i + QUERIES] for text in texts for i in range(0, len(text), QUERIES)]
    place = np.full(n, len(chunks) * QUERIES, np.int64)
    source, readable, query = [], [], []
    behind = 0
    for members, longest in buckets(np.array([length[chunk].max() for chunk in chunks], np.int64), SHRINK):
        asked = np.full((len(members), QUERIES), n, np.int64)
        for row, member in enumerate(members):
            chunk = chunks[member]
            asked[row, : len(chunk)] = chunk
            place[chunk] = behind + row * QUERIES + np.arange(len(chunk))
        behind += asked.size
        column = np.arange(longest)
        reach = np.append(length, 0)[asked]  # [m, Q]
        first, furthest = start[asked[:, 0]], reach.max(1)
        # Behind the end of the text stands its last token, which nobody reads.
        source.append(torch.from_numpy(first[:, None] + np.minimum(column, furthest[:, None] - 1)))
        readable.append(torch.from_numpy(column < reach[:, :, None]))
        query.append(torch.from_numpy(asked))
    return Reads(tuple(source), tuple(readable), tuple(query), torch.from_numpy(place))
