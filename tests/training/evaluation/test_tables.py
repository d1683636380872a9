"""The scores in print."""

from __future__ import annotations

from collections import Counter

from tests.training.evaluation.requests import Call, outcome
from training.evaluation.retrieval import SIZES, Recall
from training.evaluation.scores import Comparison, score
from training.evaluation.tables import (
    as_markdown,
    as_text,
    comparison_table,
    error_table,
    retrieval_table,
    score_table,
)

PARIS: Call = ("get_weather", {"city": "Paris"})
ROME: Call = ("get_time", {"city": "Rome"})
SCORES = score(
    [
        outcome([PARIS], PARIS, rows=("set/all", "set/part")),
        outcome([ROME], PARIS, rows=("set/all", "set/part")),
        outcome([("get_weather", {"city": "Oslo", "days": 1})], PARIS, rows=("set/all", "set/rest")),
        outcome([ROME], rows=("bfcl/irrelevance",)),
    ]
)


def test_scores_with_intervals() -> None:
    table = score_table(SCORES)
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["set/all"] == ("3", "66.7", "20.8–93.9", "33.3", "6.1–79.2")
    assert rows["bfcl/irrelevance"][:4] == ("1", "0.0", "0.0–79.3", "0.0")
    assert list(rows) == list(SCORES)


def test_errors_by_set() -> None:
    table = error_table(SCORES)
    assert table.head == ("", "set", "irrelevance")
    assert dict((row[0], row[1:]) for row in table.rows) == {
        "failed requests": ("2", "1"),
        "spurious call": ("·", "1"),
        "wrong tool": ("1", "·"),
        "extra argument": ("1", "·"),
        "wrong string": ("1", "·"),
    }


def test_retrieval_leaves_out_sizes_that_no_request_reached() -> None:
    found = {"set": {size: Recall() for size in SIZES}}
    found["set"][50] = Recall(4, Counter({1: 2, 4: 3, 8: 4}))
    assert retrieval_table(found).rows == (("set", "50", "4", "50.0", "75.0", "100.0"),)


def test_comparison() -> None:
    table = comparison_table({"set/all": Comparison(8, 4, 3, 2, 1)}, "A/", "B/")
    assert table.rows == (("set/all", "8", "50.0", "37.5", "-12.5", "2", "1", "1.000"),)
    assert "A/" in table.title and "B/" in table.title


def test_text_is_aligned() -> None:
    text = as_text([score_table(SCORES), error_table(SCORES)])
    first, second = text.split("\n\n")
    title, *lines = first.splitlines()
    assert title.startswith("Scores (")
    assert len(lines) == 1 + len(SCORES) and len({len(line) for line in lines}) == 1
    assert second.startswith("Errors (")
    assert max(len(line) for line in text.splitlines()) <= 110


def test_markdown_has_the_same_cells() -> None:
    text = as_markdown([score_table(SCORES)])
    assert text.startswith("**Scores.** ") and text.endswith(" |\n")
    assert "| set/all | 3 | 66.7 | 20.8–93.9 | 33.3 | 6.1–79.2 |" in text.splitlines()
