"""Batches: which examples, in which order, and every slot's candidates."""

from __future__ import annotations

from collections import Counter
from dataclasses import is_dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from model.parameters import NO_PARAMETER, ParameterTracker, parameter_keys  # noqa: E402
from model.prompt import dumps, encode_tool  # noqa: E402
from model.tokenizer import PAD, SLOT  # noqa: E402
from tests.artifact import tokenizer, tool  # noqa: E402
from tests.training import corpus  # noqa: E402
from training.data import batches  # noqa: E402
from training.data.batches import (  # noqa: E402
    CHUNK,
    CONVERSATION,
    NO_TOOL,
    NOBODY,
    RIVALS,
    Batch,
    build_batch,
    epoch_batches,
    training_batches,
)
from training.data.example import Call  # noqa: E402
from training.data.reads import Reads  # noqa: E402
from training.data.shards import ExampleTable, ToolTable  # noqa: E402

MADE = corpus.examples(70, seed=0)
EXAMPLES, TOOLS = corpus.encode(MADE)
CANDIDATES = 3


def batch_of(indices: list[int], seed: int = 0) -> Batch:
    return build_batch(EXAMPLES, TOOLS, np.array(indices), CANDIDATES, np.random.default_rng(seed))


def tensors(value: Any) -> list[torch.Tensor]:
    """All that a batch holds, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    parts = vars(value).values() if is_dataclass(value) else value if isinstance(value, tuple) else ()
    return [tensor for part in parts for tensor in tensors(part)]


def equal(a: Batch, b: Batch) -> bool:
    pairs = list(zip(tensors(a), tensors(b), strict=False))
    return len(tensors(a)) == len(tensors(b)) and all(torch.equal(x, y) for x, y in pairs)


def decoded(batch: Batch) -> list[str]:
    """The texts: conversations, then tools."""
    return [tokenizer().decode(row[row != PAD].tolist()) for row in corpus.unpack(batch.texts, batch.texts.ids)]


def texts(batch: Batch) -> list[str]:
    return decoded(batch)[: len(batch)]


def tool_names(batch: Batch) -> list[str]:
    return [text.split(":")[0] for text in decoded(batch)[len(batch) :]]


def parameter_lines(batch: Batch) -> list[str]:
    """The lines of the called tools' parameters."""
    ids = [batch.texts.ids[batch.parameter_token[batch.parameter_row == p]].tolist() for p in range(batch.parameters)]
    return [tokenizer().decode(line) for line in ids]


def row_of(batch: Batch, name: str, row: int) -> list[int]:
    """A field of the decoder tokens of one row, padding behind."""
    values = batch.decoder.ids if name == "ids" else getattr(batch, name)
    return corpus.unpack(batch.decoder, values)[row].tolist()


def slots(batch: Batch, row: int) -> list[tuple[int, list[str | None], str | None]]:
    """(tokens before it, candidates, the right one) of each slot of a row; None stands for NONE."""
    names: list[str | None] = [*tool_names(batch), None]  # NO_TOOL is -1
    rows, chosen, before = batch.routes.row, batch.routes.tool, batch.routes.start
    found = []
    for index, target in zip(batch.route_index, batch.route_target, strict=True):
        if int(rows[index[-1]]) == row:
            listed = [int(chosen[i]) for i in index if i != NO_TOOL]
            starts = {int(before[i]) for i in index if i != NO_TOOL}
            assert {int(rows[i]) for i in index if i != NO_TOOL} == {row}
            assert len(starts) == 1
            assert listed[-1] == NO_TOOL and NO_TOOL not in listed[:-1]
            found.append((starts.pop(), [names[t] for t in listed], names[int(chosen[index[target]])]))
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


def test_a_chunk_is_of_one_family_and_requests_without_tools_mix() -> None:
    mixed = 0
    for seed in range(8):
        groups = [MADE[i].group for i in np.concatenate(epoch_batches(EXAMPLES, 1, seed))]
        runs = Counter(g for g, before in zip(groups, ["", *groups], strict=False) if g != before)
        for group in ("weather", "bank", "mail", "tables"):
            assert runs[group] <= -(-groups.count(group) // CHUNK)
        mixed += runs["trivia"]
    assert mixed > 8 * 3  # of ten requests: in chunks they would be two runs


def test_examples_of_a_chunk_call_the_same_few_tools() -> None:
    """A family of twelve tools; by chance six of its examples would call five of them."""
    tools = [tool(f"tool_{i}", f"Do {i}.", ("n",), n={"type": "integer"}) for i in range(12)]
    rng = np.random.default_rng(0)
    made = [
        corpus.example("family", f"do it {k}", tools, Call(f"tool_{int(rng.integers(12))}", {"n": k}))
        for k in range(10 * CHUNK)
    ]
    examples, _ = corpus.encode(made)
    called = [[made[i].calls[0].name for i in b] for b in epoch_batches(examples, CHUNK, seed=0)]
    assert np.mean([len(set(names)) for names in called]) < 3
    other = [[made[i].calls[0].name for i in b] for b in epoch_batches(examples, CHUNK, seed=1)]
    assert {frozenset(names) for names in called} != {frozenset(names) for names in other}  # other tools meet


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
    for row, i in enumerate(indices):
        calls = MADE[i].calls if kept(batch, row) else ()
        called = list(dict.fromkeys(c.name for c in calls))
        tokens = [[SLOT, *tokenizer().encode(dumps(c.arguments))] for c in calls]
        flat = [token for call in tokens for token in call]
        ids = row_of(batch, "ids", row)
        assert ids == flat + [PAD] * (len(ids) - len(flat))
        assert row_of(batch, "target", row)[: len(flat)] == [t for call in tokens for t in (*call[1:], PAD)]
        owner = [called.index(c.name) for c, t in zip(calls, tokens, strict=True) for _ in t]
        assert row_of(batch, "owner", row)[: len(flat)] == owner
        starts = [sum(map(len, tokens[:k])) for k in range(len(tokens) + 1)]
        assert row_of(batch, "call_start", row)[: len(flat)] == [
            start for start, t in zip(starts, tokens, strict=False) for _ in t
        ]
        names = tool_names(batch)
        expected = []
        for call in calls:
            [declared] = [t for t in MADE[i].tools if t.name == call.name]
            prompt = encode_tool(declared, tokenizer())
            tracker = ParameterTracker(tokenizer(), parameter_keys(prompt.names, tokenizer()))
            expected.append(call.name)
            for number in tracker.feed(tokenizer().encode(dumps(call.arguments))):
                start, end = prompt.parameters[number] if number != NO_PARAMETER else (0, 0)
                expected.append(tokenizer().decode(prompt.ids[start:end]))
        vectors = [*names, *parameter_lines(batch), ""]
        assert [vectors[k] for k in row_of(batch, "vector", row)[: len(flat)]] == expected
        assert [(s, right) for s, _, right in slots(batch, row)] == [
            *zip(starts[:-1], [c.name for c in calls], strict=True),
            (starts[-1], None),
        ]


def test_a_row_reads_its_conversation_and_the_tools_that_it_calls() -> None:
    batch = batch_of(list(range(28)))
    said = decoded(batch)
    for sources, rows in zip(batch.sources, batch.decoder.rows(torch.arange(28)), strict=True):
        for index, owner, row in zip(sources.index, sources.owner, rows.tolist(), strict=True):
            ids = batch.texts.ids[index]
            called = list(dict.fromkeys(c.name for c in MADE[row].calls)) if kept(batch, row) else []
            assert set(owner.tolist()) - {NOBODY} == {CONVERSATION, *range(len(called))}
            assert tokenizer().decode(ids[owner == CONVERSATION].tolist()) == said[row]
            for k, name in enumerate(called):
                assert tokenizer().decode(ids[owner == k].tolist()) == said[28 + tool_names(batch).index(name)]


def test_a_route_row_reads_its_tool_and_the_calls_before_it() -> None:
    batch = batch_of(list(range(28)))
    said = decoded(batch)
    routes = batch.routes
    conversations = read_by(routes.conversation, torch.cat((batch.texts.ids, batch.texts.ids[batch.reread.token])))
    declared = read_by(routes.declared, batch.texts.ids)
    past = read_by(routes.past, batch.decoder.ids)
    for k, (row, chosen, start) in enumerate(
        zip(routes.row.tolist(), routes.tool.tolist(), routes.start.tolist(), strict=True)
    ):
        assert tokenizer().decode(conversations[k]) == said[row]
        assert tokenizer().decode(declared[k]) == ("" if chosen == NO_TOOL else said[28 + chosen])
        assert past[k] == row_of(batch, "ids", row)[:start]
    assert (routes.start > 0).sum() > 20


def read_by(reads: Reads, tokens: torch.Tensor) -> list[list[int]]:
    """What each query reads, found by way of its place."""
    queries = torch.cat([q.flatten() for q in reads.query])
    texts = [
        tokens[source[readable]].tolist()
        for sources, readables in zip(reads.source, reads.readable, strict=True)
        for source, of_chunk in zip(sources, readables, strict=True)
        for readable in of_chunk
    ]
    found = []
    for query, place in enumerate(reads.place.tolist()):
        assert place == len(texts) or queries[place] == query
        found.append([] if place == len(texts) else texts[place])
    return found


def test_slots_behind_a_call_read_conversations_of_their_own() -> None:
    """The same tokens as the others', told apart by the row and by how much was written before the slot."""
    batch = batch_of(list(range(28)))
    again, texts, tokens = batch.reread, batch.texts, len(batch.texts.ids)
    slots = sorted({(int(b), int(r), int(s)) for b, r, s in zip(*route_slots(batch), strict=True)})
    assert [begin for begin, _, before in slots if not before] == sorted(
        int(texts.start[row]) for _, row, before in slots if not before
    )
    later = [slot for slot in slots if slot[2]]
    assert len(later) > 20
    at = 0
    for begin, row, before in later:
        length = int(texts.length[row])
        assert begin == tokens + at
        mine = slice(at, at + length)
        assert again.token[mine].tolist() == [int(texts.start[row]) + k for k in range(length)]
        assert again.place[mine].tolist() == list(range(length))
        assert {int(batch.decoder.order[k]) for k in again.order[mine]} == {row}
        assert set(again.before[mine].tolist()) == {before}
        at += length
    assert at == len(again.token)


def route_slots(batch: Batch) -> tuple[torch.Tensor, ...]:
    """Of each slot's NONE: where it reads its conversation, whose that is, and how many tokens are before it."""
    routes, last = batch.routes, batch.route_index[:, -1]
    return routes.begin[last], routes.row[last], routes.start[last]


def test_forced_tokens_are_no_targets() -> None:
    """Of `{"city":"Paris"}` only what stands in the string, and its end, is a choice; of `false` the first letter."""
    indices = list(range(28))
    batch = batch_of(indices)
    for row, i in enumerate(indices):
        free = corpus.unpack(batch.decoder, batch.free)[row]
        targets = corpus.unpack(batch.decoder, batch.target)[row][free].tolist()
        if not kept(batch, row):
            assert not targets
            continue
        text = tokenizer().decode(targets)
        for value in (value for call in MADE[i].calls for value in call.arguments.values()):
            assert str(value).lower()[:1] in text.lower()
        for name in ("city", "days", "guests", "amount", "urgent", "{", ":"):
            assert name not in text
    expected = sum(int(EXAMPLES.free[k].sum()) for i in indices for k in calls_of(i) if kept(batch, i))
    assert int(batch.free.sum()) == expected


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
            assert set(row_of(batch, "ids", row)) == {PAD}
            assert not any(row_of(batch, "free", row))
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
    """An example of `get_weather` lists `get_forecast`: rows bring it along, and then it competes in others."""
    found = [slots(batch_of([0, 7, 14, 1], seed), 0)[0][1] for seed in range(40)]
    assert 8 < sum({"get_weather", "get_forecast"} <= set(candidates) for candidates in found)


def test_some_rows_bring_a_listed_tool_along(monkeypatch: pytest.MonkeyPatch) -> None:
    def brought() -> int:
        return sum("get_forecast" in tool_names(batch_of([0, 1], seed)) for seed in range(60))

    assert 6 < brought() < 30
    monkeypatch.setattr(batches, "WITH_OTHER", 0.0)
    assert brought() == 0


MANY = [tool(f"tool_{i}", f"Do {i}.", ("n",), n={"type": "integer"}) for i in range(40)]


def closed_examples(*called: tuple[int, ...]) -> tuple[ExampleTable, ToolTable]:
    """An example for each tuple of called tools, all `MANY` on offer: the higher a tool's number, the easier it is."""
    made = [
        corpus.example("mine", f"do it {k}", MANY, *(Call(f"tool_{i}", {"n": k}) for i in chosen))
        for k, chosen in enumerate(called)
    ]
    examples, tools = corpus.encode(made)
    return replace(examples, closed=np.ones(len(made), np.bool_)), replace(tools, group=np.arange(len(tools.ids)))


def test_a_closed_row_always_has_its_tools_and_the_hardest_rivals_of_the_batch() -> None:
    examples, tools = closed_examples(*[(i,) for i in range(20)], (30, 31), (), (39,))
    indices = np.arange(len(examples))
    most, brought = 0, Counter[str]()
    for seed in range(40):
        batch = build_batch(examples, tools, indices, CANDIDATES, np.random.default_rng(seed))
        names = tool_names(batch)
        most = max(most, len(names))
        for row, chosen in enumerate([*[(i,) for i in range(20)], (30, 31), (), (39,)]):
            called = {f"tool_{i}" for i in chosen}
            found = slots(batch, row)
            assert [right for _, _, right in found] == [*(f"tool_{i}" for i in chosen), None]  # never withheld
            candidates = [c for c in found[0][1] if c is not None]
            assert called <= set(candidates)
            assert len(candidates) == 1 + RIVALS
            rivals = sorted(set(candidates) - called, key=lambda name: int(name[5:]))
            inside = sorted(set(names) - called, key=lambda name: int(name[5:]))
            kept = len(rivals) - 2  # all but those that the row itself brought
            assert rivals[:kept] == inside[:kept]
            brought.update(rivals[kept:])
    assert most <= 23 + 1 + 2 * 23 and most < 40  # a batch does not encode all that is on offer
    assert {f"tool_{i}" for i in range(25, 40)} <= set(brought)  # but each of them competes at times


def test_few_tools_on_offer_are_all_candidates() -> None:
    made = [corpus.example("mine", "do it", MANY[:3], Call("tool_1", {"n": 1}))] * 2
    examples, tools = corpus.encode(made)
    examples = replace(examples, closed=np.ones(2, np.bool_))
    batch = build_batch(examples, tools, np.arange(2), CANDIDATES, np.random.default_rng(0))
    assert {"tool_1", None} <= set(slots(batch, 0)[0][1]) <= {"tool_0", "tool_1", "tool_2", None}


def test_tools_called_together_are_not_held_against_each_other() -> None:
    """All tools of a closed row's batch are, by the contrastive term: it leaves out what calls two."""
    examples, tools = closed_examples((1,), (2, 3), (4, 4), ())
    batch = build_batch(examples, tools, np.arange(4), CANDIDATES, np.random.default_rng(0))
    assert [p if p == NO_TOOL else tool_names(batch)[p] for p in batch.positive.tolist()] == [
        "tool_1", NO_TOOL, "tool_4", NO_TOOL,
    ]  # fmt: skip


def test_rows_have_their_examples_weights() -> None:
    weight = np.linspace(0.2, 1.0, 70, dtype=np.float32)
    batch = build_batch(replace(EXAMPLES, weight=weight), TOOLS, np.array([3, 60, 9]), 3, np.random.default_rng(0))
    assert batch.row_weight.tolist() == weight[[3, 60, 9]].tolist()


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


def test_all_of_a_batch_moves() -> None:
    moved = batch_of([0, 5, 6]).to(torch.device("meta"))
    assert {tensor.device.type for tensor in tensors(moved)} == {"meta"}
    assert len(tensors(moved)) == len(tensors(batch_of([0, 5, 6])))
