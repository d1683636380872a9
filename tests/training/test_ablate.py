"""Ablations: what each switch turns off, and `bodkin ablate` over tiny variants."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from model.links import OVERLAPS  # noqa: E402
from model.manifest import read_manifest  # noqa: E402
from model.tokenizer import PAD  # noqa: E402
from tests.artifact import network, tokenizer  # noqa: E402
from tests.training import corpus  # noqa: E402
from training import ablate as module  # noqa: E402
from training.ablate import BASELINE, VARIANTS, Setup, choose  # noqa: E402
from training.ablation_plot import spread  # noqa: E402
from training.checkpoint import load_checkpoint  # noqa: E402
from training.cli import ablate as command  # noqa: E402
from training.config import ModelConfig, TrainConfig  # noqa: E402
from training.data.batches import build_batch  # noqa: E402
from training.data.cli import ARTIFACT  # noqa: E402
from training.export import export  # noqa: E402
from training.loss import compute_losses, late_interaction  # noqa: E402
from training.network import Network, Spelling  # noqa: E402
from training.train import backward  # noqa: E402

# Each part that can be turned off, and a parameter that nothing but this part reads.
PARTS = {
    "copy": "copy_query.weight",
    "induction": "copy_match",
    "coverage": "copy_used.weight",
    "links": "copy_link.weight",
    "overlap": "route_overlap.weight",
    "parameters": "parameter.weight",
    "routed_coverage": "covered",
    "rerank": "route.weight",
}
EXAMPLES, TOOLS = corpus.encode(corpus.examples(14, seed=3))
BATCH = build_batch(EXAMPLES, TOOLS, np.arange(14), 3, np.random.default_rng(0))
SPELLING = Spelling.of(tokenizer())
TINY = ModelConfig.tiny(tokenizer().vocab_size)
BUDGET = Setup(TINY, TrainConfig(steps=4, rows=4, optimizer="muon"), "random")


def without(*parts: str) -> Network:
    """The network of the tests, with its weights and less of its parts."""
    net = Network(replace(network().config, **dict.fromkeys(parts, False)))
    net.load_state_dict(network().state_dict())
    return net.eval()


@torch.no_grad()
def losses(net: Network, **options: Any) -> list[float]:
    return [loss.item() for loss in compute_losses(net, BATCH, SPELLING, **options)[0]]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_turned_off_decides_nothing(part: str) -> None:
    whole, less = without(), without(part)
    before = [losses(net) for net in (whole, less)]
    for net in (whole, less):
        with torch.no_grad():
            net.decoder.get_parameter(PARTS[part]).mul_(-2.0)
    assert before[0] != before[1]
    assert losses(whole) != before[0]
    assert losses(less) == before[1]


def test_without_the_copy_head_the_vocabulary_has_it_all() -> None:
    hidden = torch.randn(5, TINY.width)
    assert without("copy").decoder.gates(hidden).tolist() == [[1.0, 0.0, 0.0]] * 5
    with torch.no_grad():
        net = without("copy")
        net.decoder.to_vocab.weight.zero_()
        net.decoder.vocab_bias.zero_()
    # Every token is as likely as every other, in the source or not.
    assert losses(net)[0] == pytest.approx(np.log(TINY.vocab_size), rel=1e-4)


@torch.no_grad()
def test_without_induction_what_was_just_written_gives_no_bonus() -> None:
    hidden, keys, bias = torch.randn(1, 2, TINY.width), torch.randn(1, 4, TINY.copy_width), torch.zeros(1, 1, 4)
    matches = torch.tensor([[[0, 1, 2, 3], [3, 2, 1, 0]]])
    scores = [without("induction").decoder.copy_scores(hidden, keys, m, bias) for m in (matches, 0 * matches)]
    torch.testing.assert_close(scores[0], scores[1])
    torch.testing.assert_close(scores[1], network().decoder.copy_scores(hidden, keys, 0 * matches, bias))


@torch.no_grad()
def test_without_coverage_what_was_copied_makes_no_difference() -> None:
    used, before = torch.rand(2, 1, 2, 5)
    assert not without("coverage").decoder.coverage(torch.randn(1, 2, TINY.width), used, before).any()


def test_without_the_decoder_a_tool_is_routed_to_by_its_cosine_alone() -> None:
    decoder = without("rerank").decoder
    with torch.no_grad():
        decoder.route.bias.zero_()
    similarity = torch.tensor([0.0, 0.2, 0.5, 0.9])  # NONE, and three tools
    scores = [decoder.route_scores(torch.randn(4, TINY.width), similarity, torch.randn(4, OVERLAPS)) for _ in range(2)]
    assert torch.equal(*scores)
    weight = decoder.route_similarity.item()
    assert scores[0].tolist() == pytest.approx([0.0, -0.3 * weight, 0.0, 0.4 * weight])
    scores[0][1].backward()
    assert decoder.route.bias.grad.item() != 0.0  # from which cosine on is learned


def test_late_interaction_is_the_mean_of_each_tokens_best_match() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(len(BATCH.texts.ids), 8, generator=generator, requires_grad=True)
    found = late_interaction(BATCH, vectors)
    texts = corpus.unpack(BATCH.texts, vectors), corpus.unpack(BATCH.texts, BATCH.pool), BATCH.texts.length.tolist()
    unit = [torch.nn.functional.normalize(v[:n], dim=-1) for v, _, n in zip(*texts, strict=True)]
    pools = [pool[:n] > 0 for _, pool, n in zip(*texts, strict=True)]
    for row in range(len(BATCH)):
        for tool, declared in enumerate(unit[len(BATCH) :]):
            best = (unit[row][pools[row]] @ declared.T).max(dim=-1).values
            torch.testing.assert_close(found[row, tool], best.mean())
    [gradient] = torch.autograd.grad(found.sum(), vectors)
    assert gradient[BATCH.texts.start[0] + BATCH.texts.length[0] - 1].any()  # the end of a request is in its pool


def test_late_interaction_is_a_part_of_its_own() -> None:
    net = Network(replace(network().config, late=True))
    net.load_state_dict(network().state_dict(), strict=False)
    with torch.no_grad():
        assert losses(net)[1] != losses(without())[1]
        net.decoder.route_late.zero_()
        assert losses(net) == pytest.approx(losses(without()))
    assert net.config.not_served == ("with late",)


def test_all_tokens_of_arguments_count_if_they_are_to() -> None:
    net, counted = without("coverage", "routed_coverage"), BATCH.target != PAD
    assert counted.sum() > BATCH.free.sum() > 0
    assert not (BATCH.free & ~counted).any()
    with torch.no_grad():
        # Coverage is about choices, whatever counts; without it, nothing but the count asks what is free.
        expected, _ = compute_losses(net, replace(BATCH, free=counted), SPELLING)
    assert losses(net, free_only=False) == pytest.approx([x.item() for x in expected])
    assert losses(net, free_only=False)[0] != losses(net)[0]


def test_training_counts_what_its_configuration_says() -> None:
    for free_only in (True, False):
        config = TrainConfig(free_only=free_only, precision="fp32", anchor_weight=0.0)
        found = backward(without(), network().encoder, BATCH, SPELLING, config)
        assert found.tolist() == pytest.approx(losses(without(), free_only=free_only))


def test_configurations_from_before_the_switches_are_whole() -> None:
    assert ModelConfig(**read_manifest(ARTIFACT).sizes).not_served == ()
    assert without("copy", "rerank").config.not_served == ("without copy", "without rerank")


def test_only_a_whole_network_is_exported(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="without induction, without coverage cannot be served"):
        export(without("coverage", "induction"), tokenizer(), tmp_path / "artifact")
    assert not list(tmp_path.iterdir())


def test_every_variant_differs_from_every_other() -> None:
    sources = ("scenarios", "sgd", "synthesis")
    budget = replace(BUDGET, init="minilm")
    setups = [budget.undoing(variant, sources) for variant in VARIANTS]
    assert setups[0] == budget
    assert len({repr(setup) for setup in setups}) == len(VARIANTS) == len({v.name for v in VARIANTS})
    found = {v.name: s.train.without for v, s in zip(VARIANTS, setups, strict=True) if s.train.without}
    assert found == {
        "no-scenarios": ("scenarios",),
        "no-synthesis": ("synthesis",),
        "scenarios-only": ("sgd", "synthesis"),
    }
    with pytest.raises(ValueError, match="scenarios-only leaves no source"):
        budget.undoing(VARIANTS[-1], ("sgd",))


def test_the_baseline_is_always_there() -> None:
    assert choose([]) == list(VARIANTS)
    assert [v.name for v in choose(["adamw", "no-copy"])] == ["baseline", "no-copy", "adamw"]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources: of every other kind of request."""
    made = [replace(e, source=("scenarios", "toy")[k % 2]) for k, e in enumerate(corpus.examples(28, seed=0))]
    return corpus.write_shards(tmp_path_factory.mktemp("data") / "shards", made, corpus.examples(14, seed=1))


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the runs that are trained."""
    names: list[str] = []

    def train(shards: Path, folder: Path, *rest: Any) -> None:
        names.append(folder.name)
        original(shards, folder, *rest)

    original = module.train
    monkeypatch.setattr(module, "train", train)
    monkeypatch.setattr("training.train.plot_history", lambda *_: None)
    monkeypatch.setattr("training.train.matmul_peak", lambda *_: 1e12)
    return names


def run(shards: Path, out: Path, *options: str) -> int:
    budget = "--size tiny --init random --steps 4 --rows 4 --precision fp32".split()
    return command(["--shards", str(shards), "--out", str(out), *budget, *options])


def rows(out: Path) -> dict[str, list[str]]:
    """The table's cells by variant."""
    lines = [line for line in (out / "ablations.md").read_text().splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {name.strip("`"): rest for name, *rest in cells}


def test_variants_are_trained_compared_and_not_trained_again(
    shards: Path, tmp_path: Path, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("training.train.save_checkpoint", lambda *_: None)  # is written after the history
        assert run(shards, tmp_path, "--variants", "baseline") == 0
        patch.setattr("training.train.update", stop)
        assert run(shards, tmp_path, "--variants", "three-layers", "no-scenarios") == 130
    assert trained == ["baseline", "three-layers"]
    assert list(rows(tmp_path)) == ["baseline"]
    # On as many processes as one likes: the batches are the same.
    assert run(shards, tmp_path, "--variants", "three-layers", "no-scenarios", "--workers", "1") == 0
    assert trained == ["baseline", "three-layers", "three-layers", "no-scenarios"]
    assert (tmp_path / "ablations.png").read_bytes().startswith(b"\x89PNG")

    table = rows(tmp_path)
    assert list(table) == ["baseline", "three-layers", "no-scenarios"]
    baseline, layers, sources = table.values()
    assert int(baseline[1].replace(",", "")) == Network(TINY).parameter_count() < int(layers[1].replace(",", ""))
    assert sources[1] == baseline[1]
    fill, difference = layers[2].removesuffix(")").split(" (")
    assert float(fill) == pytest.approx(float(baseline[2]) + float(difference), abs=0.0011)
    saved = TrainConfig(**load_checkpoint(tmp_path / "no-scenarios" / "checkpoint.pt")["train_config"])
    assert saved.without == ("scenarios",)

    assert run(shards, tmp_path, "--variants", "no-copy") == 0
    assert trained[4:] == ["no-copy"]
    assert list(rows(tmp_path)) == ["baseline", "no-copy", "three-layers", "no-scenarios"]


def test_what_a_variant_undoes_may_not_be_there(
    shards: Path, tmp_path: Path, trained: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(shards, tmp_path, "--variants", "no-synthesis", "random-start") == 0
    assert trained == ["baseline"]
    assert "no-synthesis: left out, here it is what the baseline is" in capsys.readouterr().out


def test_budgets_do_not_mix(
    shards: Path, tmp_path: Path, trained: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(shards, tmp_path, "--variants", "baseline") == 0
    assert run(shards, tmp_path, "--variants", "no-copy", "--seed", "1") == 1
    assert "baseline was trained with another budget" in capsys.readouterr().err
    assert trained == ["baseline"]


def test_an_unknown_variant_is_answered_with_those_there_are(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(shards, tmp_path / "out", "--variants", "no-copy", "no-idea") == 1
    error = capsys.readouterr().err
    assert "no variant no-idea; there are baseline, " in error
    assert all(variant.name in error for variant in VARIANTS)
    assert not (tmp_path / "out").exists()


def test_variants_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [v.name for v in VARIANTS]
    assert VARIANTS[0] is BASELINE


@pytest.mark.parametrize("places", [[0.5, 0.5, 0.5], [0.99, 1.0, 0.2], [0.0, 0.01, 0.02, 0.9], [1.2, -0.3]])
def test_labels_keep_apart_and_in_order(places: list[float]) -> None:
    moved = spread(places, 0.1)
    assert all(0.0 <= place <= 1.0 + 1e-9 for place in moved)
    ranked = sorted(range(len(places)), key=lambda i: places[i])
    gaps = np.diff([moved[i] for i in ranked])
    assert (gaps >= 0.1 - 1e-9).all()


def test_labels_that_are_far_apart_stay() -> None:
    assert spread([0.9, 0.1, 0.5], 0.1) == pytest.approx([0.9, 0.1, 0.5])
