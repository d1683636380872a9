"""The packed loss against the decoder that serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from model.decoder import Decoder  # noqa: E402
from model.manifest import read_manifest  # noqa: E402
from model.parameters import ParameterTracker, parameter_keys  # noqa: E402
from model.session import Encoding, Session  # noqa: E402
from model.whole_words import WholeWords  # noqa: E402
from tests.artifact import artifact, network, tokenizer  # noqa: E402
from tests.training.loss_batches import ROWS, SPELLING, gold, make_batch, prompts  # noqa: E402
from training.data.batches import CONVERSATION, Batch  # noqa: E402
from training.kernel import load_kernel  # noqa: E402
from training.loss import Losses, compute_losses, coverage, route_scores  # noqa: E402


@pytest.fixture(scope="module")
def batch() -> Batch:
    return make_batch(list(range(ROWS)))


@dataclass
class Recorded:
    """The losses of a batch, the score of each of its route rows, and each decoder bucket's coverage [b, L, S]."""

    losses: Losses
    scores: list[float]
    used: list[Tensor]
    before: list[Tensor]
    behind: list[Tensor]


@pytest.fixture(scope="module", params=["compiled", "operators"])
def computed(batch: Batch, request: pytest.FixtureRequest) -> Recorded:
    if request.param == "compiled" and load_kernel() is None:
        pytest.skip("no C compiler")
    scores: list[float] = []
    covered: list[tuple[Tensor, ...]] = []

    def record_scores(*arguments: Any) -> Tensor:
        result = route_scores(*arguments)
        scores.extend(result.tolist())
        return result

    def record_coverage(*arguments: Any) -> tuple[Tensor, ...]:
        covered.append(coverage(*arguments))
        return covered[-1]

    with pytest.MonkeyPatch.context() as patch:  # with gradients: without, only attention would be compiled
        patch.setattr("training.loss.route_scores", record_scores)
        patch.setattr("training.loss.coverage", record_coverage)
        if request.param == "operators":
            patch.setattr("training.attention.load_kernel", lambda: None)
            patch.setattr("training.rowwise.load_kernel", lambda: None)
        losses, _ = compute_losses(network(), batch, SPELLING)
    return Recorded(Losses(*(x.detach() for x in losses)), scores, *map(list, zip(*covered, strict=True)))


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


def test_the_loss_is_what_serving_computes(batch: Batch, computed: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each slot's scores, each choice's probability and coverage, as `model.decoder` has them on the fp32 artifact."""
    monkeypatch.setattr(WholeWords, "weights", lambda _: None)  # no part of the network
    folder = artifact()
    session = Session(folder, tokenizer(), read_manifest(folder).sizes, threads=1, half=False)
    tools: list[Encoding] = []
    for p in prompts(batch)[len(batch) :]:
        tools += session.encode([p])
    keys = [parameter_keys(p.names, tokenizer()) for p in prompts(batch)[len(batch) :]]
    route_losses: list[float] = []
    fill_losses: list[float] = []
    right: list[bool] = []
    routes: list[np.ndarray] = []
    covered: list[tuple[np.ndarray, np.ndarray]] = []
    original = session.step

    def record(*arguments: Any) -> Any:
        result = original(*arguments)
        routes.append(result.route)
        *_, fill, _, used, before, _ = arguments
        if len(fill):
            covered.append((used[0], before[0]))
        return result

    session.step = record  # type: ignore[method-assign]
    places = {
        int(i): (k, r) for k, rows in enumerate(batch.decoder.rows(torch.arange(ROWS))) for r, i in enumerate(rows)
    }
    several = 0
    for b, row in enumerate(gold(batch)):
        [conversation] = session.encode([row.conversation])
        sampler = Dictated()
        decoder = Decoder(session, conversation, sampler, budget=10_000)  # type: ignore[arg-type]
        called = list(dict.fromkeys(tools[target] for _, tools, target in row.slots[:-1]))
        bucket, place = places[b]
        position = 0  # of the last token written
        for k, (route_rows, candidates, target) in enumerate(row.slots):
            # Every candidate is scored at every slot; of the last slot training scores only some.
            scored = row.scored(k)
            sampler.next.append(scored[target])
            decoder.route([tools[t] for t in row.slots[0][1]], allow_none=True)
            served = routes[-1][scored]
            np.testing.assert_allclose([computed.scores[i] for i in route_rows], served, atol=2e-3, rtol=1e-3)
            route_losses.append(float(np.log(np.exp(served - served[target]).sum())))
            right.append(int(served.argmax()) == target)
            if target == len(candidates):
                assert k == len(row.slots) - 1
                continue
            script = Script(row.arguments[k], tokenizer().vocab_size)
            sampler.next += [token for token, free in row.arguments[k] if free]
            covered.clear()
            tracker = ParameterTracker(tokenizer(), keys[candidates[target]])
            choices = [w.probability for w in decoder.fill(script, tracker) if w.copied is not None]  # type: ignore[arg-type]
            choosing = [position + i for i, (_, free) in enumerate(row.arguments[k]) if free]
            assert len(choices) == len(choosing) == len(covered)
            fill_losses += [-np.log(p + 1e-9) for p in choices]
            owner = batch.sources[bucket].owner[place]
            mine = (owner == CONVERSATION) | (owner == called.index(candidates[target]))
            for at, (used, before) in zip(choosing, covered, strict=True):
                np.testing.assert_allclose(computed.used[bucket][place, at, mine], used, atol=1e-4)
                np.testing.assert_allclose(computed.before[bucket][place, at, mine], before, atol=1e-4)
            several += k > 0 and bool(before.any())
            position += 1 + len(row.arguments[k])
        assert not sampler.next
    assert several > 4
    assert len(fill_losses) == int(batch.free.sum()) > 40
    assert len(route_losses) == len(batch.route_target) > 30
    losses = computed.losses
    assert float(losses.fill) == pytest.approx(np.mean(fill_losses), rel=1e-3)
    assert float(losses.route) == pytest.approx(np.mean(route_losses), rel=1e-3)
    assert float(losses.route_accuracy) == pytest.approx(np.mean(right))
    assert float(losses.fill_accuracy) == pytest.approx(np.mean(np.exp(-np.array(fill_losses)) > 0.5))
