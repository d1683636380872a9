"""Batches: which examples, in which order, and every slot's candidates."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from model.prompt import dumps  # noqa: E402
from model.tokenizer import PAD, SLOT  # noqa: E402
from tests.artifact import tokenizer  # noqa: E402
from tests.training import corpus  # noqa: E402
from training.data.batches import NO_TOOL, Batch, build_batch, epoch_batches, training_batches  # noqa: E402

MADE = corpus.examples(70, seed=0)
EXAMPLES, TOOLS = corpus.encode(MADE)
CANDIDATES = 3


def batch_of(indices: list[int], seed: int = 0) -> Batch:
    return build_batch(EXAMPLES, TOOLS, np.array(indices), CANDIDATES, np.random.default_rng(seed))


def equal(a: Batch, b: Batch) -> bool:
    return all(torch.equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True))


def texts(batch: Batch) -> list[str]:
    return [tokenizer().decode(row[row != PAD].tolist()) for row in batch.query_ids]


def tool_names(batch: Batch) -> list[str]:
    decoded = [tokenizer().decode(row[row != PAD].tolist()) for row in batch.tool_ids]
    return [text.split(":")[0] for text in decoded]


def slots(batch: Batch, row: int) -> list[tuple[int, list[str | None], str | None]]:
    """(tokens before it, candidates, the right one) of each slot of a row; None stands for NONE."""
    names: list[str | None] = [*tool_names(batch), None]  # NO_TOOL is -1
    found = []
    for index, target in zip(batch.route_index, batch.route_target, strict=True):
        if int(batch.route_row[index[-1]]) == row:
            listed = [int(batch.route_tool[i]) for i in index if i != NO_TOOL]
            starts = {int(batch.route_start[i]) for i in index if i != NO_TOOL}
            assert len(starts) == 1
            assert listed[-1] == NO_TOOL and NO_TOOL not in listed[:-1]
            found.append((starts.pop(), [names[t] for t in listed], names[int(batch.route_tool[index[target]])]))
    return found


def test_an_epoch_has_every_example_once() -> None:
    batches = epoch_batches(EXAMPLES, rows=7, seed=3)
    assert sorted(np.concatenate(batches)) == list(range(70))
    short = np.concatenate(epoch_batches(EXAMPLES, rows=8, seed=3))
    assert len(short) == len(set(short)) == 64  # the last batch would not be full
    dropped = [set(range(70)) - set(np.concatenate(epoch_batches(EXAMPLES, 8, seed)).tolist()) for seed in range(40)]
    assert len(set.union(*dropped)) > 6  # not always the same ones


def test_epochs_differ_and_repeat_by_seed() -> None:
    first, again, other = (epoch_batches(EXAMPLES, 8, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_siblings_meet() -> None:
    """Chunks of one family: with four examples a batch most are of one."""
    pure = [len({MADE[i].group for i in b}) == 1 for b in epoch_batches(EXAMPLES, 4, seed=0)]
    assert sum(pure) > len(pure) / 3


@pytest.mark.parametrize("start", [1, 6, 7, 8, 15, 23])
def test_a_step_is_the_same_wherever_the_run_began(start: int) -> None:
    whole = list(islice(training_batches(EXAMPLES, TOOLS, 10, CANDIDATES, seed=5), 25))
    resumed = list(islice(training_batches(EXAMPLES, TOOLS, 10, CANDIDATES, seed=5, start=start), 25 - start))
    assert all(equal(a, b) for a, b in zip(whole[start:], resumed, strict=True))
    assert not equal(whole[0], whole[7])  # the next epoch is another one
    assert not equal(whole[0], next(training_batches(EXAMPLES, TOOLS, 10, CANDIDATES, seed=6)))


def test_fewer_examples_than_a_batch_is_an_error_not_a_wait() -> None:
    with pytest.raises(ValueError, match="70 examples.* 71"):
        next(training_batches(EXAMPLES, TOOLS, 71, CANDIDATES, seed=0))


def test_rows_hold_what_their_examples_say() -> None:
    indices = list(range(28))
    batch = batch_of(indices)
    assert texts(batch) == [MADE[i].messages[-1].text for i in indices]
    names = tool_names(batch)
    for row, i in enumerate(indices):
        calls = MADE[i].calls if any(right for _, _, right in slots(batch, row)) else ()
        called = list(dict.fromkeys(c.name for c in calls))
        assert [names[t] for t in batch.row_tools[row] if t != NO_TOOL] == called
        tokens = [[SLOT, *tokenizer().encode(dumps(c.arguments))] for c in calls]
        flat = [token for call in tokens for token in call]
        assert batch.decoder_ids[row].tolist() == flat + [PAD] * (batch.decoder_ids.shape[1] - len(flat))
        owner = [called.index(c.name) for c, t in zip(calls, tokens, strict=True) for _ in t]
        assert batch.owner[row, : len(owner)].tolist() == owner
        starts = [sum(map(len, tokens[:k])) for k in range(len(tokens) + 1)]
        assert [(s, right) for s, _, right in slots(batch, row)] == [
            *zip(starts[:-1], [c.name for c in calls], strict=True),
            (starts[-1], None),
        ]


def test_forced_tokens_are_no_targets() -> None:
    """Of `{"city":"Paris"}` only what stands in the string, and its end, is a choice; of `false` the first letter."""
    indices = list(range(28))
    batch = batch_of(indices)
    for row, i in enumerate(indices):
        if not any(right for _, _, right in slots(batch, row)):
            continue
        mine = batch.fill_row == row
        targets = batch.fill_target[mine].tolist()
        assert targets == batch.decoder_ids[row, batch.fill_position[mine] + 1].tolist()
        text = tokenizer().decode(targets)
        arguments = [value for call in MADE[i].calls for value in call.arguments.values()]
        for value in arguments:
            assert str(value).lower()[:1] in text.lower()
        for name in ("city", "days", "guests", "amount", "urgent", "{", ":"):
            assert name not in text
    assert len(batch.fill_row) == sum(
        int(EXAMPLES.free[k].sum()) for i in indices for k in calls_of(i) if kept(batch, i)
    )


def calls_of(i: int) -> range:
    return range(int(EXAMPLES.call_tools.offsets[i]), int(EXAMPLES.call_tools.offsets[i + 1]))


def kept(batch: Batch, row: int) -> bool:
    return any(right for _, _, right in slots(batch, row))


def test_withheld_gold_makes_none_right() -> None:
    withheld = total = 0
    for seed in range(30):
        batch = batch_of(list(range(14)), seed)
        for row in range(14):
            gold = {c.name for c in MADE[row].calls}
            if not gold:
                continue
            total += 1
            found = slots(batch, row)
            if kept(batch, row):
                assert all(right in candidates for _, candidates, right in found)
                continue
            withheld += 1
            [(start, candidates, right)] = found
            assert (start, right) == (0, None)
            assert candidates[-1] is None and not gold & set(candidates)
            assert batch.decoder_ids[row].tolist() == [PAD] * batch.decoder_ids.shape[1]
            assert not (batch.fill_row == row).any()
    assert 0.05 < withheld / total < 0.15


def test_candidates_are_distinct_and_not_more_than_asked_for() -> None:
    for seed in range(10):
        batch = batch_of(list(range(28)), seed)
        for row in range(28):
            for k, (_, candidates, _) in enumerate(slots(batch, row)):
                assert len(set(candidates)) == len(candidates) <= CANDIDATES + 1
                last = k == len(slots(batch, row)) - 1
                if k and last:  # behind a call its own tool is the rival
                    assert {c.name for c in MADE[row].calls} & set(candidates)


def test_a_listed_sibling_competes_in_many_rows() -> None:
    """An example of `get_weather` lists `get_forecast`."""
    found = [slots(batch_of([0, 1, 2, 3], seed), 0)[0][1] for seed in range(40)]
    assert 8 < sum({"get_weather", "get_forecast"} <= set(candidates) for candidates in found)


def test_groups_and_first_calls() -> None:
    batch = batch_of(list(range(14)))
    names = tool_names(batch)
    for row in range(14):
        first = int(batch.positive[row])
        if MADE[row].calls:
            assert names[first] == MADE[row].calls[0].name
            assert batch.row_group[row] == batch.tool_group[first]
        else:
            assert first == NO_TOOL == int(batch.row_group[row])
    groups = {name: int(g) for name, g in zip(names, batch.tool_group, strict=True)}
    assert groups["get_weather"] == groups["get_forecast"] != groups["transfer"]


def test_a_batch_without_any_call() -> None:
    trivia = [i for i in range(70) if not MADE[i].calls][:4]
    batch = batch_of([*trivia, 0])
    assert all(right is None for row in range(4) for _, _, right in slots(batch, row))
