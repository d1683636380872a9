"""Coverage by hand: how much of each source token has been copied, and when."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from training.loss import coverage  # noqa: E402


def test_coverage_by_hand() -> None:
    """Two calls of one row over a source `Paris . Paris`: the first writes Paris and again Paris, the other the dot."""
    scores = torch.tensor([[[3.0, 1.0, 1.0]] * 5]).log()  # of copying: 0.6, 0.2, 0.2
    same = torch.tensor([[[1, 0, 1], [1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 1]]], dtype=torch.bool)
    used, before, behind = coverage(scores, same, torch.tensor([[0, 0, 0, 3, 3]]))
    nothing = [0.0, 0.0, 0.0]
    once, twice = (
        [0.75, 0.0, 0.25],
        [1.0, 0.0, 0.5],
    )  # Paris is twice as often copied as there is, and no more than once
    torch.testing.assert_close(used, torch.tensor([[nothing, once, twice, nothing, [0.0, 1.0, 0.0]]]))
    torch.testing.assert_close(before, torch.tensor([[nothing, nothing, nothing, twice, twice]]))
    torch.testing.assert_close(behind[:, 2:4], torch.tensor([[[1.5, 0.0, 0.5], [1.5, 1.0, 0.5]]]))


def test_what_no_attention_reaches_is_not_covered() -> None:
    scores = torch.tensor([[[0.0, -1e4]] * 2])
    used, *_ = coverage(scores, torch.tensor([[[False, True]] * 2]), torch.zeros(1, 2, dtype=torch.long))
    assert not used.any()
