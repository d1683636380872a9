"""Packing: every token is where it is said to be, and little else is there."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from model.tokenizer import PAD, SPECIAL_TOKENS  # noqa: E402
from tests.training.corpus import unpack  # noqa: E402
from training.data.packing import MULTIPLE, SHRINK, TOKENS, buckets, pack, pad_to  # noqa: E402

TOKEN = st.integers(len(SPECIAL_TOKENS), 999)
TEXTS = st.lists(st.lists(TOKEN, min_size=1, max_size=70), min_size=1, max_size=25)
LENGTHS = st.lists(st.integers(1, 600), min_size=1, max_size=60)


@settings(deadline=None)
@given(LENGTHS, st.sampled_from([SHRINK, 0.5, 1.0]))
def test_buckets_hold_every_text_once_and_little_padding(lengths: list[int], shrink: float) -> None:
    found = buckets(np.array(lengths), shrink)
    assert sorted(np.concatenate([members for members, _ in found]).tolist()) == list(range(len(lengths)))
    sizes = [size for _, size in found]
    assert sizes == sorted(set(sizes), reverse=True)  # longest first, and no two buckets of one size
    for members, size in found:
        inside = [lengths[i] for i in members]
        assert size % MULTIPLE == 0 and 0 <= size - max(inside) < MULTIPLE
        assert min(inside) >= shrink * size or min(inside) > size - MULTIPLE


@settings(deadline=None)
@given(TEXTS)
def test_every_text_is_found_at_its_start(texts: list[list[int]]) -> None:
    packed = pack(texts)
    assert len(packed) == len(texts)
    for text, start in zip(texts, packed.start.tolist(), strict=True):
        assert packed.ids[start : start + len(text)].tolist() == text
        assert packed.position[start : start + len(text)].tolist() == list(range(len(text)))
    assert int((packed.ids != PAD).sum()) == sum(map(len, texts))
    used = sum(rows * length for rows, length in packed.shapes)
    assert len(packed.ids) == len(packed.position) == pad_to(TOKENS, used)
    assert packed.ids[used:].tolist() == [PAD] * (len(packed.ids) - used)
    assert not packed.position[used:].any()


@settings(deadline=None)
@given(TEXTS)
def test_splitting_gives_each_bucket_its_texts(texts: list[list[int]]) -> None:
    packed = pack(texts)
    numbers = torch.arange(len(texts))
    assert sorted(packed.order.tolist()) == numbers.tolist()
    blocks = list(packed.split(packed.ids))
    assert torch.equal(packed.join(blocks), packed.ids)
    assert tuple(tuple(block.shape) for block in blocks) == packed.shapes
    for block, members in zip(blocks, packed.rows(numbers), strict=True):
        for row, i in zip(block, members.tolist(), strict=True):
            assert row.tolist() == texts[i] + [PAD] * (len(row) - len(texts[i]))
    # What is computed row by row in the packed order comes back in that of the texts by `order.argsort()`.
    first = torch.cat([block[:, 0] for block in blocks])
    assert first[packed.order.argsort()].tolist() == [text[0] for text in texts]
    assert [row[row != PAD].tolist() for row in unpack(packed, packed.ids)] == texts


def test_values_of_any_shape_are_split() -> None:
    packed = pack([[9], [8] * 5, [7] * 4, [6] * 12])
    assert packed.shapes == ((1, 12), (1, 8), (2, 4))
    values = torch.randn(len(packed.ids), 2, 3)
    assert [tuple(block.shape) for block in packed.split(values)] == [(1, 12, 2, 3), (1, 8, 2, 3), (2, 4, 2, 3)]
    joined = packed.join(packed.split(values))
    assert torch.equal(joined[:28], values[:28]) and not joined[28:].any() and len(joined) == TOKENS
    assert [tuple(part.shape) for part in packed.rows(torch.randn(4, 5))] == [(1, 5), (1, 5), (2, 5)]


def test_all_of_it_moves() -> None:
    moved = pack([[9, 9], [8]]).to(torch.device("meta"))
    assert {x.device.type for x in vars(moved).values() if isinstance(x, torch.Tensor)} == {"meta"}
    assert moved.shapes == ((2, 4),)
