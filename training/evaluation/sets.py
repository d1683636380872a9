"""The sets that are scored: held-out requests and the leaderboard's categories, as tasks.

Held-out requests count as right with the annotated arguments, the leaderboard's by the rules of its AST checker.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from training.bfcl import load_category
from training.data.example import Example
from training.evaluation.outcome import Task
from training.scoring import Annotated


def held_out_tasks(name: str, examples: Sequence[Example]) -> list[Task]:
    """One task an example. Rows: the whole set, then the source, and for Schema-Guided Dialogue the service.

    Conversations of the scenario library are divided by how many calls are due, those without any stand apart in every
    set.
    """
    tasks = []
    for number, e in enumerate(examples):
        rows = [f"{name}/all"]
        if not e.calls:
            rows.append(f"{name}/no call is right")
        elif e.source == "scenarios":
            rows.append(f"{name}/one call" if len(e.calls) == 1 else f"{name}/several calls")
        else:
            rows.append(f"{name}/{e.source}")
            if e.source == "sgd":
                rows.append(f"{name}/{e.family}")
        gold = tuple(Annotated(c.name, c.arguments) for c in e.calls)
        tasks.append(Task(f"{name}_{number}", tuple(rows), e.messages, e.tools, gold))
    return tasks


def bfcl_tasks(folder: Path, categories: Iterable[str]) -> list[Task]:
    """The questions of the leaderboard's categories, a row each."""
    return [
        Task(q.id, (f"bfcl/{category}",), q.messages, q.tools, q.answers or ())
        for category in categories
        for q in load_category(folder, category)
    ]
