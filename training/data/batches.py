"""From shards to training batches: which examples go together, and which tools compete for a slot.

Rows of a batch share their encoded tools, so every row's tools are distractors for all others at no cost. A row's
decoder sequence is `[slot arguments]*`, what serving writes. For every slot, and for the end behind the last call,
stand *route rows*: one per candidate tool and one for NONE, each a single step behind the calls before its slot, as
serving takes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.parameters import NO_PARAMETER
from model.tokenizer import PAD, SLOT
from training.data.packing import ROWS, Packed, pack, pad_to
from training.data.reads import Reads, group_reads
from training.data.shards import ExampleTable, Ragged, ToolTable

NO_TOOL = -1
CONVERSATION = -1  # as the owner of a source token: every call reads it
NOBODY = -2  # as the owner of a source token: padding
IRRELEVANT = 0.1  # share of rows whose right tool is withheld, so that NONE is right
END_RIVALS = 2  # candidate tools behind the last call, where NONE is right
NEAR = 3  # at most so many further listed tools among a row's candidates
WITH_OTHER = 0.3  # share of rows that bring a listed tool along beside those they call
RIVALS = 7  # tools among which a closed row is routed, beside the right one: as many as the engine scores
CHUNK = 6  # examples of one family that are kept together in a batch
ANCHORS = 8  # conversations on which the encoder is held near its start; a sample is enough for a soft hold

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sources:
    """What the rows of one decoder bucket read. `index` [b, S] into the flat texts; `owner` [b, S]: CONVERSATION, which
    of the row's called tools, or NOBODY."""

    index: Tensor
    owner: Tensor


@dataclass(frozen=True)
class Routes:
    """n route rows: a candidate of a slot each.

    `row`, `tool` [n]: the conversation, and the tool among the M (NO_TOOL for NONE); `start` [n] how many decoder
    tokens are before the slot; `begin` [n] where the conversation's tokens begin, among the texts' or, behind those,
    among the `Reread`. What they read: `conversation` and `declared`, the tool's text, among these tokens, and `past`,
    the tokens before the slot, among the decoder's.
    """

    row: Tensor
    tool: Tensor
    start: Tensor
    begin: Tensor
    conversation: Reads
    declared: Reads
    past: Reads


@dataclass(frozen=True)
class Reread:
    """The conversations as slots behind a call read them, J tokens: each such slot's, one behind the other.

    `token` [J] among the texts' tokens, `place` [J] in the conversation; `order` [J] the conversation's place in
    `Batch.decoder.order`; `before` [J] how many decoder tokens are before the slot.
    """

    token: Tensor
    place: Tensor
    order: Tensor
    before: Tensor


@dataclass(frozen=True)
class Batch:
    """B rows, M tools, N decoder tokens, F of them before a free choice; R slots of at most C candidates.

    `texts`: the conversations 0..B-1, then the tools; `pool` [text tokens] is 1.0 where a pooled vector is taken.
    `parameters` is how many parameters P the called tools have together: the text tokens `parameter_token` [K]
    make up the lines of those numbered `parameter_row` [K].
    `decoder`: the rows' tokens; for each of them [N] `target`, the token that follows, `free`, whether that one is a
    choice, `owner`, which of the row's called tools is being filled, `call_start`, where in the row its slot is, and
    `vector`, the input beside the token: at a slot the tool among the M, else M + the number of the parameter that the
    token belongs to, or M + P for none. `sources`: one a decoder bucket. `reread`: what slots behind a call read.
    `routes`: buckets of route rows; `route_index` [R, C+1] says where each slot's candidates are among all of them in
    that order (NO_TOOL pads), NONE last; `route_target` [R] which of them is right. `positive` [B]: the first called
    tool among the M, or NO_TOOL; `tool_group` [M], `row_group` [B] families. `anchor_ids`, `anchor_pool` [ANCHORS, T]:
    the first conversations, padded. `row_weight` [B]: how much each row counts in the losses.
    """

    texts: Packed
    pool: Tensor
    parameters: int
    parameter_token: Tensor
    parameter_row: Tensor
    decoder: Packed
    target: Tensor
    free: Tensor
    owner: Tensor
    call_start: Tensor
    vector: Tensor
    sources: tuple[Sources, ...]
    reread: Reread
    routes: Routes
    route_index: Tensor
    route_target: Tensor
    positive: Tensor
    tool_group: Tensor
    row_group: Tensor
    anchor_ids: Tensor
    anchor_pool: Tensor
    row_weight: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on `device`."""
        return _moved(self, device)

    def __len__(self) -> int:
        return len(self.decoder)


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, tuple):
        return tuple(_moved(v, device) for v in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _moved(getattr(value, f.name), device) for f in fields(value)})
    return value


def epoch_batches(examples: ExampleTable, rows: int, seed: int) -> list[Ints]:
    """Example indices of each batch of one epoch, in a shuffled order that `seed` fixes.

    A chunk of a batch is a few examples of one family that call the same few tools: those are encoded once, and their
    siblings meet.
    """
    rng = np.random.default_rng(seed)
    # Requests that come without tools belong to nobody: alone, they mix with all others.
    alone = (examples.call_tools.lengths == 0) & (examples.others.lengths == 0)
    family = np.where(alone, -1 - np.arange(len(examples)), examples.family)
    first = np.where(examples.call_tools.lengths > 0, _first(examples.call_tools), _first(examples.others))
    first = np.where(alone, 0, first)
    by_tool = rng.random(int(first.max(initial=0)) + 1)[first]
    order = np.lexsort((rng.random(len(examples)), by_tool, family))
    cuts = np.flatnonzero(np.diff(family[order])) + 1
    chunks = [c[i : i + CHUNK] for c in np.split(order, cuts) for i in range(0, len(c), CHUNK)]
    shuffled = np.concatenate([chunks[i] for i in rng.permutation(len(chunks))]) if chunks else order
    # What does not fill a batch waits for the next epoch, which is shuffled anew.
    return [shuffled[i : i + rows] for i in range(0, len(shuffled) - rows + 1, rows)]


def _first(ragged: Ragged) -> Ints:
    """The first element of each item; 0 for an empty one."""
    flat = np.append(ragged.flat, 0)
    return np.where(ragged.lengths > 0, flat[np.minimum(ragged.offsets[:-1], len(ragged.flat))], 0).astype(np.int64)


def training_batches(
    examples: ExampleTable, tools: ToolTable, rows: int, candidates: int, seed: int, start: int = 0, stride: int = 1
) -> Iterator[Batch]:
    """Of one endless sequence of batches the `start`-th and every `stride`-th behind it.

    Batch k is the same whoever builds it. ValueError when the examples do not fill one.
    """
    k, epoch, first = start, 0, 0  # first: the epoch's first batch
    while True:
        batches = epoch_batches(examples, rows, seed + epoch)
        if not batches:
            raise ValueError(f"{len(examples)} examples do not fill one batch of {rows}")
        while k < first + len(batches):
            yield build_batch(examples, tools, batches[k - first], candidates, np.random.default_rng((seed, k)))
            k += stride
        epoch, first = epoch + 1, first + len(batches)


def build_batch(
    examples: ExampleTable, tools: ToolTable, indices: npt.NDArray[np.int64], candidates: int, rng: np.random.Generator
) -> Batch:
    """Choose every row's candidates and lay the decoder tokens out.

    A closed row is routed among tools that it lists: those that it calls, two that it brings along, and the hardest of
    those that other rows brought. So a batch encodes a few tools a row, however many are on offer. The right one is
    never withheld, since another might be right then.
    """
    wanted: list[list[int]] = []  # the tools a row brings into the batch, called ones first
    listed: list[list[int]] = []
    for i in indices:
        called = list(dict.fromkeys(examples.call_tools[i].tolist()))
        others = [t for t in examples.others[i].tolist() if t not in called]
        if examples.closed[i]:
            wanted.append([*called, *_brought(others, rng)])
            listed.append(others)
            continue
        # Where no call is right, the first listed tool is the one that comes closest.
        first = [] if called else others[:1]
        rng.shuffle(others)
        wanted.append([*called, *first, *others[: int(rng.random() < WITH_OTHER)]])
        listed.append([*first, *others])
    table = sorted({t for row in wanted for t in row}) or [int(rng.integers(len(tools.ids)))]
    local = {t: k for k, t in enumerate(table)}

    layouts = []
    for i, row, others in zip(indices, wanted, listed, strict=True):
        # Unlisted tools of the request's family may be right as well, so they are no distractors; the listed ones that
        # other rows brought along are, and the harder ones.
        near = [t for t in others if t in local and t not in row]
        calls = _calls(examples, i)
        most = candidates
        if examples.closed[i]:
            rivals, most = near, 1 + RIVALS
        else:
            row = list(dict.fromkeys([*row, *near[: rng.integers(NEAR + 1)]]))
            groups = {int(tools.group[t]) for t in row} | {int(examples.group[i])}
            rivals = [t for t in rng.permutation(table)[: 4 * candidates].tolist() if int(tools.group[t]) not in groups]
            if calls and rng.random() < IRRELEVANT:
                row = [t for t in row if t not in {c.tool for c in calls}]
                calls = []
        chosen = [*row, *rivals][: max(most, len({c.tool for c in calls}))]
        layouts.append(_Layout(sorted(local[t] for t in chosen), [replace(c, tool=local[c.tool]) for c in calls]))

    queries = [examples.query[i] for i in indices]
    pools = [(int(examples.pool_start[i]), len(q)) for i, q in zip(indices, queries, strict=True)]
    prompts = [tools.ids[t] for t in table]
    heads = [(0, int(tools.head[t])) for t in table]
    texts = pack([*queries, *prompts])
    pool = np.zeros(len(texts.ids), np.float32)
    for start, (head, end) in zip(texts.start.tolist(), [*pools, *heads], strict=True):
        pool[start + head : start + end] = 1.0
    positives = [_positive(examples, i, local) for i in indices]
    tool_group = torch.from_numpy(tools.group[table])
    row_group = torch.tensor([int(tool_group[p]) if p != NO_TOOL else NO_TOOL for p in positives])
    anchor_ids, anchor_pool = pad_prompts(queries[:ANCHORS], pools[:ANCHORS])
    spans = [np.arange(s, s + len(t)) for s, t in zip(texts.start.tolist(), [*queries, *prompts], strict=True)]
    return Batch(
        texts,
        torch.from_numpy(pool),
        **_decoder_side(layouts, spans, len(texts.ids), [tools.parameters[t].reshape(-1, 2) for t in table]),
        positive=torch.tensor(positives),
        tool_group=tool_group,
        row_group=row_group,
        anchor_ids=anchor_ids,
        anchor_pool=anchor_pool,
        row_weight=torch.from_numpy(examples.weight[indices]),
    )


def _brought(others: list[int], rng: np.random.Generator) -> list[int]:
    """Of a closed row's other tools, hardest first: one of the hardest, and one of all."""
    if not others:
        return []
    return list(dict.fromkeys([others[rng.integers(min(RIVALS, len(others)))], others[rng.integers(len(others))]]))


def _positive(examples: ExampleTable, i: int, local: dict[int, int]) -> int:
    """The tool of the batch that the contrastive term draws example i's conversation to.

    A closed row's term holds all other tools against it: no right one may be among them.
    """
    called = examples.call_tools[i]
    if not len(called) or (examples.closed[i] and len(set(called.tolist())) > 1):
        return NO_TOOL
    return local[int(called[0])]


def pad_prompts(prompts: Sequence[npt.ArrayLike], pools: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """(ids [B, T], pool [B, T]) of prompts padded to the longest."""
    arrays = [np.asarray(p, np.int64) for p in prompts]
    ids = np.full((len(arrays), max(map(len, arrays))), PAD, np.int64)
    pool = np.zeros(ids.shape, np.float32)
    for k, (array, (start, end)) in enumerate(zip(arrays, pools, strict=True)):
        ids[k, : len(array)] = array
        pool[k, start:end] = 1.0
    return torch.from_numpy(ids), torch.from_numpy(pool)


@dataclass(frozen=True)
class _Call:
    """A call to write: of each argument token, whether it is a choice, and whose (or NO_PARAMETER's) it is."""

    tool: int
    ids: list[int]
    free: list[int]
    parameter: list[int]


def _calls(examples: ExampleTable, i: int) -> list[_Call]:
    """The calls of example i."""
    first = int(examples.call_tools.offsets[i])
    return [
        _Call(int(tool), *(x[first + k].tolist() for x in (examples.arguments, examples.free, examples.parameter)))
        for k, tool in enumerate(examples.call_tools[i])
    ]


class _Layout:
    """One row: the decoder's tokens, and its slots."""

    def __init__(self, candidates: list[int], calls: list[_Call]) -> None:
        self.tools = list(dict.fromkeys(call.tool for call in calls))
        self.ids: list[int] = []
        self.target: list[int] = []
        self.free: list[bool] = []
        self.owner: list[int] = []
        self.call_start: list[int] = []
        self.parameter: list[int] = []
        self.slots: list[tuple[int, list[int], int]] = []  # (tokens before it, candidates, which is right)
        for call in calls:
            start, length = len(self.ids), len(call.ids) + 1
            self.slots.append((start, candidates, candidates.index(call.tool)))
            self.ids += [SLOT, *call.ids]
            self.target += [*call.ids, PAD]
            self.free += [*map(bool, call.free), False]
            self.owner += [self.tools.index(call.tool)] * length
            self.call_start += [start] * length
            self.parameter += [NO_PARAMETER, *call.parameter]
        # Behind the last call the rivals of NONE are chiefly the tools just called.
        rivals = (
            candidates if not calls else [*self.tools, *(c for c in candidates if c not in self.tools)][:END_RIVALS]
        )
        self.slots.append((len(self.ids), rivals, len(rivals)))


def _decoder_side(
    layouts: Sequence[_Layout], spans: Sequence[Ints], tokens: int, ranges: Sequence[Ints]
) -> dict[str, Any]:
    """The fields of a batch about decoder tokens.

    `spans` [B + M] are the flat places of each text's tokens among all `tokens`, `ranges` [M] where in a tool's text
    its parameters are.
    """
    rows = len(layouts)
    places: list[Ints] = []  # of each parameter's tokens
    first_parameter: dict[int, int] = {}  # of each called tool
    for tool in sorted({t for x in layouts for t in x.tools}):
        first_parameter[tool] = len(places)
        places += [spans[rows + tool][start:end] for start, end in ranges[tool].tolist()]
    decoder = pack([x.ids or [PAD] for x in layouts])
    start = decoder.start.numpy()
    arrays: dict[str, npt.NDArray[Any]] = {
        "target": np.zeros(len(decoder.ids), np.int64),
        "free": np.zeros(len(decoder.ids), np.bool_),
        "owner": np.zeros(len(decoder.ids), np.int64),
        "call_start": np.zeros(len(decoder.ids), np.int64),
        "vector": np.full(len(decoder.ids), len(ranges) + len(places), np.int64),
    }
    for b, x in enumerate(layouts):
        at = slice(start[b], start[b] + len(x.ids))
        for name in ("target", "free", "owner", "call_start"):
            arrays[name][at] = getattr(x, name)
        for flat, token, owner, parameter in zip(range(at.start, at.stop), x.ids, x.owner, x.parameter, strict=True):
            tool = x.tools[owner]
            if token == SLOT:
                arrays["vector"][flat] = tool
            elif parameter != NO_PARAMETER:
                arrays["vector"][flat] = len(ranges) + first_parameter[tool] + parameter
    sources = []
    first = 0
    order = decoder.order.numpy()
    for count, _ in decoder.shapes:
        members = order[first : first + count]
        first += count
        read = [[spans[b], *(spans[rows + t] for t in layouts[b].tools)] for b in members]
        owners = [np.repeat(np.arange(CONVERSATION, len(r) - 1), [len(s) for s in r]) for r in read]
        sources.append(Sources(_block([np.concatenate(r) for r in read], 0), _block(owners, NOBODY)))

    place_of = decoder.order.argsort().tolist()
    reread: list[Ints] = []  # each slot's [length, 4]
    behind = tokens  # where the next of them begins
    route: list[tuple[int, int, int, int]] = []  # (row, tool, start, begin)
    index, target = [], []
    most = max(len(candidates) for x in layouts for _, candidates, _ in x.slots)
    for b, x in enumerate(layouts):
        for before, candidates, right in x.slots:
            first, begin = len(route), int(spans[b][0])
            if before:
                length = len(spans[b])
                begin, behind = behind, behind + length
                columns = spans[b], np.arange(length), np.full(length, place_of[b]), np.full(length, before)
                reread.append(np.stack(columns, axis=1))
            route += [(b, tool, before, begin) for tool in (*candidates, NO_TOOL)]
            gap = [NO_TOOL] * (most - len(candidates))
            index.append([*range(first, len(route) - 1), *gap, len(route) - 1])
            target.append(most if right == len(candidates) else right)
    route += [(0, NO_TOOL, 0, int(spans[0][0]))] * (pad_to(ROWS, len(route)) - len(route))  # of no slot
    again = np.concatenate([*reread, np.zeros((0, 4), np.int64)]).T.copy()
    return {
        "parameters": len(places),
        "parameter_token": torch.from_numpy(np.concatenate([*places, np.zeros(0, np.int64)])),
        "parameter_row": torch.from_numpy(np.repeat(np.arange(len(places)), [len(p) for p in places])),
        "decoder": decoder,
        **{name: torch.from_numpy(array) for name, array in arrays.items()},
        "sources": tuple(sources),
        "reread": Reread(*map(torch.from_numpy, again)),
        "routes": _routes(np.array(route, np.int64), spans, rows, start),
        "route_index": torch.tensor(index),
        "route_target": torch.tensor(target),
    }


def _routes(route: Ints, spans: Sequence[Ints], rows: int, start: Ints) -> Routes:
    """Route rows [n, 4] of (row, tool, tokens before, where its conversation begins); `start` is where each row's
    decoder tokens begin."""
    row, tool, before, begin = route.T.copy()
    begins, lengths = np.array([s[0] for s in spans]), np.array([len(s) for s in spans])
    text = np.where(tool == NO_TOOL, 0, rows + tool)
    return Routes(
        row=torch.from_numpy(row),
        tool=torch.from_numpy(tool),
        start=torch.from_numpy(before),
        begin=torch.from_numpy(begin),
        conversation=group_reads(begin, lengths[row]),
        declared=group_reads(begins[text], np.where(tool == NO_TOOL, 0, lengths[text])),
        past=group_reads(start[row], before),
    )


def _block(rows: Sequence[npt.NDArray[Any]], fill: int | bool) -> Tensor:
    """Ragged rows as one padded tensor."""
    block = np.full((len(rows), max(map(len, rows))), fill, rows[0].dtype)
    for k, row in enumerate(rows):
        block[k, : len(row)] = row
    return torch.from_numpy(block)
