"""The training loop: it learns, and a run that was killed goes on as if nothing had happened."""

from __future__ import annotations

import copy
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from model.prompt import FORMAT_VERSION  # noqa: E402
from tests.artifact import PING, WEATHER, artifact, random_network, tokenizer  # noqa: E402
from tests.training import corpus  # noqa: E402
from training import train as module  # noqa: E402
from training.artifact import artifact_network  # noqa: E402
from training.checkpoint import Progress, load_checkpoint, network_of, save_checkpoint  # noqa: E402
from training.config import ModelConfig, TrainConfig  # noqa: E402
from training.data.batches import Batch, training_batches  # noqa: E402
from training.data.example import Call, Example  # noqa: E402
from training.data.shards import ExampleTable, ToolTable  # noqa: E402
from training.network import Network  # noqa: E402
from training.optimizer import Optimizers, make_optimizer, set_learning_rate  # noqa: E402
from training.train import done_share, initialise, train, update, validation_batches  # noqa: E402

CONFIG = TrainConfig(
    steps=160, rows=16, candidates=2, decoder_lr=3e-3, encoder_lr=3e-3, warmup=10, eval_every=160, anchor_weight=0.0
)
TINY = ModelConfig.tiny(tokenizer().vocab_size)


def two_tools(count: int, seed: int) -> list[Example]:
    """The weather of a city, or a ping."""
    rng = random.Random(seed)
    made = []
    for k in range(count):
        city = rng.choice(corpus.CITIES)
        weather = corpus.example("w", f"weather in {city}?", (WEATHER, PING), Call("get_weather", {"city": city}))
        made.append((weather, corpus.example("p", "Answer at once.", (WEATHER, PING), Call("ping", {})))[k % 2])
    return made


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus.write_shards(tmp_path_factory.mktemp("data") / "shards", two_tools(128, 0), two_tools(32, 1))


@pytest.fixture(autouse=True)
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "plot_history", lambda *_: None)


def run(shards: Path, folder: Path, config: TrainConfig, init: str = "random") -> list[dict[str, float]]:
    train(shards, folder, config, TINY, init=init)
    return history(folder)


def history(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def test_it_learns_two_tools(shards: Path, tmp_path: Path) -> None:
    rows = run(shards, tmp_path / "run", CONFIG)
    first, last = rows[0], rows[-1]
    assert (first["step"], last["step"], last["examples"]) == (20, 160, 160 * 16)
    assert last["fill"] < 0.5 * first["fill"]
    assert last["route"] < 0.5 * first["route"]
    assert last["heldout_route_accuracy"] > 0.9
    assert last["heldout_fill_accuracy"] > 0.8
    assert last["examples_per_second"] > 0
    assert 0 < last["utilisation"] < 1


def untimed(row: dict[str, float]) -> dict[str, float]:
    """What does not depend on how fast the machine is."""
    return {k: v for k, v in row.items() if k not in {"seconds", "examples_per_second", "tflops", "utilisation"}}


class Killed(Exception):
    pass


def kill_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    left = [steps]

    def step(*arguments: object) -> None:
        if not left[0]:
            raise Killed
        left[0] -= 1
        go_on(*arguments)

    go_on = module.update
    monkeypatch.setattr(module, "update", step)


def test_a_stopped_run_goes_on_as_if_nothing_had_happened(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Epochs have eight steps, so the stop is in the third; the last checkpoint is from three steps before it.

    Nor does it need the weights that it started from again, although its encoder is still held near them.
    """
    config = replace(CONFIG, steps=40, anchor_weight=1.0, encoder_lr=1e-3, dropout=0.1, word_dropout=0.1)
    start = tmp_path / "start.pt"
    net = random_network(9)
    save_checkpoint(start, net, net.encoder, make_optimizer(net, config), Progress(), config)
    whole = run(shards, tmp_path / "whole", config, init=str(start))
    with monkeypatch.context() as patch:
        kill_after(patch, 23)
        with pytest.raises(Killed):
            run(shards, tmp_path / "killed", replace(config, checkpoint_minutes=0), init=str(start))
    (tmp_path / "killed" / "checkpoint.partial").write_bytes(b"half a checkpoint")
    start.unlink()
    assert load_checkpoint(tmp_path / "killed" / "checkpoint.pt")["step"] == 20
    resumed = run(shards, tmp_path / "killed", config, init=str(start))
    for a, b in zip(whole, resumed, strict=True):
        assert a.keys() == b.keys()
        assert untimed(a) == pytest.approx(untimed(b), rel=1e-4)
    states = [load_checkpoint(tmp_path / name / "checkpoint.pt") for name in ("whole", "killed")]
    assert states[0]["step"] == states[1]["step"] == 40
    for name, tensor in net.encoder.state_dict().items():
        assert torch.equal(states[1]["reference"][name], tensor)
    for name, tensor in states[0]["network"].items():
        torch.testing.assert_close(states[1]["network"][name], tensor, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_run_killed_by_the_system_repeats_every_loss(shards: Path, tmp_path: Path, optimizer: str) -> None:
    options = f"--size tiny --init random --steps 60 --rows 4 --candidates 2 --warmup 5 --optimizer {optimizer}"
    command = [sys.executable, "-m", "training", "train", "--shards", str(shards), *options.split()]
    command += ["--checkpoint-minutes", "0", "--dropout", "0.1", "--word-dropout", "0.1"]
    quiet = {"cwd": Path(__file__).parents[2], "env": os.environ | {"OMP_NUM_THREADS": "1"}, "stderr": subprocess.PIPE}
    whole = subprocess.Popen([*command, "--run", str(tmp_path / "whole")], **quiet)
    killed = subprocess.Popen([*command, "--run", str(tmp_path / "killed")], **quiet)
    checkpoint = tmp_path / "killed" / "checkpoint.pt"
    while not checkpoint.exists():
        assert killed.poll() is None, killed.communicate()[1]
        time.sleep(0.02)
    time.sleep(0.3)  # some steps on, and before the end
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert load_checkpoint(checkpoint)["step"] in (20, 40)
    subprocess.run([*command, "--run", str(tmp_path / "killed")], check=True, **quiet)
    assert whole.communicate() and whole.returncode == 0
    first, second = (history(tmp_path / name) for name in ("whole", "killed"))
    assert [row["step"] for row in first] == [20, 40, 60]
    assert [untimed(row) for row in first] == [untimed(row) for row in second]
    assert second[0]["seconds"] < second[1]["seconds"] < second[2]["seconds"]


class Clock:
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_a_time_limit_ends_the_run_on_time(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute, at a second a step and then, resumed, at two: the rate follows the time, not the steps."""
    config = replace(CONFIG, time_limit=1.0, steps=0, rows=4, warmup=4, decay=0.5, checkpoint_minutes=0)
    clock, factors, pace = Clock(), {}, [1.0]
    monkeypatch.setattr(module, "time", clock)

    def rate(optimizer: Optimizers, step: int, done: float, config: TrainConfig) -> float:
        factors[step] = set_learning_rate(optimizer, step, done, config)
        return factors[step]

    def timed(*arguments: object) -> None:
        clock.now += pace[0]
        update(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "set_learning_rate", rate)
    monkeypatch.setattr(module, "update", timed)
    with monkeypatch.context() as patch:
        kill_after(patch, 25)
        with pytest.raises(Killed):
            run(shards, tmp_path / "run", config)
    clock.now, pace[0] = 1000.0, 2.0  # the pause is no training
    assert max(factors) == 25
    last = run(shards, tmp_path / "run", config)[-1]
    assert (last["step"], last["seconds"]) == (40, 60.0)
    assert [factors[step] for step in (0, 3, 20, 25)] == [0.25, 1.0, 1.0, 1.0]
    assert [factors[step] for step in (26, 30, 35, 39)] == pytest.approx([28 / 30, 20 / 30, 10 / 30, 2 / 30])
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt")["step"] == 40
    assert run(shards, tmp_path / "run", config)[-1] == last  # nothing is left to do


def test_a_finished_run_stays_as_it_is(shards: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=3)
    run(shards, tmp_path / "run", config)
    before = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    network = train(shards, tmp_path / "run", config, TINY, init="random")
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == before
    saved = network_of(load_checkpoint(tmp_path / "run" / "checkpoint.pt")).state_dict()
    assert all(torch.equal(saved[name], tensor) for name, tensor in network.state_dict().items())


def test_weights_from_a_file(shards: Path, tmp_path: Path) -> None:
    net = random_network(9)
    save_file({k: v.clone() for k, v in net.state_dict().items()}, tmp_path / "start.safetensors")
    frozen = replace(CONFIG, steps=1, decoder_lr=0.0, encoder_lr=0.0)
    trained = train(shards, tmp_path / "run", frozen, TINY, init=str(tmp_path / "start.safetensors"))
    assert all(torch.equal(tensor, trained.state_dict()[name]) for name, tensor in net.state_dict().items())


def test_shards_of_another_prompt_format_are_refused(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.data.shards.FORMAT_VERSION", 99)
    with pytest.raises(ValueError, match=f"has prompt format {FORMAT_VERSION} .*, this code reads 99 "):
        run(shards, tmp_path / "run", CONFIG)
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = random_network(3)
    optimizer = make_optimizer(net, CONFIG)
    path = tmp_path / "new" / "checkpoint.pt"
    save_checkpoint(path, net, net.encoder, optimizer, Progress(1, history=[{"step": 1.0}]), CONFIG)
    before = path.read_bytes()

    def half(_: object, file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", half)
        with pytest.raises(OSError, match="disk full"):
            save_checkpoint(path, net, net.encoder, optimizer, Progress(2), CONFIG)
    assert path.read_bytes() == before
    assert (path.parent / "checkpoint.partial").exists()  # and does not matter
    assert load_checkpoint(path)["step"] == 1
    save_checkpoint(path, net, net.encoder, optimizer, Progress(2), CONFIG)
    assert load_checkpoint(path)["step"] == 2
    assert [p.name for p in path.parent.iterdir()] == ["checkpoint.pt"]


def test_a_checkpoint_brings_the_network_back(tmp_path: Path) -> None:
    net = random_network(3)
    progress = Progress(7, 3.5, [{"step": 7.0}])
    save_checkpoint(tmp_path / "c.pt", net, net.encoder, make_optimizer(net, CONFIG), progress, CONFIG)
    state = load_checkpoint(tmp_path / "c.pt")
    assert (state["step"], state["seconds"], state["history"]) == (7, 3.5, [{"step": 7.0}])
    assert TrainConfig(**state["train_config"]) == CONFIG
    loaded = network_of(load_checkpoint(tmp_path / "c.pt"))
    assert not loaded.training
    assert loaded.config == net.config
    assert loaded.encoder.embedding.weight is loaded.decoder.embedding.weight
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), loaded.parameters(), strict=True))


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from training.plot import plot_history

    row = {k: 0.5 for k in ("fill", "route", "contrast", "fill_accuracy", "route_accuracy")}
    held = {f"heldout_{k}": v for k, v in row.items()}
    plot_history(tmp_path / "loss.png", [{"examples": 1, **row}, {"examples": 2, **row, **held}])
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_starts_from_an_artifact(tmp_path: Path) -> None:
    folder = artifact()
    network = random_network(7)
    initialise(network, tokenizer(), str(folder))
    expected = artifact_network(folder).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in network.state_dict().items())
    with pytest.raises(ValueError, match="does not fit this network"):
        initialise(Network(replace(network.config, feed_forward=48)), tokenizer(), str(folder))


class Measured:
    """Stands in for `evaluate`: gives a held-out loss after the other, and remembers the weights that each was of."""

    def __init__(self, *losses: float) -> None:
        self.losses = list(losses)
        self.weights: list[dict[str, torch.Tensor]] = []

    def __call__(self, network: Network, *_: object) -> dict[str, float]:
        self.weights.append(copy.deepcopy(network.state_dict()))
        loss = self.losses[len(self.weights) - 1]
        return {"fill": 0.75 * loss, "route": 0.25 * loss, "fill_accuracy": 0.0, "route_accuracy": 0.0, "contrast": 0.0}


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


PATIENT = replace(
    CONFIG, steps=200, rows=4, warmup=1, decay=0.25, patience=2, eval_every=20, precision="fp32", checkpoint_minutes=0
)


def test_patience_keeps_the_best_weights_and_begins_the_decay(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best is at step 20; two worse ones later the rate falls, for a third of the steps so far."""
    factors = {}

    def rate(optimizer: Optimizers, step: int, done: float, config: TrainConfig) -> float:
        factors[step] = set_learning_rate(optimizer, step, done, config)
        return factors[step]

    measured = Measured(5.0, 3.0, 3.5, 3.0, 3.25)
    monkeypatch.setattr(module, "evaluate", measured)
    monkeypatch.setattr(module, "set_learning_rate", rate)
    network = train(shards, tmp_path, PATIENT, TINY, init="random")
    rows = history(tmp_path)
    assert [row["step"] for row in rows] == [20, 40, 60, 80]
    assert [factors[step] for step in (1, 59, 60, 70, 79)] == pytest.approx([1.0, 1.0, 1.0, 0.5, 0.05])
    assert len(measured.weights) == 5
    assert equal(network.state_dict(), measured.weights[1])
    assert equal(network_of(load_checkpoint(tmp_path / "checkpoint.pt")).state_dict(), measured.weights[1])
    assert not equal(measured.weights[1], measured.weights[-1])


def test_a_lower_loss_in_the_decay_is_taken(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = Measured(5.0, 3.0, 3.5, 3.0, 2.0)
    monkeypatch.setattr(module, "evaluate", measured)
    network = train(shards, tmp_path, PATIENT, TINY, init="random")
    assert equal(network.state_dict(), measured.weights[4])


def test_what_training_does_not_improve_stays_as_it_was(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = Measured(1.0, 2.0, 2.0, 2.0)
    monkeypatch.setattr(module, "evaluate", measured)
    network = train(shards, tmp_path, PATIENT, TINY, init="random")
    assert equal(network.state_dict(), measured.weights[0])
    assert history(tmp_path)[-1]["step"] == 54  # two measurements of no use at 20 and 40, and a third of that for decay


def test_patience_outlasts_a_kill(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run forgets neither the best weights nor how long it has waited."""
    monkeypatch.setattr(module, "evaluate", Measured(5.0, 3.0, 3.5, 3.0, 3.25))
    whole = train(shards, tmp_path / "whole", PATIENT, TINY, init="random")
    with monkeypatch.context() as patch:
        patch.setattr(module, "evaluate", Measured(5.0, 3.0, 3.5))
        kill_after(patch, 50)
        with pytest.raises(Killed):
            train(shards, tmp_path / "killed", PATIENT, TINY, init="random")
    monkeypatch.setattr(module, "evaluate", Measured(3.0, 3.25))
    resumed = train(shards, tmp_path / "killed", PATIENT, TINY, init="random")
    assert [untimed(row) for row in history(tmp_path / "whole")] == [
        untimed(row) for row in history(tmp_path / "killed")
    ]
    assert equal(whole.state_dict(), resumed.state_dict())


def test_the_nearer_of_two_limits_ends_a_run() -> None:
    both = replace(CONFIG, steps=100, time_limit=2.0)
    assert done_share(Progress(step=50, seconds=30.0), both) == 0.5
    assert done_share(Progress(step=50, seconds=90.0), both) == 0.75
    assert done_share(Progress(step=50, seconds=90.0), replace(both, steps=0)) == 0.75
    assert done_share(Progress(step=50, seconds=90.0), replace(both, time_limit=0.0)) == 0.5
    assert done_share(Progress(step=50, end=0.8), replace(both, time_limit=0.0)) == 0.625
    with pytest.raises(ValueError, match="steps or a time limit"):
        done_share(Progress(), replace(both, steps=0, time_limit=0.0))


def test_batches_and_measurements_of_ones_own(shards: Path, tmp_path: Path) -> None:
    """Asked for what is to come, with the run's settings."""
    asked: list[tuple[object, ...]] = []

    def drawn(examples: ExampleTable, tools: ToolTable, *settings: object, **places: int) -> Iterator[Batch]:
        asked.append((*settings, places))
        yield from training_batches(examples, tools, *settings, **places)  # type: ignore[arg-type]

    def measured(heldout: ExampleTable, tools: ToolTable, config: TrainConfig) -> Iterator[Batch]:
        asked.append((len(heldout),))
        yield from validation_batches(heldout, tools, config)

    config = replace(CONFIG, steps=20, rows=4)
    train(shards, tmp_path / "own", config, TINY, init="random", draw_batches=drawn, draw_validation=measured)
    assert asked == [(32,), (4, 2, 0, {"start": 0, "stride": 1})]
    run(shards, tmp_path / "default", config)
    assert [untimed(r) for r in history(tmp_path / "own")] == [untimed(r) for r in history(tmp_path / "default")]
