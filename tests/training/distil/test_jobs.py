"""Batch jobs: collected once, found again after a crash, within the budget, and replaced where they fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.training.distil.toys import CITIES, TOOLS, BatchToy, asked, price
from training.distil.generate import GenerateConfig, Generated, generate
from training.distil.ledger import Ledger, read_ledger
from training.teacher.base import Question, QuotaError, Tokens

CONFIG = GenerateConfig(concurrency=2, batch=True)
QUESTIONS = [asked(f"weather in {city} for {n} days", "recorded") for n in (3, 4, 5) for city in CITIES]


class Killed(BaseException):
    """The process is gone."""


def run(path: Path, teacher: BatchToy, config: GenerateConfig = CONFIG, wait: Any = lambda _: None) -> Generated:
    with Ledger(path, {"teacher": "toy"}) as ledger:
        return generate(teacher, TOOLS, ledger, config, price, questions=QUESTIONS, wait=wait)


def killed(*_: Any) -> None:
    raise Killed


def submissions(teacher: BatchToy) -> int:
    return sum(count for what, count in teacher.seen.items() if what.startswith("submit"))


@pytest.fixture
def whole(tmp_path: Path) -> tuple[BatchToy, Path]:
    """What comes of it when nothing happens."""
    teacher = BatchToy()
    assert run(tmp_path / "whole", teacher).answered == len(QUESTIONS)
    return teacher, tmp_path / "whole"


def answers(path: Path) -> Any:
    return dict(sorted(read_ledger(path).answers.items()))


def test_a_job_that_runs_is_collected_after_a_crash_and_not_submitted_again(
    tmp_path: Path, whole: tuple[BatchToy, Path]
) -> None:
    teacher = BatchToy()
    with pytest.raises(Killed):
        run(tmp_path / "l", teacher, wait=killed)
    assert submissions(teacher) == 2 and len(read_ledger(tmp_path / "l").batches) == 2
    assert run(tmp_path / "l", teacher).answered == len(QUESTIONS)
    assert submissions(teacher) == submissions(whole[0]) and teacher.dollars == whole[0].dollars
    assert answers(tmp_path / "l") == answers(whole[1])


@pytest.mark.parametrize("submitted", [False, True])
def test_a_crash_while_a_job_is_submitted_pays_nothing_twice(
    tmp_path: Path, whole: tuple[BatchToy, Path], submitted: bool
) -> None:
    teacher = BatchToy()
    submit = teacher.submit_batch

    def dying(questions: Any, samples: int, label: str) -> str:
        if submitted:
            submit(questions, samples, label)
        raise Killed

    teacher.submit_batch = dying  # type: ignore[method-assign]
    with pytest.raises(Killed):
        run(tmp_path / "l", teacher)
    [batch] = read_ledger(tmp_path / "l").batches.values()
    assert batch.name is None
    teacher.submit_batch = submit  # type: ignore[method-assign]
    assert run(tmp_path / "l", teacher).answered == len(QUESTIONS)
    assert set(teacher.seen.values()) == {1} and teacher.dollars == pytest.approx(whole[0].dollars)
    assert answers(tmp_path / "l") == answers(whole[1])


def test_a_crash_while_answers_are_written_counts_none_twice(tmp_path: Path, whole: tuple[BatchToy, Path]) -> None:
    lines = whole[1].read_bytes().splitlines(keepends=True)
    cut = next(i for i, line in enumerate(lines) if b'"collected"' in line)
    for end in (cut - 29, cut - 10, cut):
        (tmp_path / "l").write_bytes(b"".join(lines[:end]) + lines[end][:9])
        teacher = BatchToy()
        teacher.jobs = dict(whole[0].jobs)  # they are at the teacher's
        teacher.looks.update(whole[0].looks)
        assert run(tmp_path / "l", teacher).answered == len(QUESTIONS)
        assert submissions(teacher) == 0 and answers(tmp_path / "l") == answers(whole[1])


def test_ctrl_c_leaves_the_jobs_to_the_next_run_whatever_it_does(tmp_path: Path, whole: tuple[BatchToy, Path]) -> None:
    teacher = BatchToy()

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    done = run(tmp_path / "l", teacher, wait=interrupt)
    assert done.stopped and "2 batch jobs go on by themselves" in done.stopped and done.answered == 0
    # Also a run that would ask one by one takes what is paid for.
    done = run(tmp_path / "l", teacher, replace(CONFIG, batch=False))
    assert done.answered == len(QUESTIONS) and submissions(teacher) == 2
    assert answers(tmp_path / "l") == answers(whole[1])


def test_what_fails_in_a_job_is_asked_again_and_at_last_one_by_one(tmp_path: Path) -> None:
    teacher = BatchToy(unsure=0.0)

    def fail(question: Question) -> bool:
        return "Oslo" in question.messages[0].text

    teacher.fail = fail
    assert run(tmp_path / "l", teacher).answered == len(QUESTIONS)
    again = {name: len(questions) for name, (questions, _) in list(teacher.jobs.items())[2:]}
    assert set(again.values()) == {3}
    one_by_one = [what for what in teacher.seen if what.startswith("answer")]
    assert len(one_by_one) == 3
    assert all(a.asked == 2 for a in read_ledger(tmp_path / "l").answers.values())


def test_a_job_that_ends_without_answers_is_submitted_anew(tmp_path: Path, whole: tuple[BatchToy, Path]) -> None:
    teacher = BatchToy()
    teacher.broken.add(broken := f"bodkin-{tmp_path.name}-0")
    assert run(tmp_path / "l", teacher).answered == len(QUESTIONS)
    again = [q for name, (questions, _) in teacher.jobs.items() if name != f"jobs/{broken}" for q in questions]
    assert {q.id for q in teacher.jobs[f"jobs/{broken}"][0]} <= {q.id for q in again}
    assert teacher.dollars == pytest.approx(whole[0].dollars)
    assert answers(tmp_path / "l") == answers(whole[1])


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_jobs_stay_within_the_budget(tmp_path: Path, whole: tuple[BatchToy, Path], share: float) -> None:
    budget, teacher = share * whole[0].dollars, BatchToy()
    done = run(tmp_path / "l", teacher, replace(CONFIG, budget=budget))
    assert done.stopped and "could pass the budget" in done.stopped
    assert 0 < teacher.dollars <= budget and 0 < len(read_ledger(tmp_path / "l").answers) < len(QUESTIONS)
    assert run(tmp_path / "l", teacher, replace(CONFIG, budget=1.0)).answered == len(QUESTIONS)
    assert teacher.dollars == pytest.approx(whole[0].dollars)
    assert answers(tmp_path / "l") == answers(whole[1])


def test_a_quota_that_ends_between_jobs_keeps_the_first(tmp_path: Path) -> None:
    teacher = BatchToy()
    submit = teacher.submit_batch

    def second_fails(questions: Any, samples: int, label: str) -> str:
        if teacher.jobs:
            raise QuotaError("No more today.")
        return submit(questions, samples, label)

    teacher.submit_batch = second_fails  # type: ignore[method-assign]
    assert (run(tmp_path / "l", teacher).stopped or "").startswith("No more today.")
    teacher.submit_batch = submit  # type: ignore[method-assign]
    assert run(tmp_path / "l", teacher).answered == len(QUESTIONS)
    assert all(count == 1 for what, count in teacher.seen.items() if what.startswith("submit"))


def test_tokens_of_jobs_are_counted(tmp_path: Path, whole: tuple[BatchToy, Path]) -> None:
    ledger = read_ledger(whole[1])
    assert ledger.tokens.output == 30 * ledger.samples and ledger.tokens != Tokens()
    assert ledger.dollars == pytest.approx(whole[0].dollars)
