"""Outcomes counted by row, and compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.training.evaluation.requests import Call, outcome
from training.evaluation.outcome import Outcome
from training.evaluation.scores import MAX_FAILURES, compare, score, write_report

PARIS: Call = ("get_weather", {"city": "Paris"})
ROME: Call = ("get_time", {"city": "Rome"})


def made() -> list[Outcome]:
    return [
        outcome([ROME], ROME, rows=("bfcl/simple",)),
        outcome([PARIS], PARIS, rows=("set/all", "set/a")),
        outcome([("get_weather", {"city": "Oslo", "days": 1})], PARIS, rows=("set/all", "set/b")),
        outcome([ROME], PARIS, rows=("set/all", "set/a")),
        outcome("refuse", PARIS, rows=("set/all", "set/a")),
    ]


def test_rows_count_what_belongs_to_them() -> None:
    scores = score(made())
    assert {name: (s.total, s.tool, s.exact) for name, s in scores.items()} == {
        "bfcl/simple": (1, 1, 1),
        "set/all": (4, 2, 1),
        "set/a": (3, 1, 1),
        "set/b": (1, 1, 0),
    }
    assert scores["set/all"].errors == {"extra argument": 1, "wrong string": 1, "wrong tool": 1, "refused": 1}


def test_a_row_stands_behind_the_one_it_is_part_of() -> None:
    tasks = [
        ("a/all", "a/sgd", "a/sgd:Buses"),
        ("a/all", "a/snips"),
        ("b/x",),
        ("a/all", "a/sgd", "a/sgd:Movies"),
        ("b/y",),
    ]
    found = list(score([outcome([], rows=rows) for rows in tasks]))
    assert found == ["a/all", "a/sgd", "a/sgd:Buses", "a/sgd:Movies", "a/snips", "b/x", "b/y"]


def test_a_summary_is_small() -> None:
    summary = score(made())["set/all"].summary()
    assert (summary["total"], summary["tool"], summary["exact"]) == (4, 0.5, 0.25)
    many = score(
        [
            outcome([("get_weather", {"days": 1, "rain": True, "height": 1, "box": {}, "hours": []})], gold)
            for gold in (
                ("get_weather", {"days": 2, "rain": False, "height": 2, "box": {"a": 1}, "hours": [1], "city": "x"}),
            )
        ]
    )
    assert len(many["set/all"].errors) == 6 and len(many["set/all"].summary()["errors"]) == 4


def test_comparison_is_paired() -> None:
    right, wrong = outcome([PARIS], PARIS), outcome([ROME], PARIS)
    found = compare([right, right, wrong, wrong, right], [right, wrong, right, wrong, wrong])
    assert list(found) == ["set/all", "set/part"]
    c = found["set/all"]
    assert (c.total, c.first, c.second, c.only_first, c.only_second) == (5, 3, 2, 2, 1)
    assert c.p == 1.0
    better = compare([wrong] * 8, [right] * 8)["set/all"]
    assert (better.only_first, better.only_second) == (0, 8) and better.p == pytest.approx(2 / 256)
    with pytest.raises(ValueError):
        compare([right], [right, wrong])


def test_the_report_has_everything(tmp_path: Path) -> None:
    write_report(
        tmp_path / "deep" / "r.json", made() + [outcome([ROME], PARIS)] * (MAX_FAILURES + 5), {"more": {"x": 1}}
    )
    report = json.loads((tmp_path / "deep" / "r.json").read_text(encoding="utf-8"))
    assert report["more"] == {"x": 1}
    assert report["bfcl/simple"] | {"exact": 1.0, "failures": []} == report["bfcl/simple"]
    low, high = report["set/a"]["exact_95"]
    assert low < report["set/a"]["exact"] < high
    [failure] = report["set/b"]["failures"]
    assert failure["gold"] == [["get_weather", {"city": "Paris"}]]
    assert failure["calls"] == [["get_weather", {"city": "Oslo", "days": 1}]]
    assert (failure["errors"], failure["confidence"]) == (["extra argument", "wrong string"], 0.93)
    assert len(report["set/all"]["failures"]) == MAX_FAILURES
