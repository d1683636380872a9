"""Before and after: how well two artifacts answer the teacher's held-out requests, and requests in general."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from model import load_engine
from training.data.example import Example
from training.distil.files import write_whole
from training.distil.labels import Label
from training.evaluation.outcome import Outcome, Task, answer
from training.evaluation.scores import Comparison, Score, compare, score
from training.evaluation.sets import held_out_tasks
from training.evaluation.statistics import wilson
from training.evaluation.tables import Table
from training.reliability import threshold_for
from training.scoring import Annotated

RISK = 0.05  # the share of wrong answers among those given
OWN = "own tools"


@dataclass(frozen=True)
class Row:
    """Both artifacts on the same requests. `answered`: the share that each could answer with at most `RISK` of them
    wrong, by its own confidence; None where it has none."""

    before: Score
    after: Score
    compared: Comparison
    answered: tuple[float | None, float | None]


def compare_artifacts(
    before: Path, after: Path, heldout: Sequence[Label], general: Mapping[str, Sequence[Example]], threads: int = 2
) -> dict[str, Row]:
    """Rows by name: the user's own tools and of them each kind of request, then every general set in the same way.

    Args:
        before, after: artifact folders.
        heldout: labels not learnt from; right is what their teacher answered most.
        general: requests by the name of their set.
        threads: of ONNX Runtime.
    """
    tasks = own_tasks(heldout) + [task for name, examples in general.items() for task in held_out_tasks(name, examples)]
    first, second = (_answers(folder, tasks, threads) for folder in (before, after))
    scores, compared = (score(first), score(second)), compare(first, second)
    return {
        name: Row(scores[0][name], scores[1][name], compared[name], (_answered(name, first), _answered(name, second)))
        for name in compared
    }


def own_tasks(heldout: Sequence[Label]) -> list[Task]:
    """A task a label. Rows: all of them, and its kind of request."""
    return [
        Task(
            f"{OWN}_{number}",
            (f"{OWN}/all", f"{OWN}/{label.kind}"),
            label.example.messages,
            label.example.tools,
            tuple(Annotated(c.name, c.arguments) for c in label.answers[0].calls),
        )
        for number, label in enumerate(heldout)
    ]


def table(rows: Mapping[str, Row]) -> Table:
    """What is printed, and written as Markdown."""
    return Table(
        "Before and after",
        "%, exact with 95 % confidence intervals: every call and argument right; p: exact McNemar test; answered: the "
        f"share that can be answered with at most {100 * RISK:.0f} % wrong, by the model's own confidence",
        (
            *("requests", "n", "right tool", "after", "exact", "95 %", "after", "95 %", "change", "p"),
            *("answered", "after"),
        ),
        tuple(
            (
                name,
                str(row.compared.total),
                _percent(row.before.tool / row.before.total),
                _percent(row.after.tool / row.after.total),
                *_exact(row.before),
                *_exact(row.after),
                f"{100 * (row.after.exact - row.before.exact) / row.compared.total:+.1f}",
                f"{row.compared.p:.3f}",
                *map(_percent, row.answered),
            )
            for name, row in rows.items()
        ),
    )


def write_comparison(folder: Path, rows: Mapping[str, Row]) -> None:
    """`comparison.json` and `comparison.md` in `folder`."""
    content = {name: _summary(row) for name, row in rows.items()}
    write_whole(folder / "comparison.json", [json.dumps(content, indent=1, ensure_ascii=False)])
    write_whole(folder / "comparison.md", [table(rows).markdown()])


@dataclass(frozen=True)
class Exact:
    """Shares of exact answers among `total` requests."""

    before: float
    after: float
    total: int


def load_comparison(folder: Path) -> dict[str, Exact]:
    """What `write_comparison` left in `folder`, in short. ValueError where nothing was compared yet."""
    path = folder / "comparison.json"
    if not path.exists():
        raise ValueError(f"{path} is not there yet: the step eval writes it")
    rows = json.loads(path.read_text(encoding="utf-8"))
    return {
        name: Exact(row["before"]["exact"], row["after"]["exact"], row["before"]["total"]) for name, row in rows.items()
    }


def _summary(row: Row) -> dict[str, Any]:
    sides = {
        side: {**s.summary(), "exact_95": [round(x, 4) for x in wilson(s.exact, s.total)], "answered": answered}
        for side, s, answered in zip(("before", "after"), (row.before, row.after), row.answered, strict=True)
    }
    return {
        **sides,
        "only_before": row.compared.only_first,
        "only_after": row.compared.only_second,
        "p": row.compared.p,
    }


def _answers(folder: Path, tasks: Sequence[Task], threads: int) -> list[Outcome]:
    engine = load_engine(folder, threads)
    return [answer(engine, task) for task in tqdm(tasks, desc=f"answers of {folder.name}", unit="request")]


def _answered(row: str, outcomes: Sequence[Outcome]) -> float | None:
    """Answers without a confidence are not given."""
    mine = [o for o in outcomes if row in o.task.rows]
    sure = [(o.confidence, float(o.exact)) for o in mine if o.confidence is not None]
    if not sure:
        return None
    p, right = np.array(sure).T
    found = threshold_for(p, right, RISK)
    return found.coverage * len(sure) / len(mine) if found else 0.0


def _exact(s: Score) -> tuple[str, str]:
    low, high = wilson(s.exact, s.total)
    return _percent(s.exact / s.total), f"{100 * low:.1f}–{100 * high:.1f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"
