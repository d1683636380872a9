"""Scores an artifact through the engine that serves it: held-out requests and the Berkeley leaderboard's categories."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from model.errors import RequestError
from model.types import Engine, GenerationRequest, GenerationResult, Message, Tool
from training.bfcl import load_category
from training.data.example import Example
from training.scoring import accepted, matched, same_value

MAX_FAILURES = 200  # kept per set, for reading


@dataclass
class Score:
    """Counts of one set. `tool` right: the same names, in any order (none when none is due). `exact`: arguments too."""

    total: int = 0
    tool: int = 0
    exact: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)

    def add(self, tool: bool, exact: bool, error: str, failure: dict[str, Any]) -> None:
        self.total += 1
        self.tool += tool
        self.exact += exact
        if not exact:
            self.errors[error] += 1
            if len(self.failures) < MAX_FAILURES:
                self.failures.append({"error": error, **failure})

    def summary(self) -> dict[str, Any]:
        share = {"tool": self.tool / self.total, "exact": self.exact / self.total} if self.total else {}
        return {
            "total": self.total,
            **{k: round(v, 4) for k, v in share.items()},
            "errors": dict(self.errors.most_common()),
        }


def evaluate_requests(engine: Engine, examples: Sequence[Example]) -> dict[str, Score]:
    """Scores per source, of the irrelevant ones apart, and of "all"."""
    scores: dict[str, Score] = defaultdict(Score)
    for e in tqdm(examples, desc="held-out requests", unit="request"):
        gold = [(c.name, c.arguments) for c in e.calls]
        calls, refused = _answer(engine, e.messages, e.tools)
        tool = not refused and Counter(n for n, _ in gold) == Counter(n for n, _ in calls)
        exact = not refused and matched(gold, calls, lambda g, c: g[0] == c[0] and same_value(g[1], c[1]))
        error = refused or _error(len(gold), calls, tool)
        failure = {"request": [m.text for m in e.messages], "gold": gold, "calls": calls}
        for name in ("all", e.source if gold else "irrelevant"):
            scores[name].add(tool, exact, error, failure)
    return dict(scores)


def evaluate_bfcl(engine: Engine, folder: Path, categories: Iterable[str]) -> dict[str, Score]:
    """Scores per category, by the rules of the leaderboard's AST checker."""
    scores = {}
    for category in categories:
        score = Score()
        for q in tqdm(list(load_category(folder, category)), desc=category, unit="request"):
            gold = q.answers or ()
            calls, refused = _answer(engine, q.messages, q.tools)
            tool = not refused and Counter(n for n, _ in gold) == Counter(n for n, _ in calls)
            exact = not refused and matched(gold, calls, lambda g, c: g[0] == c[0] and accepted(c[1], g[1]))
            failure = {"id": q.id, "request": [m.text for m in q.messages], "gold": gold, "calls": calls}
            score.add(tool, exact, refused or _error(len(gold), calls, tool), failure)
        scores[category] = score
    return scores


def write_report(path: Path, scores: dict[str, Score]) -> None:
    """Everything, failures included, as JSON."""
    report = {name: {**s.summary(), "failures": s.failures} for name, s in scores.items()}
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def table(scores: dict[str, Score]) -> str:
    """The scores as aligned text."""
    lines = [f"{'set':24}{'n':>6}{'tool %':>9}{'exact %':>9}  errors"]
    for name, s in scores.items():
        errors = ", ".join(f"{k} {v}" for k, v in s.errors.most_common(4))
        lines.append(f"{name:24}{s.total:6}{100 * s.tool / s.total:9.1f}{100 * s.exact / s.total:9.1f}  {errors}")
    return "\n".join(lines)


def _answer(
    engine: Engine, messages: tuple[Message, ...], tools: tuple[Tool, ...]
) -> tuple[list[tuple[str, dict[str, Any]]], str]:
    """(calls, "refused" or ""): a request that the engine refuses counts as wrong, not as an accident."""
    try:
        result: GenerationResult = engine.generate(GenerationRequest(messages, tools))
    except RequestError:
        return [], "refused"
    return [(c.name, json.loads(c.arguments)) for c in result.calls], ""


def _error(gold: int, calls: list[Any], tool: bool) -> str:
    if tool:
        return "wrong arguments"
    if not calls:
        return "missed call"
    if not gold:
        return "spurious call"
    return "wrong tool" if len(calls) == gold else "too many calls" if len(calls) > gold else "too few calls"
