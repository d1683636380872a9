"""Between start and student: how far back the weights go, and that they do."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from tests.artifact import random_network  # noqa: E402
from tests.training.distil.students import CONFIG, labels, start  # noqa: E402
from training.artifact import artifact_network  # noqa: E402
from training.checkpoint import load_checkpoint  # noqa: E402
from training.distil.blend import SHARES, WORSE, blend, held_out_loss  # noqa: E402
from training.distil.student import learn  # noqa: E402
from training.network import Network  # noqa: E402


def placed(network: Network, start: Network, student: Network) -> float:
    """Where on the line from start to student the network is; all of its weights are at one place."""
    states = (dict(n.named_parameters()) for n in (network, start, student))
    flat, before, after = (torch.cat([p.detach().flatten() for p in state.values()]) for state in states)
    line = after - before
    share = float((flat - before) @ line / (line @ line))
    assert torch.allclose(flat, before + share * line, atol=1e-6)
    return share


@pytest.mark.parametrize(
    ("losses", "share"),
    [
        ({}, 0.5),  # all the same: nothing is lost by going back
        ({0.5: 2.0, 0.6: 1.04, 0.7: 1.0}, 0.6),  # hardly worse than the best, and nearer to the start
        ({0.5: 1.2, 0.6: 1.2, 0.7: 1.2, 0.8: 1.2, 0.9: 1.2, 1.0: 1.0}, 1.0),  # only the student will do
    ],
)
def test_as_far_back_as_costs_little(losses: dict[float, float], share: float) -> None:
    start, student = random_network(0), random_network(1)
    taught = copy.deepcopy(student)
    assert all(loss > WORSE or s >= share for s, loss in losses.items())

    def loss(network: Network) -> float:
        at = placed(network, start, taught)
        return losses.get(next(s for s in SHARES if s == pytest.approx(at, abs=1e-3)), 1.0 if not losses else 1.5)

    assert blend(student, start, loss) == share
    assert placed(student, start, taught) == pytest.approx(share, abs=1e-3)


def test_the_loss_is_the_one_that_training_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.train.plot_history", lambda *_: None)
    config = replace(CONFIG, replay=0.0)
    network = learn(labels(24, 0), labels(24, 1), start(), tmp_path, config, threads=1)
    loss = held_out_loss(tmp_path / "shards", config.training)
    best = load_checkpoint(tmp_path / "checkpoint.pt")["lowest"]
    assert loss(network) == pytest.approx(best, rel=1e-5)
    assert loss(artifact_network(start())) > 2 * best
