"""Batches to compute losses of, and what their rows were meant to be."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from model.parameters import NO_PARAMETER
from model.prompt import Prompt
from model.tokenizer import PAD, SLOT
from tests.artifact import tokenizer
from tests.training import corpus
from training.data.batches import NO_TOOL, Batch, build_batch
from training.data.example import Call
from training.network import Spelling

ROWS = 22
WEATHER, FORECAST = corpus.GROUPS["weather"]
THREE = corpus.example(
    "weather",
    "weather in Paris, and the next 3 days in New York, and the weather in San Francisco in Paris too",
    (WEATHER, FORECAST),
    Call("get_weather", {"city": "Paris"}),
    Call("get_forecast", {"city": "New York", "days": 3}),
    Call("get_weather", {"city": "San Francisco"}),
)
EXAMPLES, TOOLS = corpus.encode([*corpus.examples(ROWS - 1, seed=1), THREE])
SPELLING = Spelling.of(tokenizer())
TERMS = ("fill", "route", "contrast")


def make_batch(indices: list[int], candidates: int = 3, seed: int = 0) -> Batch:
    return build_batch(EXAMPLES, TOOLS, np.array(indices), candidates, np.random.default_rng(seed))


@dataclass
class Gold:
    """One row as it was meant: a conversation, its slots, and what is written behind each."""

    conversation: Prompt
    slots: list[tuple[list[int], list[int], int]] = field(default_factory=list)  # (route rows, tools, which is right)
    arguments: list[list[tuple[int, bool]]] = field(default_factory=list)  # (token, whether it is a choice)

    def scored(self, slot: int) -> list[int]:
        """Which of the row's candidates, and NONE behind them, are scored at a slot."""
        every = self.slots[0][1]
        return [*map(every.index, self.slots[slot][1]), len(every)]


def prompts(batch: Batch) -> list[Prompt]:
    """The conversations, then the tools; those that are called have the ranges of their parameters."""
    found = []
    numbers = torch.full((len(batch.texts.ids),), NO_PARAMETER)
    numbers[batch.parameter_token] = batch.parameter_row
    unpacked = (corpus.unpack(batch.texts, x) for x in (batch.texts.ids, batch.pool, numbers))
    for ids, pool, number in zip(*unpacked, strict=True):
        inside = pool.nonzero().flatten().tolist()
        ids, number = ids[ids != PAD].tolist(), number.tolist()
        parameters = sorted(set(number) - {NO_PARAMETER})
        ranges = [(number.index(p), number.index(p) + number.count(p)) for p in parameters]
        names = [tokenizer().decode(ids[start:end]).split()[0].rstrip("*") for start, end in ranges]
        found.append(Prompt(ids, (inside[0], inside[-1] + 1), tuple(ranges), tuple(names)))
    return found


def gold(batch: Batch) -> list[Gold]:
    rows = [Gold(p) for p in prompts(batch)[: len(batch)]]
    route_row, route_tool = batch.routes.row, batch.routes.tool
    for index, target in zip(batch.route_index.tolist(), batch.route_target.tolist(), strict=True):
        listed = [i for i in index if i != NO_TOOL]
        row = rows[int(route_row[listed[-1]])]
        row.slots.append((listed, route_tool[listed[:-1]].tolist(), listed.index(index[target])))
    frees = corpus.unpack(batch.decoder, batch.free)
    for row, ids, free in zip(rows, corpus.unpack(batch.decoder, batch.decoder.ids), frees, strict=True):
        for token, choice in zip(ids.tolist(), [False, *free.tolist()], strict=False):
            if token == SLOT:
                row.arguments.append([])
            elif token != PAD:
                row.arguments[-1].append((token, choice))
    return rows
