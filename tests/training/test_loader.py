"""Batches in turn from several sets, and ahead of the step that needs them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tests.artifact import tokenizer  # noqa: E402
from tests.training import corpus  # noqa: E402
from training import cli  # noqa: E402
from training import train as module  # noqa: E402
from training.config import ModelConfig, TrainConfig  # noqa: E402
from training.data.loader import ahead, in_turn  # noqa: E402
from training.train import train  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than there are cores
CONFIG = TrainConfig(steps=10, rows=8, candidates=2, warmup=2, eval_every=1, precision="fp32")
TINY = ModelConfig.tiny(tokenizer().vocab_size)


def numbers(name: str) -> Any:
    """A set whose k-th batch is (name, k)."""
    return lambda start, stride: ((name, k) for k in count(start, stride))


@pytest.mark.parametrize("several", [1, 2, 3, 4])
@pytest.mark.parametrize("start, stride", [(0, 1), (5, 1), (1, 2), (3, 4), (2, 6)])
def test_sets_take_turns_however_the_sequence_is_shared(several: int, start: int, stride: int) -> None:
    draw = in_turn([numbers(name) for name in "abcd"[:several]])
    whole = list(islice(draw(0, 1), 60))
    assert whole == [("abcd"[k % several], k // several) for k in range(60)]
    assert list(islice(draw(start, stride), 8)) == whole[start::stride][:8]


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_build_the_same_sequence(workers: int) -> None:
    def draw(start: int, stride: int) -> Iterator[Any]:
        return ((k, os.getpid()) for k in count(start, stride))

    built = list(islice(ahead(draw, 3, 2, workers), 7))
    assert [k for k, _ in built] == [3, 5, 7, 9, 11, 13, 15]
    builders = {pid for _, pid in built}
    assert len(builders) == workers and os.getpid() not in builders


def test_an_error_in_a_worker_ends_the_run() -> None:
    def draw(start: int, stride: int) -> Iterator[Any]:
        yield torch.zeros(1)
        raise ValueError("70 examples do not fill one batch")

    batches = ahead(draw, 0, 1, 1)
    next(batches)
    with pytest.raises(ValueError, match="70 examples do not fill one batch"):
        next(batches)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("sets")
    return [
        corpus.write_shards(folder / str(k), corpus.examples(24 + 8 * k, k), corpus.examples(16, 9)) for k in range(2)
    ]


def losses(folder: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    timed = ("seconds", "examples_per_second", "tflops", "utilisation")
    return [{k: v for k, v in row.items() if k not in timed} for row in rows]


def test_a_run_over_two_sets_is_the_same_with_workers_and_without(
    sets: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "plot_history", lambda *_: None)
    train(sets[0], tmp_path / "own", CONFIG, TINY, init="random", more=sets[1:])
    options = "--size tiny --init random --precision fp32 --steps 10 --rows 8 --candidates 2 --warmup 2 --eval-every 1"
    folders = ["--shards", *map(str, sets), "--run", str(tmp_path / "ahead")]
    assert cli.train([*folders, *options.split(), "--workers", "2"]) == 0
    assert losses(tmp_path / "own") == losses(tmp_path / "ahead")
    train(sets[0], tmp_path / "one", CONFIG, TINY, init="random")
    assert losses(tmp_path / "own") != losses(tmp_path / "one")


def test_sets_of_different_tokenizers_are_refused(sets: list[Path], tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for file in sets[1].iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    (other / "tokenizer.json").write_text((other / "tokenizer.json").read_text() + "\n")
    with pytest.raises(ValueError, match="another tokenizer"):
        train(sets[0], tmp_path / "run", CONFIG, TINY, init="random", more=[other])
