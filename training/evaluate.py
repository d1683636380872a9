"""`bodkin eval`: every set through the engine that serves, retrieval, and the tables and files made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from model import load_engine
from model.manifest import add_info
from training.data.example import Example
from training.data.requests import read_requests
from training.evaluation.failures import write_failures
from training.evaluation.outcome import Outcome, Task, answer
from training.evaluation.retrieval import Recall, load_encoder, recall
from training.evaluation.scores import compare, score, write_report
from training.evaluation.sets import bfcl_tasks, held_out_tasks
from training.evaluation.tables import (
    as_markdown,
    as_text,
    comparison_table,
    error_table,
    retrieval_table,
    score_table,
)


def evaluate(
    artifact: Path,
    *,
    requests: Sequence[Path],
    bfcl: Path | None,
    categories: Sequence[str],
    other: Path | None,
    threads: int,
    markdown: Path | None,
    failures: Path | None,
    report: Path | None,
    record: bool,
) -> None:
    """Score and print.

    Args:
        artifact: the folder to score.
        requests: files of held-out requests; a set is named by its file.
        bfcl: the leaderboard's data, of which `categories` are scored.
        other: a second artifact to answer the same requests, for comparison; nothing else is written of it.
        threads: of ONNX Runtime.
        markdown, failures, report: files to write.
        record: put the scores into the artifact's manifest.
    """
    sets = {path.name.split(".")[0]: read_requests(path) for path in requests}
    if len(sets) < len(requests):
        raise ValueError("two files of requests have the same name, and their scores would be mixed up: rename one")
    tasks = [task for name, examples in sets.items() for task in held_out_tasks(name, examples)]
    if bfcl:
        tasks += bfcl_tasks(bfcl, categories)
    outcomes = _answer(artifact, tasks, threads)
    scores = score(outcomes)
    tables = [score_table(scores), error_table(scores)]
    more: dict[str, Any] = {}
    if sets:
        found = _retrieve(artifact, sets, threads)
        more["retrieval"] = {
            name: {
                str(n): {f"@{k}": round(r.share(k), 4) for k in sorted(r.found)} for n, r in sizes.items() if r.total
            }
            for name, sizes in found.items()
        }
        tables.append(retrieval_table(found))
    compared = compare(outcomes, _answer(other, tasks, threads)) if other else {}
    if other:
        tables.append(comparison_table(compared, str(artifact), str(other)))
    print(as_text(tables))
    if markdown:
        markdown.parent.mkdir(parents=True, exist_ok=True)
        markdown.write_text(as_markdown(tables), encoding="utf-8")
    if failures:
        print(f"\n{failures}: {write_failures(failures, outcomes, str(artifact))} failures to read")
    if report:
        rows = {"comparison": {row: {**asdict(c), "p": c.p} for row, c in compared.items()}} if compared else {}
        write_report(report, outcomes, more | rows)
    if record:
        add_info(artifact, {"scores": {name: s.summary() for name, s in scores.items()}, **more})


def _answer(artifact: Path, tasks: Sequence[Task], threads: int) -> list[Outcome]:
    """Outcomes of all tasks, a progress bar for each set."""
    engine = load_engine(artifact, threads)
    by_set: dict[str, list[Task]] = {}
    for task in tasks:
        by_set.setdefault(task.rows[0].removesuffix("/all"), []).append(task)
    return [answer(engine, t) for name, found in by_set.items() for t in tqdm(found, desc=name, unit="request")]


def _retrieve(artifact: Path, sets: dict[str, list[Example]], threads: int) -> dict[str, dict[int, Recall]]:
    tokenizer, encode, max_tokens = load_encoder(artifact, threads)
    return recall(sets, tokenizer, encode, max_tokens)
