"""The student's batches: their mixture, their order, and the same ones wherever a run began."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import islice

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.training import corpus  # noqa: E402
from tests.training.test_batches import equal, texts  # noqa: E402
from training.config import TrainConfig  # noqa: E402
from training.data.batches import Batch  # noqa: E402
from training.distil import batches as module  # noqa: E402
from training.distil.batches import held_out_batches, mixed_batches, replay_rows  # noqa: E402

LABELS = 21
MADE = corpus.examples(70, seed=0)
EXAMPLES, TOOLS = corpus.encode(
    [replace(e, messages=corpus.user(f"{k}: {e.messages[0].text}")) for k, e in enumerate(MADE)]
)
EXAMPLES = replace(EXAMPLES, closed=np.arange(70) < LABELS)


def some(
    count: int, rows: int = 10, replay: float = 0.4, start: int = 0, stride: int = 1, seed: int = 5
) -> list[Batch]:
    drawn = mixed_batches(EXAMPLES, TOOLS, rows, 3, seed, start=start, stride=stride, replay=replay)
    return list(islice(drawn, count))


def numbers(batch: Batch) -> list[int]:
    """Which examples the rows are."""
    return [int(text.split(":")[0]) for text in texts(batch)]


def test_every_batch_has_its_share_of_replay_and_replay_comes_first() -> None:
    for batch in some(30):
        assert [k < LABELS for k in numbers(batch)] == [False] * 4 + [True] * 6


def test_labels_come_equally_often_in_another_order_each_time() -> None:
    """Seven batches of six are two passes over 21 labels; a batch goes on with the next pass where one ends."""
    rows = [k for batch in some(14) for k in numbers(batch)[4:]]
    passes = [rows[i : i + LABELS] for i in range(0, len(rows), LABELS)]
    assert all(sorted(p) == list(range(LABELS)) for p in passes)
    assert len({tuple(p) for p in passes}) == 4


def test_replayed_examples_come_equally_often_too() -> None:
    seen = Counter(k for batch in some(24) for k in numbers(batch)[:4])
    assert set(seen) <= set(range(LABELS, 70))
    assert max(seen.values()) == 2  # two passes of twelve batches
    assert sum(seen.values()) == 96


def test_fewer_labels_than_rows() -> None:
    examples = replace(EXAMPLES, closed=np.arange(70) < 2)
    [batch] = islice(mixed_batches(examples, TOOLS, 10, 3, 0, replay=0.4), 1)
    assert Counter(numbers(batch)[4:]) == {0: 3, 1: 3}


def test_nothing_to_replay() -> None:
    labels = EXAMPLES.where(EXAMPLES.closed)
    [batch] = islice(mixed_batches(labels, TOOLS, 10, 3, 0, replay=0.4), 1)
    assert len(numbers(batch)) == 10
    assert [k < LABELS for k in numbers(some(1, replay=0.0)[0])] == [True] * 10


@pytest.mark.parametrize(("start", "stride"), [(1, 1), (12, 1), (25, 1), (3, 2)])
def test_a_batch_is_the_same_wherever_the_run_began(start: int, stride: int) -> None:
    whole = some(30)
    assert all(equal(a, b) for a, b in zip(whole[start::stride], some(5, start=start, stride=stride), strict=False))
    assert not equal(whole[0], some(1, seed=6)[0])


def test_too_little_to_replay_is_an_error() -> None:
    with pytest.raises(ValueError, match="49 examples to replay do not fill their 60 rows"):
        some(1, rows=100, replay=0.6)


def test_a_batch_never_replays_only() -> None:
    assert [replay_rows(rows, 1.0) for rows in (1, 2, 10)] == [0, 1, 9]
    assert replay_rows(32, 0.4) == 13


def test_all_that_is_held_out_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = partial(held_out_batches, EXAMPLES, TOOLS, TrainConfig(rows=16))
    rows = [numbers(batch) for batch in drawn()]
    assert sorted(k for each in rows for k in each) == list(range(70))
    assert {len(each) for each in rows} == {14}
    assert all(equal(a, b) for a, b in zip(drawn(), drawn(), strict=True))
    monkeypatch.setattr(module, "MOST_MEASURED", 20)
    assert sorted(map(len, (numbers(batch) for batch in drawn()))) == [10, 10]
