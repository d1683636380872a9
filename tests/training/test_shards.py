"""Shards: what is written is read back, whatever its shape."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.prompt import FORMAT_VERSION
from training.data.shards import (
    ExampleTable,
    Ragged,
    ToolTable,
    joined,
    load_description,
    load_examples,
    load_sources,
    load_tools,
    save_description,
    save_examples,
    save_tools,
)


def lists(ragged: Ragged) -> list[list[int]]:
    return [ragged[i].tolist() for i in range(len(ragged))]


@pytest.mark.parametrize("items", [[], [[]], [[1, 2], [], [3]], [[], [], [65_535]]])
def test_ragged(items: list[list[int]]) -> None:
    packed = Ragged.pack(items, np.uint16)
    assert lists(packed) == items
    assert packed.lengths.tolist() == [len(i) for i in items]
    assert packed.flat.dtype == np.uint16


def table(calls: list[list[int]]) -> ExampleTable:
    arguments = [[10 + k] * (k % 5) for k in range(sum(map(len, calls)))]
    return ExampleTable(
        query=Ragged.pack([[6, 14_000 - k] for k in range(len(calls))], np.uint16),
        pool_start=np.arange(len(calls)),
        others=Ragged.pack([[40_000, k] for k in range(len(calls))], np.int32),
        call_tools=Ragged.pack(calls, np.int32),
        arguments=Ragged.pack(arguments, np.uint16),
        free=Ragged.pack([[(i + k) % 2 for i in range(len(a))] for k, a in enumerate(arguments)], np.uint8),
        parameter=Ragged.pack([[-1, 300, *[0] * (len(a) - 2)][: len(a)] for a in arguments], np.int16),
        source=np.arange(len(calls)) % 2,
        sources=("sgd", "été"),
        group=np.arange(len(calls)) // 2,
        family=70_000 + np.arange(len(calls)),
        weight=(1 + np.arange(len(calls), dtype=np.float32)) / 4,
        closed=np.arange(len(calls)) % 3 == 0,
    )


@pytest.mark.parametrize("calls", [[[1], [2, 70_000], [], [3, 3, 3]], [[], []], [[5]], []])
def test_examples(calls: list[list[int]], tmp_path: Path) -> None:
    written = table(calls)
    save_examples(tmp_path, "train", written)
    read = load_examples(tmp_path, "train")
    assert len(read) == len(calls)
    for name in ("query", "others", "call_tools", "arguments", "free", "parameter"):
        assert lists(getattr(read, name)) == lists(getattr(written, name)), name
    assert read.pool_start.tolist() == written.pool_start.tolist()
    assert [read.sources[s] for s in read.source] == [written.sources[s] for s in written.source]


def test_examples_of_some_sources_are_left_out() -> None:
    whole = table([[1], [2, 70_000], [], [3, 3, 3]])  # the second and the last are of the second source
    rest = whole.without(["sgd"])
    assert len(rest) == 2
    assert [rest.sources[s] for s in rest.source] == ["été"] * 2
    for name in ("query", "others", "call_tools"):
        assert lists(getattr(rest, name)) == [lists(getattr(whole, name))[k] for k in (1, 3)], name
    for name in ("arguments", "free", "parameter"):  # one a call
        assert lists(getattr(rest, name)) == [lists(getattr(whole, name))[k] for k in (1, 2, 3, 4, 5)], name
    for name in ("pool_start", "group", "family"):
        assert getattr(rest, name).tolist() == getattr(whole, name)[[1, 3]].tolist(), name
    assert len(whole.without(["sgd", "été"])) == 0
    with pytest.raises(ValueError, match="no source snips in the shards, only sgd, été"):
        whole.without(["sgd", "snips"])


def test_the_names_of_sources_alone(tmp_path: Path) -> None:
    save_examples(tmp_path, "train", table([[1]]))
    assert load_sources(tmp_path, "train") == ("sgd", "été")


def test_tools(tmp_path: Path) -> None:
    written = ToolTable(
        Ragged.pack([[4, 9], [4, 13_999, 7]], np.uint16),
        Ragged.pack([[], [(1, 2), (2, 3)]], np.uint16),
        np.array([2, 1]),
        np.array([0, 70_000]),
    )
    save_tools(tmp_path, written)
    read = load_tools(tmp_path)
    assert lists(read.ids) == lists(written.ids)
    assert lists(read.parameters) == [[], [1, 2, 2, 3]]
    assert (read.head.tolist(), read.group.tolist()) == ([2, 1], [0, 70_000])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("tools.npz", "train.npz", "heldout.npz"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def test_description(folder: Path) -> None:
    save_description(folder, '{"tökenizer": 1}', {"counts": {"train/sgd": 3}})
    description = load_description(folder)
    assert description["prompt_format"] == FORMAT_VERSION
    assert description["counts"] == {"train/sgd": 3}
    assert (folder / "tokenizer.json").read_text(encoding="utf-8") == '{"tökenizer": 1}'


@pytest.mark.parametrize("name", ["tools.npz", "train.npz", "heldout.npz"])
def test_the_digest_covers_every_shard(name: str, folder: Path) -> None:
    save_description(folder, "{}", {})
    before = load_description(folder)["sha256"]
    (folder / name).write_bytes(b"other")
    save_description(folder, "{}", {})
    assert load_description(folder)["sha256"] != before


def test_another_prompt_format_is_refused(folder: Path) -> None:
    save_description(folder, "{}", {})
    description = json.loads((folder / "shards.json").read_text())
    (folder / "shards.json").write_text(json.dumps({**description, "prompt_format": 99}))
    with pytest.raises(ValueError, match="prompt format 99.* prepare it again"):
        load_description(folder)


def test_weights_and_closed_rows_are_kept(tmp_path: Path) -> None:
    written = table([[1], [2], [], [3]])
    save_examples(tmp_path, "train", written)
    read = load_examples(tmp_path, "train")
    assert read.weight.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert read.weight.dtype == np.float32
    assert read.closed.tolist() == [True, False, False, True]
    some = read.where(np.array([False, True, False, True]))
    assert (some.weight.tolist(), some.closed.tolist()) == ([0.5, 1.0], [False, True])


def test_shards_from_before_there_were_weights(tmp_path: Path) -> None:
    save_examples(tmp_path, "train", table([[1], [2]]))
    with np.load(tmp_path / "train.npz") as z:
        old = {name: z[name] for name in z.files if name not in ("weight", "closed")}
    np.savez_compressed(tmp_path / "train.npz", **old)
    read = load_examples(tmp_path, "train")
    assert read.weight.tolist() == [1.0, 1.0]
    assert read.weight.dtype == np.float32
    assert read.closed.tolist() == [False, False]


def test_two_folders_in_one(tmp_path: Path) -> None:
    """What pointed at a tool, a group or a source points at the same one."""
    ranges = Ragged.pack([[], [(1, 3)]], np.int64)
    tools = ToolTable(Ragged.pack([[4, 9], [4, 8, 7]], np.uint16), ranges, np.array([2, 1]), np.array([0, 3]))
    more = ToolTable(Ragged.pack([[5], [6, 6]], np.uint16), ranges, np.array([1, 2]), np.array([1, 0]))
    first, second = table([[1], [], [0, 1]]), replace(table([[1, 0], [0]]), sources=("third", "fourth"))
    examples, both = joined((first, tools), (second, more))
    assert lists(both.ids) == [[4, 9], [4, 8, 7], [5], [6, 6]]
    assert lists(both.parameters) == [[], [1, 3], [], [1, 3]]
    assert both.head.tolist() == [2, 1, 1, 2]
    assert both.group.tolist() == [0, 3, 5, 4]  # 3 is the largest of the first folder's groups
    assert lists(examples.call_tools) == [[1], [], [0, 1], [3, 2], [2]]
    assert lists(examples.others)[:3] == lists(first.others)
    assert lists(examples.others)[3:] == [[40_002, 2], [40_002, 3]]
    assert lists(examples.arguments) == [*lists(first.arguments), *lists(second.arguments)]
    assert lists(examples.query) == [*lists(first.query), *lists(second.query)]
    names = [examples.sources[s] for s in examples.source]
    assert names == ["sgd", "été", "sgd", "third", "fourth"]
    assert examples.group.tolist() == [0, 0, 1, 4, 4]
    assert len(set(examples.family.tolist())) == 5
    save_examples(tmp_path, "train", examples)  # and it can be stored
    assert lists(load_examples(tmp_path, "train").call_tools) == lists(examples.call_tools)
