"""Counts of the corpus, and its random sample."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from model.types import Message, Tool
from training.data.example import Call, Example
from training.data.statistics import TABLES, Statistics

SCHEMA = {
    "type": "object",
    "properties": {
        "mode": {"type": "string", "enum": ["a", "b"]},
        "modes": {"type": "array", "items": {"enum": ["a", "b"]}},
        "names": {"type": "array", "items": {"type": "string"}},
    },
}
TOOL = Tool("f", "", SCHEMA)


def example(
    text: str = "do it", source: str = "scenarios", group: str = "scenario:lamps#3", **arguments: Any
) -> Example:
    calls = (Call("f", arguments),) if arguments else ()
    return Example(source, group, (Message("user", text),), (TOOL,), calls)


def counted(*examples: Example) -> Statistics:
    statistics = Statistics()
    for each in examples:
        statistics.add(each)
    return statistics


def test_every_table_counts_its_facts() -> None:
    two = Example(
        "sgd",
        "sgd:Music",
        (Message("system", "x"), Message("user", "one two three four five")),
        (TOOL, Tool("g")),
        (Call("f", {"mode": "a"}), Call("g", {})),
    )
    statistics = counted(example(mode="a", n=1), example(), two)
    assert statistics.total == 3
    assert {name: dict(statistics.tables[name]) for name in TABLES} == {
        "source": {"scenarios": 2, "sgd": 1},
        "domain": {"lamps": 2},
        "calls": {"1": 1, "0": 1, "2": 1},
        "tools": {"1": 2, "2": 1},
        "turns": {"1": 2, "2": 1},
        "arguments": {"2": 1, "1": 1, "0": 1},
        "type": {"enum": 2, "integer": 1},
        "words": {"0-4": 2, "5-9": 1},
    }
    assert statistics.sources() == {"scenarios": 2, "sgd": 1}


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("mode", "a", "enum"),
        ("modes", ["a"], "list of enum"),
        ("names", ["x"], "list of string"),
        ("names", [], "empty list"),
        ("x", [[1]], "list of list of integer"),
        ("x", "text", "string"),
        ("x", 1, "integer"),
        ("x", 1.5, "number"),
        ("x", True, "boolean"),
        ("x", {"a": 1}, "object"),
        ("x", None, "null"),
    ],
)
def test_arguments_are_counted_by_type(name: str, value: Any, kind: str) -> None:
    assert counted(example(**{name: value})).tables["type"] == {kind: 1}


@pytest.mark.parametrize(
    ("words", "key"), [(0, "0-4"), (4, "0-4"), (5, "5-9"), (59, "55-59"), (60, "60+"), (400, "60+")]
)
def test_lengths_are_counted_in_fives(words: int, key: str) -> None:
    assert counted(example(" ".join(["word"] * words))).tables["words"] == {key: 1}


def test_the_sample_gives_each_example_the_same_chance() -> None:
    taken: Counter[str] = Counter()
    for seed in range(2_000):
        statistics = Statistics(3, random.Random(seed))
        for number in range(12):
            statistics.add(example(str(number)))
        texts = [e.messages[0].text for e in statistics.sample]
        assert len(set(texts)) == 3
        taken.update(texts)
    assert len(taken) == 12
    assert all(400 < count < 600 for count in taken.values()), taken


def test_a_seed_repeats_the_sample() -> None:
    def sample(seed: int) -> list[Example]:
        statistics = Statistics(4, random.Random(seed))
        for number in range(50):
            statistics.add(example(str(number)))
        return statistics.sample

    assert sample(1) == sample(1) != sample(2)


def test_a_short_corpus_is_sampled_whole() -> None:
    statistics = Statistics(10, random.Random(0))
    examples = [example(str(n)) for n in range(4)]
    for each in examples:
        statistics.add(each)
    assert statistics.sample == examples
    assert counted(*examples).sample == []


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    statistics = counted(*(example("é " * n, mode="a") for n in range(9)), example(source="sgd", group="sgd:x"))
    statistics.dropped = {"train/sgd": Counter({"duplicate": 2, "text not said": 5})}
    statistics.decontamination = {"requests checked against": 7, "tool": {"examples": 1, "most": [["area", 1]]}}
    path = tmp_path / "statistics.json"
    statistics.write(path)
    read = Statistics.read(path)
    assert read.total == 10
    assert read.tables == {name: statistics.tables[name] for name in TABLES}
    assert read.dropped == {"train/sgd": {"duplicate": 2, "text not said": 5}}
    assert list(read.dropped["train/sgd"]) == ["text not said", "duplicate"]  # by count
    assert read.decontamination == statistics.decontamination
    assert read.sources() == statistics.sources()
    again = tmp_path / "again.json"
    read.write(again)
    assert again.read_bytes() == path.read_bytes()


def test_an_empty_corpus_has_empty_tables(tmp_path: Path) -> None:
    Statistics().write(tmp_path / "s.json")
    assert json.loads((tmp_path / "s.json").read_text())["tables"] == {name: {} for name in TABLES}
    assert Statistics.read(tmp_path / "s.json").total == 0
