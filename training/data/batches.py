"""From shards to training batches: which examples go together, and which tools compete for a slot.

Rows of a batch share their encoded tools, so every row's tools are distractors for all others at no cost. A row's
decoder sequence is `[slot arguments]*`, what serving writes. For every slot, and for the end behind the last call,
stand *route rows*: one per candidate tool and one for NONE, each a single step behind the calls before its slot, as
serving takes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.tokenizer import PAD, SLOT
from training.data.shards import ExampleTable, ToolTable

NO_TOOL = -1
IRRELEVANT = 0.1  # share of rows whose right tool is withheld, so that NONE is right
END_RIVALS = 2  # candidate tools behind the last call, where NONE is right
NEAR = 3  # at most so many further listed tools among a row's candidates
WITH_OTHER = 0.6  # share of rows that bring a listed tool along beside those they call
MANY_CALLS = 3  # from so many on, calls are not told apart
CHUNK = 6  # examples of one family that are kept together in a batch


@dataclass
class Batch:
    """B rows, M tools, K called tools a row, L decoder tokens, F free tokens, N route rows, R slots, C candidates.

    `row_tools` [B, K] indexes the M tools (NO_TOOL pads). `owner` [B, L] is the called tool, 0..K-1, that a decoder
    token reads. `fill_*` [F]: row, position, and the target that follows it. `route_row`, `route_tool`, `route_start`
    [N]: the row, the tool among the M (NO_TOOL for NONE), and how many decoder tokens lie before the slot.
    `route_index` [R, C+1] says where each slot's candidates are among the N (NO_TOOL pads), NONE last; `route_target`
    [R] which of them is right. `positive` [B]: the first called tool among the M, or NO_TOOL; `tool_group` [M],
    `row_group` [B] families.
    """

    query_ids: Tensor
    query_pool: Tensor
    tool_ids: Tensor
    tool_pool: Tensor
    row_tools: Tensor
    decoder_ids: Tensor
    owner: Tensor
    fill_row: Tensor
    fill_position: Tensor
    fill_target: Tensor
    route_row: Tensor
    route_tool: Tensor
    route_start: Tensor
    route_index: Tensor
    route_target: Tensor
    positive: Tensor
    tool_group: Tensor
    row_group: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(**{name: value.to(device, non_blocking=True) for name, value in vars(self).items()})


def epoch_batches(examples: ExampleTable, rows: int, seed: int) -> list[npt.NDArray[np.int64]]:
    """Example indices of each batch of one epoch, in a shuffled order that `seed` fixes.

    Examples of one family are chunked, so that siblings meet; chunks of like length are batched, so that little is
    padding.
    """
    rng = np.random.default_rng(seed)
    arguments = np.add.reduceat(
        np.append(examples.arguments.lengths, 0), np.minimum(examples.call_tools.offsets[:-1], len(examples.arguments))
    )
    arguments[examples.call_tools.lengths == 0] = 0
    size = examples.query.lengths + arguments
    # Requests that come without tools belong to nobody: alone, they mix with all others.
    alone = (examples.call_tools.lengths == 0) & (examples.others.lengths == 0)
    family = np.where(alone, -1 - np.arange(len(examples)), examples.family)
    # A batch has room for as many tools a row as its row with the most calls: rows of as many calls go together.
    calls = np.minimum(examples.call_tools.lengths, MANY_CALLS)
    order = np.lexsort((rng.random(len(examples)), size // 16, calls, family))
    cuts = np.flatnonzero(np.diff(family[order]) | np.diff(calls[order])) + 1
    chunks = [c[i : i + CHUNK] for c in np.split(order, cuts) for i in range(0, len(c), CHUNK)]
    jitter = rng.normal(0, 6, len(chunks))
    longest = np.array([size[c].max() for c in chunks]) + jitter
    most = np.array([max(1, calls[c[0]]) for c in chunks])
    by_length = np.concatenate([chunks[i] for i in np.lexsort((longest, most))])
    # What does not fill a batch is left out at a random end, or the longest examples would never be seen.
    start = int(rng.integers(len(by_length) % rows + 1))
    batches = [by_length[i : i + rows] for i in range(start, len(by_length) - rows + 1, rows)]
    return [batches[i] for i in rng.permutation(len(batches))]


def training_batches(
    examples: ExampleTable, tools: ToolTable, rows: int, candidates: int, seed: int, start: int = 0
) -> Iterator[Batch]:
    """Endless batches from step `start` on; step n is the same whatever `start` was."""
    step, epoch = 0, 0
    while True:
        batches = epoch_batches(examples, rows, seed + epoch)
        if not batches:
            raise ValueError(f"{len(examples)} examples do not fill one batch of {rows}")
        for indices in batches[max(0, start - step) :]:
            at = max(start, step)
            yield build_batch(examples, tools, indices, candidates, np.random.default_rng((seed, at)))
            step = at + 1
        step = max(step, (epoch + 1) * len(batches))
        epoch += 1


def build_batch(
    examples: ExampleTable, tools: ToolTable, indices: npt.NDArray[np.int64], candidates: int, rng: np.random.Generator
) -> Batch:
    """Choose every row's candidates and lay the decoder tokens out."""
    wanted: list[list[int]] = []  # the tools a row brings into the batch, called ones first
    listed: list[list[int]] = []
    for i in indices:
        called = list(dict.fromkeys(examples.call_tools[i].tolist()))
        others = [t for t in examples.others[i].tolist() if t not in called]
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
        row = list(dict.fromkeys([*row, *near[: rng.integers(NEAR + 1)]]))
        groups = {int(tools.group[t]) for t in row} | {int(examples.group[i])}
        strangers = [t for t in rng.permutation(table)[: 4 * candidates].tolist() if int(tools.group[t]) not in groups]
        calls = _calls(examples, i)
        if calls and rng.random() < IRRELEVANT:
            row = [t for t in row if t not in {t for t, _, _ in calls}]
            calls = []
        chosen = [*row, *strangers][: max(candidates, len({t for t, _, _ in calls}))]
        layouts.append(_Layout(sorted(local[t] for t in chosen), [(local[t], a, f) for t, a, f in calls]))

    query = [examples.query[i] for i in indices]
    starts = [int(examples.pool_start[i]) for i in indices]
    query_ids, query_pool = pad_prompts(query, starts, [len(q) for q in query])
    prompts = [tools.ids[t] for t in table]
    tool_ids, tool_pool = pad_prompts(prompts, [0] * len(table), [int(tools.head[t]) for t in table])
    positives = [local[int(examples.call_tools[i][0])] if len(examples.call_tools[i]) else NO_TOOL for i in indices]
    tool_group = torch.from_numpy(tools.group[table])
    row_group = torch.tensor([int(tool_group[p]) if p != NO_TOOL else NO_TOOL for p in positives])
    return Batch(
        query_ids,
        query_pool,
        tool_ids,
        tool_pool,
        **_stack(layouts),
        positive=torch.tensor(positives),
        tool_group=tool_group,
        row_group=row_group,
    )


def pad_prompts(prompts: list[npt.NDArray[np.uint16]], starts: list[int], ends: list[int]) -> tuple[Tensor, Tensor]:
    """(ids [B, T], pool [B, T]) of prompts padded to the longest, rounded up to a multiple of 8."""
    length = -(-max(len(p) for p in prompts) // 8) * 8
    ids = np.full((len(prompts), length), PAD, np.int64)
    pool = np.zeros((len(prompts), length), np.float32)
    for k, prompt in enumerate(prompts):
        ids[k, : len(prompt)] = prompt
        pool[k, starts[k] : ends[k]] = 1.0
    return torch.from_numpy(ids), torch.from_numpy(pool)


def _calls(examples: ExampleTable, i: int) -> list[tuple[int, list[int], list[int]]]:
    """(tool, argument ids, free mask) of each call of example i."""
    first = int(examples.call_tools.offsets[i])
    return [
        (int(tool), examples.arguments[first + k].tolist(), examples.free[first + k].tolist())
        for k, tool in enumerate(examples.call_tools[i])
    ]


class _Layout:
    """One row: the decoder's tokens, and its route rows slot by slot."""

    def __init__(self, candidates: list[int], calls: list[tuple[int, list[int], list[int]]]) -> None:
        self.tools = list(dict.fromkeys(tool for tool, _, _ in calls))
        self.ids: list[int] = []
        self.owner: list[int] = []
        self.fill: list[tuple[int, int]] = []  # (position, the target that follows it)
        self.slots: list[tuple[int, list[int], int]] = []  # (tokens before it, candidates, which is right)
        for tool, arguments, free in calls:
            start = len(self.ids)
            self.slots.append((start, candidates, candidates.index(tool)))
            self.ids += [SLOT, *arguments]
            self.owner += [self.tools.index(tool)] * (len(arguments) + 1)
            self.fill += [(start + k, token) for k, (token, f) in enumerate(zip(arguments, free, strict=True)) if f]
        # Behind the last call the rivals of NONE are chiefly the tools just called.
        rivals = (
            candidates if not calls else [*self.tools, *(c for c in candidates if c not in self.tools)][:END_RIVALS]
        )
        self.slots.append((len(self.ids), rivals, len(rivals)))


def _stack(layouts: list[_Layout]) -> dict[str, Tensor]:
    rows, width = len(layouts), max(1, max(len(x.tools) for x in layouts))
    length = max(8, -(-max(len(x.ids) for x in layouts) // 8) * 8)
    ids = np.full((rows, length), PAD, np.int64)
    owner = np.zeros((rows, length), np.int64)
    row_tools = np.full((rows, width), NO_TOOL, np.int64)
    fill = [(b, position, token) for b, x in enumerate(layouts) for position, token in x.fill]
    route: list[tuple[int, int, int]] = []
    index, target = [], []
    most = max(len(candidates) for x in layouts for _, candidates, _ in x.slots)
    for b, x in enumerate(layouts):
        ids[b, : len(x.ids)] = x.ids
        owner[b, : len(x.ids)] = x.owner
        row_tools[b, : len(x.tools)] = x.tools
        for start, candidates, right in x.slots:
            first = len(route)
            route += [(b, tool, start) for tool in (*candidates, NO_TOOL)]
            gap = [NO_TOOL] * (most - len(candidates))
            index.append([*range(first, len(route) - 1), *gap, len(route) - 1])
            target.append(most if right == len(candidates) else right)
    fills, routes = np.array(fill, np.int64).reshape(-1, 3), np.array(route, np.int64)
    arrays = {
        "row_tools": row_tools,
        "decoder_ids": ids,
        "owner": owner,
        "fill_row": fills[:, 0],
        "fill_position": fills[:, 1],
        "fill_target": fills[:, 2],
        "route_row": routes[:, 0],
        "route_tool": routes[:, 1],
        "route_start": routes[:, 2],
        "route_index": np.array(index),
        "route_target": np.array(target),
    }
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
