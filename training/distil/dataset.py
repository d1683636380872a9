"""Labels of a teacher to shards that `training.train` learns from, with examples to replay behind them.

The user's tools stay as they are declared, since so they will be served. Every row lists all tools that were on offer
(`ExampleTable.closed`), and those nearest to the conversation first: the start's own vectors say which ones its
retrieval would bring, and what is nearest is hardest to tell apart.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.engine import MAX_ARGUMENT_TOKENS
from model.manifest import read_manifest
from model.preparation import ENCODE_TOGETHER
from model.prompt import Prompt
from training.data.encoder import ExampleEncoder
from training.data.example import Example
from training.data.prepare import PrepareConfig
from training.data.scenarios.library import FOLDER
from training.data.shards import (
    ExampleTable,
    Ragged,
    ToolTable,
    joined,
    load_description,
    save_description,
    save_examples,
    save_tools,
)
from training.distil.general import composed_replay, sampled_replay
from training.distil.labels import Label, write_labels
from training.evaluation.retrieval import Encode, load_encoder
from training.teacher.base import digest

SOURCE = "labels"
LABELS = ("labels.jsonl", "heldout.jsonl")


def write_dataset(
    folder: Path,
    labels: Sequence[Label],
    heldout: Sequence[Label],
    start: Path,
    *,
    replay: int,
    replay_shards: Path | None = None,
    library: Path = FOLDER,
    seed: int = 0,
    threads: int = 2,
) -> dict[str, Any]:
    """Write shards to `folder`, whole or not at all; nothing is done where the same ones are already.

    Args:
        labels, heldout: to learn from, and to measure on.
        start: the artifact that training starts from.
        replay: about how many examples to replay, drawn from `replay_shards` or else composed of `library`.
        threads: of ONNX Runtime.

    Returns what `shards.json` says: counts under "labels", "heldout", "answers", "replay", and under "dropped" how many
    answers of each split could not be used, by reason. ValueError when no label is left, or the folder has other ones.
    """
    building = folder.with_name(f".{folder.name}-partial")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    digests = {}
    for name, given in zip(LABELS, (labels, heldout), strict=True):
        write_labels(building / name, given)
        digests[name] = hashlib.sha256((building / name).read_bytes()).hexdigest()
    made_from = {**digests, "start": start_digest(start), "replay": replay, "seed": seed}
    made_from["replayed"] = load_description(replay_shards)["sha256"] if replay_shards else "scenarios"
    if folder.exists():
        shutil.rmtree(building)
        description = load_description(folder)
        if description["made_from"] != made_from:
            raise ValueError(f"{folder} was made from other labels or settings: choose another folder, or remove it")
        return description

    tokenizer, encode, max_tokens = load_encoder(start, threads)
    dropped: dict[str, Counter[str]] = {"train": Counter(), "heldout": Counter()}
    limits = PrepareConfig(
        max_query_tokens=max_tokens, max_tool_tokens=max_tokens, max_argument_tokens=MAX_ARGUMENT_TOKENS
    )
    encoder = ExampleEncoder(tokenizer, limits, lambda _, split, reason: dropped[split].update([reason]))
    tables = []
    for split, given in (("train", labels), ("heldout", heldout)):
        answers = [answer for label in given for answer in answer_examples(label)]
        table = encoder.encode([e for e, _ in answers], split, weights=[share for _, share in answers])
        if not len(table):
            reasons = ", ".join(f"{count} of {reason}" for reason, count in dropped[split].items()) or "there are none"
            raise ValueError(f"no label to {'learn from' if split == 'train' else 'measure on'} is left: {reasons}")
        tables.append(table)
    # A group each: the user's tools are told apart from each other, not only from other people's.
    tools = encoder.tool_table()
    tools = replace(tools, group=np.arange(len(tools.ids)))
    train, measured = (closed(table, tools, encode) for table in tables)
    counts = {"labels": len(labels), "heldout": len(heldout), "answers": len(train)}
    if replay:
        general = (
            sampled_replay(replay_shards, tokenizer, replay, seed)
            if replay_shards
            else composed_replay(tokenizer, replay, seed, library)
        )
        counts["replay"] = len(general[0])
        train, tools = joined((train, tools), general)
    save_examples(building, "train", train)
    save_examples(building, "heldout", measured)
    save_tools(building, tools)
    save_description(building, tokenizer.json_text, {**counts, "dropped": dropped, "made_from": made_from})
    building.rename(folder)
    return load_description(folder)


def answer_examples(label: Label) -> list[tuple[Example, float]]:
    """A label's answers as examples, each with its share as weight: together they are the soft target."""
    return [(replace(label.example, source=SOURCE, calls=a.calls), a.share) for a in label.answers]


def closed(examples: ExampleTable, tools: ToolTable, encode: Encode) -> ExampleTable:
    """`examples` as closed ones, with `others` in the order of their nearness to the conversation."""
    spans = zip(range(len(examples)), examples.pool_start.tolist(), examples.query.lengths.tolist(), strict=True)
    queries = _vectors([Prompt(examples.query[i].tolist(), (start, end)) for i, start, end in spans], encode)
    offered = _vectors([Prompt(tools.ids[i].tolist(), (0, int(end))) for i, end in enumerate(tools.head)], encode)
    hardest = [
        others[np.argsort(-(offered[others] @ query), kind="stable")]
        for others, query in zip(map(examples.others.__getitem__, range(len(examples))), queries, strict=True)
    ]
    return replace(examples, others=Ragged.pack(hardest, np.int32), closed=np.ones(len(examples), np.bool_))


def start_digest(start: Path) -> str:
    """Tells the weights of an artifact from others."""
    return digest(read_manifest(start).files)


def _vectors(prompts: Sequence[Prompt], encode: Encode) -> npt.NDArray[np.float32]:
    """[n, width]; what is of like length is encoded together, as the engine does it."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i].ids))
    found: dict[int, npt.NDArray[np.float32]] = {}
    for start in range(0, len(order), ENCODE_TOGETHER):
        members = order[start : start + ENCODE_TOGETHER]
        found.update(zip(members, encode([prompts[i] for i in members]), strict=True))
    return np.stack([found[i] for i in range(len(prompts))])
