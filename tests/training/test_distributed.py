"""Several processes take the same steps as one."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import is_dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tests.artifact import random_network, tokenizer  # noqa: E402
from tests.training import corpus  # noqa: E402
from training import train as module  # noqa: E402
from training.checkpoint import load_checkpoint  # noqa: E402
from training.config import ModelConfig, TrainConfig  # noqa: E402
from training.data.batches import training_batches  # noqa: E402
from training.distributed import World  # noqa: E402
from training.optimizer import make_optimizer  # noqa: E402
from training.train import train, update  # noqa: E402

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]
CONFIG = TrainConfig(
    steps=24,
    rows=8,
    candidates=2,
    accumulate=2,
    warmup=5,
    eval_every=20,
    precision="fp32",
    dropout=0.1,
    word_dropout=0.1,
)


@pytest.mark.slow
@pytest.mark.integration
def test_two_processes_take_the_same_steps_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards = corpus.write_shards(tmp_path / "shards", corpus.examples(112, 0), corpus.examples(16, 1))
    options = "--size tiny --init random --precision fp32 --steps 24 --rows 8 --candidates 2 --accumulate 2 --warmup 5"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "--", "training", "train", "--shards", str(shards), "--run", str(tmp_path / "two")]
    command += ["--eval-every", "20", "--dropout", "0.1", "--word-dropout", "0.1", *options.split()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("TFLOP/s each") == 1  # only the leader speaks

    monkeypatch.setattr(module, "plot_history", lambda *_: None)
    train(shards, tmp_path / "one", CONFIG, ModelConfig.tiny(tokenizer().vocab_size), init="random")
    one, two = (
        [json.loads(line) for line in (tmp_path / name / "history.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    )
    assert [row["step"] for row in one] == [row["step"] for row in two] == [20, 24]
    assert one[-1]["examples"] == two[-1]["examples"] == 24 * 16
    names = [name for name in one[-1] if name.endswith(("fill", "route", "contrast", "accuracy"))]
    assert len(names) == 10
    for a, b in zip(one, two, strict=True):
        assert {n: a[n] for n in names if n in a} == pytest.approx({n: b[n] for n in names if n in b}, rel=1e-4)
    weights = [load_checkpoint(tmp_path / name / "checkpoint.pt")["network"] for name in ("one", "two")]
    for name, tensor in weights[0].items():
        # Added to all scores of a slot, the route's bias has no gradient but rounding, and AdamW makes steps of that.
        if name != "decoder.route.bias":
            torch.testing.assert_close(weights[1][name], tensor, atol=5e-4, rtol=1e-3)


def plain(value: Any) -> Any:
    """A batch as nested lists, which compare."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if is_dataclass(value):
        value = vars(value).values()
    return [plain(part) for part in value] if not isinstance(value, int | float) else value


def test_what_a_process_had_no_use_for_counts_as_zero() -> None:
    """Processes exchange gradients of all parameters, also where their batches used different ones."""
    net = random_network(0)
    used = net.decoder.gate.weight
    used.grad = torch.full_like(used, 0.001)
    update(net, make_optimizer(net, CONFIG), World(0, 1, CPU), CONFIG)
    assert used.grad.count_nonzero() == used.numel()
    assert all(p.grad is not None and not p.grad.any() for p in net.parameters() if p is not used)


@pytest.mark.parametrize("start", [0, 1, 9])
def test_processes_share_one_sequence_of_batches_out(start: int) -> None:
    """Nineteen batches an epoch: steps go over its end."""
    examples, tools = corpus.encode(corpus.examples(77, 0))
    config = replace(CONFIG, rows=4, seed=3)
    sequence = partial(training_batches, examples, tools, config.rows, config.candidates, config.seed)
    whole = sequence(start=2 * start)
    parts = [sequence(start=2 * start + rank, stride=2) for rank in (0, 1)]
    for k, expected in enumerate(islice(whole, 50)):
        assert plain(next(parts[k % 2])) == plain(expected)


def test_too_few_examples_for_a_batch() -> None:
    examples, tools = corpus.encode(corpus.examples(3, 0))
    with pytest.raises(ValueError, match="3 examples do not fill one batch of 8"):
        next(training_batches(examples, tools, CONFIG.rows, CONFIG.candidates, CONFIG.seed))


def test_micro_batches_are_shared_evenly_or_not_at_all() -> None:
    assert World(0, 1, CPU).share(3) == 3
    assert World(1, 4, CPU).share(8) == 2
    with pytest.raises(ValueError, match="make --accumulate a multiple of 4"):
        World(1, 4, CPU).share(6)
