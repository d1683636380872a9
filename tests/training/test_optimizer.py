"""Which parameters learn how fast, and by which rule."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from tests.artifact import random_network  # noqa: E402
from training.config import TrainConfig  # noqa: E402
from training.optimizer import Optimizers, make_optimizer, set_learning_rate  # noqa: E402

MUON = TrainConfig(optimizer="muon", decoder_lr=1.0, encoder_lr=0.1, weight_decay=0.5)
ADAMW = replace(MUON, optimizer="adamw")


@pytest.mark.parametrize("config", [ADAMW, MUON], ids=lambda config: config.optimizer)
def test_inherited_parameters_learn_slowly_and_vectors_do_not_decay(config: TrainConfig) -> None:
    net = random_network(0)
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


def test_muon_moves_the_matrices_inside_the_layers_and_nothing_else() -> None:
    net = random_network(0)
    adamw, muon = make_optimizer(net, MUON).parts
    names = {id(p): name for name, p in net.named_parameters()}
    moved = {names[id(p)] for group in muon.param_groups for p in group["params"]}
    assert {"encoder.layers.0.qkv.weight", "decoder.layers.1.down.weight"} <= moved
    assert all(".layers." in name and name.endswith(".weight") and "norm" not in name for name in moved)
    left = {names[id(p)] for group in adamw.param_groups for p in group["params"]}
    assert moved | left == set(names.values())
    assert not moved & left


def test_muon_steps_are_orthogonal_and_as_large_as_adamws() -> None:
    """Newton-Schulz makes all singular values of an update about equal; its root mean square is 0.2 of the rate."""
    net = random_network(0)
    weight = net.decoder.layers[0].up.weight
    before = weight.detach().clone()
    optimizer = make_optimizer(net, replace(MUON, decoder_lr=1e-2, weight_decay=0.0))
    weight.grad = torch.randn_like(weight) * torch.linspace(0.01, 10, weight.shape[0])[:, None]
    optimizer.step()
    update = (weight.detach() - before) / 1e-2
    values = torch.linalg.svdvals(update)
    assert values.min() > 0.4 * values.max()
    assert update.square().mean().sqrt().item() == pytest.approx(0.2, rel=0.25)


def test_muon_scale_is_of_muons_rates_alone_and_leaves_decay_as_it_was() -> None:
    net = random_network(0)
    plain, scaled = (make_optimizer(net, replace(MUON, muon_scale=s)).parts for s in (1.0, 4.0))
    rates = [
        [sorted((g["lr"], g["lr"] * g["weight_decay"]) for g in part.param_groups) for part in parts]
        for parts in (plain, scaled)
    ]
    assert rates[0][0] == rates[1][0]
    assert [(4 * rate, pytest.approx(decay)) for rate, decay in rates[0][1]] == rates[1][1]


def stepped(optimizer: Optimizers, net: torch.nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for p in net.parameters():
        p.grad = torch.randn(p.shape, generator=generator)
    optimizer.step()


@pytest.mark.parametrize("config", [ADAMW, MUON], ids=lambda config: config.optimizer)
def test_state_comes_back(config: TrainConfig) -> None:
    whole, resumed = random_network(0), random_network(0)
    optimizer = make_optimizer(whole, config)
    stepped(optimizer, whole, 1)
    resumed.load_state_dict(whole.state_dict())
    again = make_optimizer(resumed, config)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    stepped(optimizer, whole, 2)
    stepped(again, resumed, 2)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_the_state_of_another_optimizer_is_refused() -> None:
    net = random_network(0)
    with pytest.raises(ValueError, match="another --optimizer"):
        make_optimizer(net, MUON).load_state_dict(make_optimizer(net, ADAMW).state_dict())


def test_torch_without_muon_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(ValueError, match="needs torch 2.9 or newer"):
        make_optimizer(random_network(0), MUON)


@pytest.mark.parametrize("config", [ADAMW, MUON], ids=lambda config: config.optimizer)
@pytest.mark.parametrize(
    ("step", "factor"), [(0, 0.1), (4, 0.5), (9, 1.0), (50, 1.0), (69, 1.0), (70, 1.0), (85, 0.5), (99, 1 / 30)]
)
def test_learning_rate(config: TrainConfig, step: int, factor: float) -> None:
    optimizer = make_optimizer(random_network(0), config)
    assert set_learning_rate(optimizer, step, step / 100, TrainConfig(warmup=10, decay=0.3)) == pytest.approx(factor)
    for group in optimizer.param_groups:
        assert group["lr"] == pytest.approx(factor * group["base_lr"])
