"""The training loop: it learns, and a run that was killed goes on as if nothing had happened."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from tests.artifact import PING, WEATHER, random_network, tokenizer  # noqa: E402
from tests.training import corpus  # noqa: E402
from training import train as module  # noqa: E402
from training.checkpoint import load_checkpoint, load_network, save_checkpoint  # noqa: E402
from training.config import ModelConfig, TrainConfig  # noqa: E402
from training.data.example import Call, Example  # noqa: E402
from training.train import make_optimizer, set_learning_rate, train, training_step  # noqa: E402

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


def run(shards: Path, folder: Path, config: TrainConfig) -> list[dict[str, float]]:
    train(shards, folder, config, TINY, init="random")
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def test_it_learns_two_tools(shards: Path, tmp_path: Path) -> None:
    history = run(shards, tmp_path / "run", CONFIG)
    first, last = history[0], history[-1]
    assert (first["step"], last["step"], last["examples"]) == (20, 160, 160 * 16)
    assert last["fill"] < 0.5 * first["fill"]
    assert last["route"] < 0.5 * first["route"]
    assert last["heldout_route_accuracy"] > 0.9
    assert last["heldout_fill_accuracy"] > 0.8
    assert last["examples_per_second"] > 0


class Killed(Exception):
    pass


def kill_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    left = [steps]

    def step(*arguments: object) -> object:
        if not left[0]:
            raise Killed
        left[0] -= 1
        return training_step(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "training_step", step)


def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Epochs have eight steps, so the kill is in the third; the last checkpoint is from the step before it."""
    config = replace(CONFIG, steps=40, anchor_weight=1.0, encoder_lr=1e-3)
    whole = run(shards, tmp_path / "whole", config)
    with monkeypatch.context() as patch:
        patch.setattr(module, "save_checkpoint", saved_at(20))
        kill_after(patch, 23)
        with pytest.raises(Killed):
            run(shards, tmp_path / "killed", replace(config, checkpoint_minutes=0))
    (tmp_path / "killed" / "checkpoint.partial").write_bytes(b"half a checkpoint")
    assert load_checkpoint(tmp_path / "killed" / "checkpoint.pt")["step"] == 20
    resumed = run(shards, tmp_path / "killed", config)
    for a, b in zip(whole, resumed, strict=True):
        assert a.keys() == b.keys()
        assert {k: a[k] for k in a if k != "examples_per_second"} == pytest.approx(
            {k: b[k] for k in a if k != "examples_per_second"}, rel=1e-4
        )
    states = [load_checkpoint(tmp_path / name / "checkpoint.pt") for name in ("whole", "killed")]
    assert states[0]["step"] == states[1]["step"] == 40
    for name, tensor in states[0]["network"].items():
        torch.testing.assert_close(states[1]["network"][name], tensor, atol=1e-5, rtol=1e-4)


def saved_at(step: int) -> object:
    """`save_checkpoint`, at one step only."""

    def save(path: Path, network: object, optimizer: object, at: int, *rest: object) -> None:
        if at == step:
            save_checkpoint(path, network, optimizer, at, *rest)  # type: ignore[arg-type]

    return save


def test_a_finished_run_stays_as_it_is(shards: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=3)
    run(shards, tmp_path / "run", config)
    before = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    network = train(shards, tmp_path / "run", config, TINY, init="random")
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == before
    saved = load_network(tmp_path / "run" / "checkpoint.pt").state_dict()
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
    with pytest.raises(ValueError, match="prompt format 1, this code has 99"):
        run(shards, tmp_path / "run", CONFIG)
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = random_network(3)
    optimizer = make_optimizer(net, CONFIG)
    path = tmp_path / "new" / "checkpoint.pt"
    save_checkpoint(path, net, optimizer, 1, [{"step": 1.0}], CONFIG)
    before = path.read_bytes()

    def half(_: object, file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", half)
        with pytest.raises(OSError, match="disk full"):
            save_checkpoint(path, net, optimizer, 2, [], CONFIG)
    assert path.read_bytes() == before
    assert (path.parent / "checkpoint.partial").exists()  # and does not matter
    assert load_checkpoint(path)["step"] == 1
    save_checkpoint(path, net, optimizer, 2, [], CONFIG)
    assert load_checkpoint(path)["step"] == 2
    assert [p.name for p in path.parent.iterdir()] == ["checkpoint.pt"]


def test_a_checkpoint_brings_the_network_back(tmp_path: Path) -> None:
    net = random_network(3)
    save_checkpoint(tmp_path / "c.pt", net, make_optimizer(net, CONFIG), 7, [{"step": 7.0}], CONFIG)
    state = load_checkpoint(tmp_path / "c.pt")
    assert (state["step"], state["history"]) == (7, [{"step": 7.0}])
    assert TrainConfig(**state["train_config"]) == CONFIG
    loaded = load_network(tmp_path / "c.pt")
    assert not loaded.training
    assert loaded.config == net.config
    assert loaded.encoder.embedding.weight is loaded.decoder.embedding.weight
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), loaded.parameters(), strict=True))


def test_inherited_parameters_learn_slowly_and_vectors_do_not_decay() -> None:
    net = random_network(0)
    config = replace(CONFIG, decoder_lr=1.0, encoder_lr=0.1, weight_decay=0.5)
    rates, decays = {}, {}
    names = {id(p): name for name, p in net.named_parameters()}
    for group in make_optimizer(net, config).param_groups:
        for p in group["params"]:
            rates[names[id(p)]], decays[names[id(p)]] = group["base_lr"], group["weight_decay"]
    assert len(rates) == len(names)
    slow = {name for name, rate in rates.items() if rate == 0.1}
    assert {"encoder.embedding.weight", "encoder.positions.weight", "encoder.layers.0.qkv.weight"} <= slow
    assert not any(name.startswith(("decoder.", "encoder.cross", "encoder.copy_key")) for name in slow)
    assert decays["encoder.layers.0.qkv.weight"] == decays["decoder.to_vocab.weight"] == 0.5
    undecayed = {"encoder.embedding.weight", "encoder.positions.weight", "encoder.norm.weight", "decoder.vocab_bias"}
    assert {decays[name] for name in undecayed} == {0.0}


@pytest.mark.parametrize(
    ("step", "factor"), [(0, 0.1), (4, 0.5), (9, 1.0), (50, 1.0), (69, 1.0), (70, 1.0), (85, 0.5), (99, 1 / 30)]
)
def test_learning_rate(step: int, factor: float) -> None:
    optimizer = make_optimizer(random_network(0), replace(CONFIG, decoder_lr=2.0, encoder_lr=1.0))
    set_learning_rate(optimizer, step, TrainConfig(steps=100, warmup=10, decay=0.3))
    for group in optimizer.param_groups:
        assert group["lr"] == pytest.approx(factor * group["base_lr"])


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from training.plot import plot_history

    row = {k: 0.5 for k in ("fill", "route", "contrast", "fill_accuracy", "route_accuracy")}
    held = {f"heldout_{k}": v for k, v in row.items()}
    plot_history(tmp_path / "loss.png", [{"examples": 1, **row}, {"examples": 2, **row, **held}])
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
