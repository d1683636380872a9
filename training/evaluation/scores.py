"""What a table shows: the outcomes of many requests counted by row, of one artifact or of two against each other."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.evaluation.outcome import Outcome
from training.evaluation.statistics import mcnemar, wilson

MAX_FAILURES = 200  # of a row, in the JSON report
RECORDED_ERRORS = 4  # of a row, in the manifest: the most frequent


@dataclass
class Score:
    """Counts of one row. `tool` right: the same names, in any order (none when none is due). `exact`: arguments too.

    `errors` has how many requests show each kind of error; a request with several wrong arguments may show several.
    """

    total: int = 0
    tool: int = 0
    exact: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        self.total += 1
        self.tool += outcome.tool
        self.exact += outcome.exact
        self.errors.update(outcome.errors)

    def summary(self) -> dict[str, Any]:
        """The figures in a form that is small enough for a manifest."""
        return {
            "total": self.total,
            "tool": round(self.tool / self.total, 4),
            "exact": round(self.exact / self.total, 4),
            "errors": dict(self.errors.most_common(RECORDED_ERRORS)),
        }


@dataclass(frozen=True)
class Comparison:
    """Two artifacts on the requests of one row: how many each gets exactly right, how many only one of them does."""

    total: int
    first: int
    second: int
    only_first: int
    only_second: int

    @property
    def p(self) -> float:
        """The probability of a difference at least as large if the two were equally good."""
        return mcnemar(self.only_first, self.only_second)


def score(outcomes: Iterable[Outcome]) -> dict[str, Score]:
    """The score of each row: sets in the order in which they come, each row behind the one that it is part of."""
    scores: dict[str, Score] = {}
    places: dict[str, tuple[int, ...]] = {}
    for outcome in outcomes:
        place: tuple[int, ...] = ()
        for row in outcome.task.rows:
            place = places.setdefault(row, (*place, len(places)))
            scores.setdefault(row, Score()).add(outcome)
    return {row: scores[row] for row in sorted(scores, key=places.__getitem__)}


def compare(first: Sequence[Outcome], second: Sequence[Outcome]) -> dict[str, Comparison]:
    """Row by row, of two artifacts' outcomes on the same tasks in the same order."""
    pairs: dict[str, list[tuple[bool, bool]]] = {row: [] for row in score(first)}
    for a, b in zip(first, second, strict=True):
        for row in a.task.rows:
            pairs[row].append((a.exact, b.exact))
    return {
        row: Comparison(
            len(found),
            sum(a for a, _ in found),
            sum(b for _, b in found),
            found.count((True, False)),
            found.count((False, True)),
        )
        for row, found in pairs.items()
    }


def write_report(path: Path, outcomes: Sequence[Outcome], extra: Mapping[str, Any]) -> None:
    """Scores with their intervals and failures, row by row, and what `extra` has, as JSON."""
    report: dict[str, Any] = {}
    for row, s in score(outcomes).items():
        failed = [o for o in outcomes if row in o.task.rows and not o.exact]
        report[row] = {
            **s.summary(),
            "tool_95": [round(x, 4) for x in wilson(s.tool, s.total)],
            "exact_95": [round(x, 4) for x in wilson(s.exact, s.total)],
            "errors": dict(s.errors.most_common()),
            "failures": [_failure(o) for o in failed[:MAX_FAILURES]],
        }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**report, **extra}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _failure(outcome: Outcome) -> dict[str, Any]:
    return {
        "id": outcome.task.id,
        "errors": outcome.errors,
        "request": [m.text for m in outcome.task.messages],
        "gold": [(g.name, g.arguments) for g in outcome.task.gold],
        "calls": outcome.calls,
        "confidence": None if outcome.confidence is None else round(outcome.confidence, 4),
    }
