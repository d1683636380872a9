"""How often the right tool is among those nearest to the conversation, as the number of declared tools grows.

Beside the tools of the request itself stand tools of other requests, drawn at random, never of the same family.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from model.manifest import read_manifest
from model.preparation import ENCODE_TOGETHER
from model.prompt import Prompt, encode_messages, encode_tool
from model.session import Session
from model.tokenizer import Tokenizer
from model.types import Tool
from training.data.example import Example

SIZES = (10, 50, 100, 200, 500)  # tools declared
DEPTHS = (1, 4, 8)  # nearest tools looked at; the engine's decoder scores 8

Vector = npt.NDArray[np.float32]
Encode = Callable[[Sequence[Prompt]], list[Vector]]  # unit length


@dataclass
class Recall:
    """Of `total` tools that were due, how many were among the k nearest, leaving out other tools that were due."""

    total: int = 0
    found: Counter[int] = field(default_factory=Counter)

    def share(self, depth: int) -> float:
        return self.found[depth] / self.total


@dataclass
class _Entry:
    """A distinct tool of the requests, the sets that offer it and the families of the requests that call it."""

    tool: Tool
    vector: Vector
    sets: set[str] = field(default_factory=set)
    families: set[str] = field(default_factory=set)


def load_encoder(folder: Path, threads: int) -> tuple[Tokenizer, Encode, int]:
    """(tokenizer, encoder of an artifact, most tokens it reads): the pooled vectors that the engine compares."""
    manifest = read_manifest(folder)
    tokenizer = Tokenizer.load(folder / "tokenizer.json")
    session = Session(folder, tokenizer, manifest.sizes, threads, half=manifest.precision == "int8")

    def encode(prompts: Sequence[Prompt]) -> list[Vector]:
        return [e.pooled for e in session.encode(prompts)]

    return tokenizer, encode, manifest.max_tokens


def recall(
    sets: Mapping[str, Sequence[Example]], tokenizer: Tokenizer, encode: Encode, max_tokens: int, seed: int = 0
) -> dict[str, dict[int, Recall]]:
    """Per set and number of declared tools. A size that a request cannot be filled up to does not count it.

    Args:
        sets: requests by the name of their set. Different sets have no tool family in common.
        max_tokens: longer tools and conversations are left out, as the engine refuses them.
    """
    entries = _entries(sets, tokenizer, encode, max_tokens)
    found: dict[str, dict[int, Recall]] = {}
    for name, examples in sets.items():
        found[name] = {size: Recall() for size in SIZES}
        for number, example in enumerate(tqdm(examples, desc=f"retrieval, {name}", unit="request")):
            prompt = encode_messages(example.messages, tokenizer)
            if not example.calls or len(prompt.ids) > max_tokens:
                continue
            called = {c.name for c in example.calls}
            own = [entries[key] for t in example.tools if (key := _content(t)) in entries]
            due = [e for e in own if e.tool.name in called]
            siblings = [e for e in own if e.tool.name not in called]
            others = _strangers(name, example, list(entries.values()))
            random.Random(f"{seed}:{name}:{number}").shuffle(others)
            [query] = encode([prompt])
            for size, result in found[name].items():
                distractors = [*siblings, *others][: max(0, size - len(due))]
                if distractors and len(due) + len(distractors) == size:
                    _count(result, query, due, distractors)
    return found


def _count(result: Recall, query: Vector, due: Sequence[_Entry], distractors: Sequence[_Entry]) -> None:
    near = np.stack([e.vector for e in distractors]) @ query  # [distractors]
    for entry in due:
        nearer = int((near > entry.vector @ query).sum())
        result.total += 1
        result.found.update(depth for depth in DEPTHS if nearer < depth)


def _strangers(name: str, example: Example, entries: Sequence[_Entry]) -> list[_Entry]:
    """Tools that cannot serve the request.

    Those that another family's requests call; of those that none calls, whose family is therefore not known, the ones
    that only other sets offer.
    """
    family, taken = example.family, {t.name for t in example.tools}
    return [
        e
        for e in entries
        if e.tool.name not in taken and (family not in e.families if e.families else name not in e.sets)
    ]


def _entries(
    sets: Mapping[str, Sequence[Example]], tokenizer: Tokenizer, encode: Encode, max_tokens: int
) -> dict[str, _Entry]:
    """Every distinct tool by its content, without those that are too long."""
    tools = {_content(t): t for examples in sets.values() for e in examples for t in e.tools}
    prompts = {key: encode_tool(tool, tokenizer) for key, tool in tools.items()}
    # In batches of like length, as the engine does it.
    order = sorted((key for key, p in prompts.items() if len(p.ids) <= max_tokens), key=lambda k: len(prompts[k].ids))
    entries: dict[str, _Entry] = {}
    for start in tqdm(range(0, len(order), ENCODE_TOGETHER), desc="retrieval, tools", unit="batch"):
        keys = order[start : start + ENCODE_TOGETHER]
        for key, vector in zip(keys, encode([prompts[key] for key in keys]), strict=True):
            entries[key] = _Entry(tools[key], vector)
    for name, examples in sets.items():
        for e in examples:
            called = {c.name for c in e.calls}
            for tool in e.tools:
                if entry := entries.get(_content(tool)):
                    entry.sets.add(name)
                    if tool.name in called:
                        entry.families.add(e.family)
    return entries


def _content(tool: Tool) -> str:
    return json.dumps([tool.name, tool.description, tool.parameters])
