"""What is dropped while training, and that nothing is where answers are made."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.artifact import random_network, tokenizer  # noqa: E402
from tests.training import corpus  # noqa: E402
from training.config import TrainConfig  # noqa: E402
from training.data.batches import Batch, build_batch  # noqa: E402
from training.data.shards import load_examples, load_tools  # noqa: E402
from training.loss import compute_losses  # noqa: E402
from training.network import Network, Spelling, WordDropout  # noqa: E402


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    shards = corpus.write_shards(tmp_path_factory.mktemp("data") / "shards", corpus.examples(16, 0), [])
    examples = load_examples(shards, "train")
    return build_batch(examples, load_tools(shards), np.arange(16), 2, np.random.default_rng(0))


@pytest.fixture
def network() -> Network:
    return random_network(0)


def fill(network: Network, batch: Batch, seed: int = 0) -> float:
    torch.manual_seed(seed)
    losses, _ = compute_losses(network, batch, Spelling.of(tokenizer()))
    return losses.fill.item()


def test_whole_embeddings_are_dropped_and_the_others_stay() -> None:
    torch.manual_seed(0)
    embeddings = torch.randn(10_000, 8)
    dropped = WordDropout(0.3).train()(embeddings)
    gone = (dropped == 0).all(-1)
    assert torch.equal(dropped[~gone], embeddings[~gone])
    assert 0.28 < gone.float().mean() < 0.32


@pytest.mark.parametrize("module", [WordDropout(0.3).eval(), WordDropout(0.0).train()], ids=["answering", "none"])
def test_nothing_is_dropped(module: WordDropout) -> None:
    embeddings = torch.randn(100, 8)
    assert module(embeddings) is embeddings


@pytest.mark.parametrize("shares", [(0.2, 0.0), (0.0, 0.2)], ids=["of layers", "of words"])
def test_a_loss_is_of_what_is_left(network: Network, batch: Batch, shares: tuple[float, float]) -> None:
    network.train()
    whole = fill(network, batch)
    network.set_dropout(*shares)
    assert fill(network, batch) == fill(network, batch) != whole
    assert fill(network, batch) != fill(network, batch, seed=1)
    network.eval()
    assert fill(network, batch) == pytest.approx(whole, rel=1e-6)


def test_every_layer_drops(network: Network) -> None:
    network.set_dropout(0.2, 0.1)
    layers = [*network.encoder.layers, *network.decoder.layers]
    assert [layer.dropout.p for layer in layers] == [0.2] * len(layers)
    assert network.encoder.word_dropout.p == 0.1
    assert (TrainConfig().dropout, TrainConfig().word_dropout) == (0.0, 0.0)


def test_weights_have_the_same_names_as_without(network: Network) -> None:
    """Checkpoints of before can be resumed."""
    assert not [name for name in network.state_dict() if "dropout" in name]
