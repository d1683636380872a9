"""Attention over texts that queries share is attention over what each of them reads."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from training.data.reads import QUERIES, Reads, group_reads  # noqa: E402
from training.network import attend, attend_part, merge_parts  # noqa: E402


def read_by(reads: Reads) -> list[list[int]]:
    """The places that each query reads, found by way of its own place."""
    queries = [int(q) for query in reads.query for q in query.flatten()]
    texts = [
        source[readable].tolist()
        for sources, readables in zip(reads.source, reads.readable, strict=True)
        for source, of_chunk in zip(sources, readables, strict=True)
        for readable in of_chunk
    ]
    found = []
    for number, place in enumerate(reads.place.tolist()):
        assert place == len(texts) or queries[place] == number
        found.append([] if place == len(texts) else texts[place])
    return found


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 9)), max_size=80))
def test_every_query_reads_the_beginning_of_its_text(asked: list[tuple[int, int]]) -> None:
    start = np.array([10 * text for text, _ in asked], np.int64)
    length = np.array([n for _, n in asked], np.int64)
    assert read_by(group_reads(start, length)) == [
        list(range(s, s + n)) for s, n in zip(start.tolist(), length.tolist(), strict=True)
    ]


def test_a_text_is_taken_once_for_its_queries() -> None:
    reads = group_reads(np.zeros(3 * QUERIES, np.int64), np.full(3 * QUERIES, 7))
    assert [tuple(s.shape) for s in reads.source] == [(3, 8)]


def test_no_query_is_no_text() -> None:
    reads = group_reads(np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert reads.source == () and len(reads.place) == 0


def test_parts_merge_to_the_whole() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, n, w, generator=generator) for n, w in ((3, 32), (9, 16), (9, 16)))
    bias = torch.where(torch.rand(2, 1, 3, 9, generator=generator) < 0.3, -1e4, 0.0)
    whole = attend(q, k, v, bias, head_width=8)
    parts = [attend_part(q, k[:, p], v[:, p], bias[..., p], 8) for p in (slice(0, 4), slice(4, 5), slice(5, 9))]
    torch.testing.assert_close(merge_parts(parts), whole)


def test_a_part_without_anything_to_read_weighs_nothing() -> None:
    q, k, v = torch.randn(1, 1, 16), torch.randn(1, 4, 8), torch.randn(1, 4, 8)
    read = attend_part(q, k, v, torch.zeros(1, 1, 1, 4), 8)
    masked = attend_part(q, k, 100 * v, torch.full((1, 1, 1, 4), -1e4), 8)
    torch.testing.assert_close(merge_parts([read, masked]), read[0].flatten(-2))
