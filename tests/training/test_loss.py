"""The packed loss against a plain reference, one row and one token at a time."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch import Tensor  # noqa: E402

from tests.artifact import network, tokenizer  # noqa: E402
from tests.reference import Call as Written  # noqa: E402
from tests.reference import Reference  # noqa: E402
from tests.training.loss_batches import EXAMPLES, ROWS, SPELLING, TERMS, gold, make_batch, prompts  # noqa: E402
from training.attention import take  # noqa: E402
from training.data import batches  # noqa: E402
from training.data.batches import NO_TOOL, Batch  # noqa: E402
from training.loss import CONTRASTIVE_TEMPERATURE, compute_losses, encode  # noqa: E402


@pytest.fixture(scope="module")
def batch() -> Batch:
    return make_batch(list(range(ROWS)))


@dataclass
class RowTerms:
    """What one row adds to each loss, by the formulas: a term per free token, per slot, and at most one."""

    fill: list[Tensor] = field(default_factory=list)
    route: list[Tensor] = field(default_factory=list)
    contrast: list[Tensor] = field(default_factory=list)


def plain_terms(batch: Batch) -> list[RowTerms]:
    """The losses of `batch` without packing, padding or batching; they carry gradients."""
    found = []
    texts = prompts(batch)
    twins = tokenizer().twins
    twins_only = 0
    for b, row in enumerate(gold(batch)):
        terms = RowTerms()
        reference = Reference(network(), tokenizer(), row.conversation)
        tools = [reference.read(p) for p in texts[len(batch) :]]
        for k, (_, candidates, target) in enumerate(row.slots):
            scores = torch.stack(reference.route([tools[t] for t in row.slots[0][1]]))[row.scored(k)]
            terms.route.append(-scores.log_softmax(-1)[target])
            if target == len(candidates):
                assert k == len(row.slots) - 1
                continue
            call = Written(tools[candidates[target]])
            reference.calls.append(call)
            sources = {*row.conversation.ids, *call.tool.ids}
            for token, free in row.arguments[k]:
                if free:
                    distribution = reference.next_token()
                    assert float(distribution.detach().sum()) == pytest.approx(1.0, abs=1e-5)
                    terms.fill.append(-(distribution[token] + 1e-9).log())
                    twins_only += token not in sources and token in twins[list(sources)]
                call.write([token], free)
        if (positive := int(batch.positive[b])) != NO_TOOL:
            family = int(batch.tool_group[positive])
            rivals = [t for t in range(len(tools)) if t == positive or int(batch.tool_group[t]) != family]
            scores = torch.stack([reference.conversation.pooled @ tools[t].pooled for t in rivals])
            terms.contrast.append(-(scores / CONTRASTIVE_TEMPERATURE).log_softmax(-1)[rivals.index(positive)])
        found.append(terms)
    assert twins_only  # tokens that only a twin in the source can give
    return found


def gradients(loss: Tensor, keep: bool = False) -> dict[str, Tensor]:
    named = dict(network().named_parameters())
    found = torch.autograd.grad(loss, list(named.values()), retain_graph=keep, allow_unused=True)
    return {name: grad for name, grad in zip(named, found, strict=True) if grad is not None}


def test_the_packed_loss_and_its_gradients_are_the_plain_ones() -> None:
    """One row of each kind: one call, two of a tool or of two, a tool again behind another, none, and one withheld."""
    [batch] = [b for seed in range(20) if withheld(b := make_batch([0, 1, 2, 4, 5, 6, 7, ROWS - 1], seed=seed)) == [0]][
        :1
    ]
    plain = plain_terms(batch)
    losses, _ = compute_losses(network(), batch, SPELLING)
    for term in TERMS:
        values = [x for row in plain for x in getattr(row, term)]
        assert len(values) > 5
        expected = torch.stack(values).mean()
        loss = getattr(losses, term)
        assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
        ours, theirs = gradients(loss, keep=True), gradients(expected, keep=True)
        largest = max(float(g.norm()) for g in theirs.values())
        for name in ours.keys() | theirs.keys():
            difference = ours.get(name, torch.zeros(())) - theirs.get(name, torch.zeros(()))
            scale = float(theirs[name].norm()) if name in theirs else 0.0
            assert float(difference.norm()) <= 1e-3 * scale + 1e-6 * largest, (term, name)
        if term == "fill":
            assert theirs["decoder.copy_used.weight"].norm() > 1e-4
            assert theirs["decoder.copy_link.weight"].norm() > 1e-4


def withheld(batch: Batch) -> list[int]:
    """Rows whose example has calls although none is right here."""
    return [b for b, row in enumerate(gold(batch)) if not row.arguments and int(batch.positive[b]) != NO_TOOL]


@pytest.fixture
def no_dice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Candidates that no draw decides: the called tools, and any number of strangers."""
    for name in ("IRRELEVANT", "WITH_OTHER", "NEAR"):
        monkeypatch.setattr(batches, name, 0)


@torch.no_grad()
def test_the_order_of_rows_does_not_matter(no_dice: None) -> None:
    indices = [i for i in range(ROWS) if len(EXAMPLES.call_tools[i])]
    shuffled = np.random.default_rng(1).permutation(indices).tolist()
    assert shuffled != indices
    first, second = (compute_losses(network(), make_batch(i, candidates=99), SPELLING)[0] for i in (indices, shuffled))
    assert [float(x) for x in second] == pytest.approx([float(x) for x in first], rel=1e-4)


@torch.no_grad()
def test_a_batch_has_the_mean_of_its_rows(no_dice: None) -> None:
    """Over free tokens and over slots: one row alone gives them the loss that they have in any company."""
    indices = [i for i in range(ROWS) if len(EXAMPLES.call_tools[i])]
    whole = make_batch(indices, candidates=1)
    together, _ = compute_losses(network(), whole, SPELLING)
    alone = [make_batch([i], candidates=1) for i in indices]
    each = [compute_losses(network(), b, SPELLING)[0] for b in alone]
    tokens, slots = [int(b.free.sum()) for b in alone], [len(b.route_target) for b in alone]
    assert (sum(tokens), sum(slots)) == (int(whole.free.sum()), len(whole.route_target))
    for name, weights in (("fill", tokens), ("fill_accuracy", tokens), ("route", slots), ("route_accuracy", slots)):
        expected = np.average([float(getattr(x, name)) for x in each], weights=weights)
        assert float(getattr(together, name)) == pytest.approx(expected, rel=1e-4)


def test_weights_of_one_change_no_bit(batch: Batch) -> None:
    """Against the plain means of `torch`, as they were before rows had weights: losses and gradients."""
    assert batch.row_weight.tolist() == [1.0] * ROWS
    weighted, _ = compute_losses(network(), batch, SPELLING)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.loss._weighted_mean", lambda losses, weight: losses.mean())
        patch.setattr(
            "training.loss._weighted_cross_entropy", lambda scores, target, _: F.cross_entropy(scores, target)
        )
        plain, _ = compute_losses(network(), batch, SPELLING)
    assert [float(x.detach()) for x in weighted] == [float(x.detach()) for x in plain]
    for term in TERMS:
        ours, theirs = (gradients(getattr(x, term), keep=True) for x in (weighted, plain))
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@torch.no_grad()
def test_a_row_counts_by_its_weight(no_dice: None) -> None:
    """Each of its tokens and slots does; a row twice as heavy is that row twice. Accuracies count rows alike."""
    indices = [i for i in range(9) if len(EXAMPLES.call_tools[i])]
    weight = np.linspace(0.1, 2.0, len(indices), dtype=np.float32)
    whole = make_batch(indices, candidates=1)
    plain, _ = compute_losses(network(), whole, SPELLING)
    together, _ = compute_losses(network(), replace(whole, row_weight=torch.from_numpy(weight)), SPELLING)
    alone = [make_batch([i], candidates=1) for i in indices]
    each = [compute_losses(network(), b, SPELLING)[0] for b in alone]
    tokens, slots = [int(b.free.sum()) for b in alone], [len(b.route_target) for b in alone]
    for name, counts in (("fill", tokens), ("route", slots)):
        expected = np.average([float(getattr(x, name)) for x in each], weights=counts * weight)
        assert float(getattr(together, name)) == pytest.approx(expected, rel=1e-4)
        assert float(getattr(together, name)) != pytest.approx(float(getattr(plain, name)), rel=1e-3)
    assert together[3:] == plain[3:]
    # Of the contrastive term, which depends on the company, by itself: one row after the other has all of the weight.
    single = torch.eye(len(indices))
    shares = [float(compute_losses(network(), replace(whole, row_weight=w), SPELLING)[0].contrast) for w in single]
    assert float(together.contrast) == pytest.approx(np.average(shares, weights=weight), rel=1e-4)


def term_gradients(batch: Batch, term: str) -> Iterator[tuple[str, Tensor]]:
    losses, _ = compute_losses(network(), batch, SPELLING)
    yield from gradients(getattr(losses, term)).items()


def test_every_parameter_learns(batch: Batch) -> None:
    reached = {name for term in ("fill", "route") for name, grad in term_gradients(batch, term) if grad.any()}
    # The bias is added to all of a slot's scores: its gradient is zero, or what rounding leaves of it.
    assert reached | {"decoder.route.bias"} == {name for name, _ in network().named_parameters()}
    assert all(grad.isfinite().all() for term in TERMS for _, grad in term_gradients(batch, term))


def test_forced_tokens_carry_no_loss(batch: Batch) -> None:
    """Marking every free position of some rows as forced leaves the others' mean; with none left the loss is zero."""
    second = torch.arange(len(batch.free)) % 2 == 0
    still = copy.deepcopy(network())
    torch.nn.init.zeros_(still.decoder.covered)  # else routing would know what is copied, which only choices are
    with torch.no_grad():
        frees = (batch.free, batch.free & second, batch.free & False)
        whole, even, none = (compute_losses(still, replace(batch, free=f), SPELLING)[0] for f in frees)
    assert float(even.fill) != pytest.approx(float(whole.fill))
    assert float(even.route) == float(whole.route)
    assert float(none.fill) == 0.0 == float(none.fill_accuracy)


def test_a_batch_without_calls_has_a_loss() -> None:
    trivia = [i for i in range(ROWS) if not len(EXAMPLES.call_tools[i])]
    for batch in (make_batch([*trivia, 0]), make_batch(trivia)):
        losses, _ = compute_losses(network(), batch, SPELLING)
        assert all(bool(x.isfinite()) for x in losses)
        sum(losses[:3]).backward()  # type: ignore[union-attr]
    network().zero_grad(set_to_none=True)


@torch.no_grad()
def test_packed_texts_are_encoded_as_alone(batch: Batch) -> None:
    memory = encode(network().encoder, batch)
    config = network().config
    texts = prompts(batch)
    assert len(memory.pooled) == len(texts) == len(batch.texts)
    parameters = iter(memory.parameters)
    for text, start, pooled in zip(texts, batch.texts.start.tolist(), memory.pooled, strict=True):
        pool = torch.zeros(1, len(text.ranges), len(text.ids))
        for k, (first, end) in enumerate(text.ranges):
            pool[0, k, first:end] = 1.0
        alone = network().encoder(torch.tensor([text.ids]), pool)
        mine = slice(start, start + len(text.ids))
        torch.testing.assert_close(pooled, alone.pooled[0, 0])
        for vector in alone.pooled[0, 1:]:
            torch.testing.assert_close(next(parameters), vector)
        torch.testing.assert_close(memory.copy_keys[mine], alone.copy_keys[0])
        keys, values = memory.cross[mine].unflatten(-1, (config.decoder_layers, -1)).chunk(2, dim=-1)
        torch.testing.assert_close(keys.transpose(0, 1), alone.keys[:, 0])
        torch.testing.assert_close(values.transpose(0, 1), alone.values[:, 0])
    assert next(parameters, None) is None


def test_taken_rows_have_the_gradients_of_index_select() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(7, 4, generator=generator, requires_grad=True)
    index = torch.tensor([[2, 2, 0], [6, 2, 5]])
    gradient = torch.randn(2, 3, 4, generator=generator)
    assert torch.equal(take(x, index), x[index])
    [ours] = torch.autograd.grad(take(x, index), x, gradient)
    [theirs] = torch.autograd.grad(x[index], x, gradient)
    torch.testing.assert_close(ours, theirs)
