"""The batched loss against the decoder that serves, and against the formulas spelt out."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from model.decoder import Decoder  # noqa: E402
from model.manifest import read_manifest  # noqa: E402
from model.prompt import Prompt  # noqa: E402
from model.session import Encoding, Session  # noqa: E402
from model.tokenizer import PAD, SLOT  # noqa: E402
from tests.artifact import artifact, network, tokenizer  # noqa: E402
from tests.reference import Reference  # noqa: E402
from tests.training import corpus  # noqa: E402
from training import loss as module  # noqa: E402
from training.data import batches  # noqa: E402
from training.data.batches import NO_TOOL, Batch, build_batch  # noqa: E402
from training.loss import CONTRASTIVE_TEMPERATURE, Losses, _gather, compute_losses, route_scores  # noqa: E402

ROWS = 21
EXAMPLES, TOOLS = corpus.encode(corpus.examples(ROWS, seed=1))
TWINS = torch.from_numpy(tokenizer().twins)


def make_batch(rows: int = ROWS, seed: int = 0) -> Batch:
    return build_batch(EXAMPLES, TOOLS, np.arange(rows), 3, np.random.default_rng(seed))


@pytest.fixture(scope="module")
def batch() -> Batch:
    return make_batch()


@pytest.fixture(scope="module")
def computed(batch: Batch) -> tuple[Losses, list[float]]:
    """The losses of `batch`, and the score of each of its route rows."""
    scores: list[float] = []

    def record(*arguments: Any) -> Tensor:
        result = route_scores(*arguments)
        scores.extend(result.tolist())
        return result

    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr("training.loss.route_scores", record)
        losses, _ = compute_losses(network(), batch, TWINS)
    return losses, scores


@dataclass
class Gold:
    """One row as it was meant: a conversation, its slots, and what is written behind each."""

    conversation: Prompt
    slots: list[tuple[list[int], list[int], int]] = field(default_factory=list)  # (route rows, tools, which is right)
    arguments: list[list[tuple[int, bool]]] = field(default_factory=list)  # (token, whether it is a choice)


def prompt(ids: Tensor, pool: Tensor) -> Prompt:
    inside = pool.nonzero().flatten().tolist()
    return Prompt(ids[ids != PAD].tolist(), (inside[0], inside[-1] + 1))


def gold(batch: Batch) -> list[Gold]:
    rows = [Gold(prompt(i, p)) for i, p in zip(batch.query_ids, batch.query_pool, strict=True)]
    for index, target in zip(batch.route_index.tolist(), batch.route_target.tolist(), strict=True):
        listed = [i for i in index if i != NO_TOOL]
        row = rows[int(batch.route_row[listed[-1]])]
        row.slots.append((listed, batch.route_tool[listed[:-1]].tolist(), listed.index(index[target])))
    free = {(int(r), int(p) + 1) for r, p in zip(batch.fill_row, batch.fill_position, strict=True)}
    for b, row in enumerate(rows):
        for position, token in enumerate(batch.decoder_ids[b].tolist()):
            if token == SLOT:
                row.arguments.append([])
            elif token != PAD:
                row.arguments[-1].append((token, (b, position) in free))
    return rows


class Dictated:
    """Stands in for the sampler: picks what it is told."""

    def __init__(self) -> None:
        self.next: list[int] = []

    def pick(self, _: np.ndarray) -> int:
        return self.next.pop(0)


class Script:
    """Stands in for a grammar and its matcher: everything is allowed, and what is no choice is forced."""

    def __init__(self, tokens: list[tuple[int, bool]], vocab_size: int) -> None:
        self.tokens = tokens
        self.everything = np.ones(vocab_size, np.bool_)
        self.at = 0

    def matcher(self) -> Script:
        return self

    def forced(self) -> list[int]:
        run = []
        for token, free in self.tokens[self.at :]:
            if free:
                break
            run.append(token)
        return run

    @property
    def finished(self) -> bool:
        return self.at == len(self.tokens)

    def allowed(self) -> np.ndarray:
        return self.everything

    def accept(self, tokens: list[int]) -> None:
        assert [token for token, _ in self.tokens[self.at : self.at + len(tokens)]] == tokens
        self.at += len(tokens)


def test_the_loss_is_what_serving_computes(batch: Batch, computed: tuple[Losses, list[float]]) -> None:
    """Every slot's scores and every choice's probability, as `model.decoder` takes them on the fp32 artifact."""
    folder = artifact()
    session = Session(folder, tokenizer(), read_manifest(folder).sizes, threads=1, half=False)
    tools: list[Encoding] = []
    for ids, pool in zip(batch.tool_ids, batch.tool_pool, strict=True):
        p = prompt(ids, pool)
        tools += session.encode([(p.ids, p.pool)])
    route_losses: list[float] = []
    fill_losses: list[float] = []
    right: list[bool] = []
    steps: list[np.ndarray] = []
    original = session.step

    def record(*arguments: object) -> object:
        result = original(*arguments)  # type: ignore[arg-type]
        steps.append(result.route)
        return result

    session.step = record  # type: ignore[method-assign, assignment]
    losses, loss_scores = computed
    for row in gold(batch):
        [conversation] = session.encode([(row.conversation.ids, row.conversation.pool)])
        sampler = Dictated()
        decoder = Decoder(session, conversation, sampler, budget=10_000)  # type: ignore[arg-type]
        for k, (route_rows, candidates, target) in enumerate(row.slots):
            sampler.next.append(target)
            outcome = decoder.route([tools[t] for t in candidates], allow_none=True)
            served = steps[-1]
            np.testing.assert_allclose([loss_scores[i] for i in route_rows], served, atol=2e-3, rtol=1e-3)
            route_losses.append(-np.log(outcome.probability))
            right.append(int(served.argmax()) == target)
            if target == len(candidates):
                assert k == len(row.slots) - 1
                continue
            script = Script(row.arguments[k], tokenizer().vocab_size)
            sampler.next += [token for token, free in row.arguments[k] if free]
            choices = [p for _, p in decoder.fill(script) if p != 1.0]  # type: ignore[arg-type]
            assert len(choices) == sum(free for _, free in row.arguments[k])
            fill_losses += [-np.log(p + 1e-9) for p in choices]
        assert not sampler.next
    assert len(fill_losses) == len(batch.fill_row) > 40
    assert len(route_losses) == len(batch.route_target) > 30
    assert float(losses.fill) == pytest.approx(np.mean(fill_losses), rel=1e-3)
    assert float(losses.route) == pytest.approx(np.mean(route_losses), rel=1e-3)
    assert float(losses.route_accuracy) == pytest.approx(np.mean(right))
    assert float(losses.fill_accuracy) == pytest.approx(np.mean(np.exp(-np.array(fill_losses)) > 0.5))


def test_the_fill_loss_is_the_whole_mixture(batch: Batch, computed: tuple[Losses, list[float]]) -> None:
    """The target's share of vocabulary, copies and copies without a space, in a distribution over all tokens."""
    losses: list[float] = []
    copied = 0
    for row in gold(batch):
        reference = Reference(network(), tokenizer(), row.conversation)
        for (_, candidates, target), arguments in zip(row.slots, row.arguments, strict=False):
            tool = reference.read(prompt(batch.tool_ids[candidates[target]], batch.tool_pool[candidates[target]]))
            written: list[int] = []
            reference.calls.append((tool, written))
            sources = {*row.conversation.ids, *tool.ids}
            for token, free in arguments:
                if free:
                    distribution = reference.next_token()
                    assert distribution.sum() == pytest.approx(1.0, abs=1e-5)
                    losses.append(-np.log(distribution[token] + 1e-9))
                    copied += token not in sources and token in tokenizer().twins[list(sources)]
                written.append(token)
    assert copied > 10  # tokens that only a twin in the source can give
    assert float(computed[0].fill) == pytest.approx(np.mean(losses), rel=1e-3)


def test_the_contrast_holds_no_sibling_against_a_row(batch: Batch, computed: tuple[Losses, list[float]]) -> None:
    with torch.no_grad():
        query = network().encoder(batch.query_ids, batch.query_pool).pooled.double().numpy()
        tool = network().encoder(batch.tool_ids, batch.tool_pool).pooled.double().numpy()
    terms = []
    for row in range(ROWS):
        if (positive := int(batch.positive[row])) == NO_TOOL:
            continue
        rivals = [
            t for t in range(len(tool)) if t == positive or int(batch.tool_group[t]) != int(batch.tool_group[positive])
        ]
        scores = query[row] @ tool[rivals].T / CONTRASTIVE_TEMPERATURE
        terms.append(np.log(np.exp(scores - scores.max()).sum()) + scores.max() - scores[rivals.index(positive)])
    assert 10 < len(terms) < ROWS
    assert float(computed[0].contrast) == pytest.approx(np.mean(terms), rel=1e-3)


@torch.no_grad()
def test_a_row_does_not_depend_on_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean over a batch of two equal halves is that of one half."""
    monkeypatch.setattr(batches, "IRRELEVANT", 0.0)
    one = build_batch(EXAMPLES, TOOLS, np.array([4]), 1, np.random.default_rng(0))
    losses, _ = compute_losses(network(), one, TWINS)
    two = build_batch(EXAMPLES, TOOLS, np.array([4, 4]), 1, np.random.default_rng(0))
    doubled, _ = compute_losses(network(), two, TWINS)
    assert len(two.route_target) == 2 * len(one.route_target)
    assert float(doubled.fill) == pytest.approx(float(losses.fill), rel=1e-4)
    assert float(doubled.route) == pytest.approx(float(losses.route), rel=1e-4)


def gradients(batch: Batch, term: str) -> Iterator[tuple[str, Tensor | None]]:
    net = network()
    net.zero_grad(set_to_none=True)
    losses, _ = compute_losses(net, batch, TWINS)
    getattr(losses, term).backward()
    yield from ((name, p.grad) for name, p in net.named_parameters())
    net.zero_grad(set_to_none=True)


def test_every_parameter_learns(batch: Batch) -> None:
    reached = {
        name for term in ("fill", "route") for name, grad in gradients(batch, term) if grad is not None and grad.any()
    }
    assert reached == {name for name, _ in network().named_parameters()}
    assert all(
        grad.isfinite().all() for term in ("fill", "contrast") for _, grad in gradients(batch, term) if grad is not None
    )


def test_forced_tokens_carry_no_loss(batch: Batch) -> None:
    """Marking every free position of a row as forced leaves the others' mean; with none left the loss is zero."""
    muted = copy.copy(batch)
    keep = batch.fill_row % 2 == 0
    muted.fill_row, muted.fill_position, muted.fill_target = (
        x[keep] for x in (batch.fill_row, batch.fill_position, batch.fill_target)
    )
    with torch.no_grad():
        whole, even = (compute_losses(network(), b, TWINS)[0].fill for b in (batch, muted))
        muted.fill_row, muted.fill_position, muted.fill_target = (x[:0] for x in (keep, keep, keep))
        none = compute_losses(network(), muted, TWINS)[0]
    assert float(even) != pytest.approx(float(whole))
    assert float(none.fill) == 0.0 == float(none.fill_accuracy)


def test_a_batch_without_calls_has_a_loss() -> None:
    trivia = [i for i in range(ROWS) if not len(EXAMPLES.call_tools[i])]
    batch = build_batch(EXAMPLES, TOOLS, np.array([*trivia, 0]), 3, np.random.default_rng(0))
    losses, _ = compute_losses(network(), batch, TWINS)
    assert all(bool(x.isfinite()) for x in losses)


def test_tools_encoded_in_groups_are_the_same(batch: Batch) -> None:
    with torch.no_grad():
        grouped = module.encode_tools(network(), batch)
        plain = network().encoder(batch.tool_ids, batch.tool_pool)
    real = batch.tool_ids != PAD
    torch.testing.assert_close(grouped.pooled, plain.pooled)
    for a, b in ((grouped.keys, plain.keys), (grouped.values, plain.values)):
        torch.testing.assert_close(a[:, real], b[:, real])
    torch.testing.assert_close(grouped.copy_keys[real], plain.copy_keys[real])


def test_gathered_rows_have_the_gradients_of_index_select() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, 7, 3, 4, generator=generator, requires_grad=True)
    index = torch.tensor([2, 2, 0, 6, 2, 5])
    gradient = torch.randn(5, 6, 3, 4, generator=generator)
    assert torch.equal(_gather(x, index), x.index_select(1, index))
    [ours] = torch.autograd.grad(_gather(x, index), x, gradient)
    [theirs] = torch.autograd.grad(x.index_select(1, index), x, gradient)
    torch.testing.assert_close(ours, theirs)
