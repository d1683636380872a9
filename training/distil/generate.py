"""The step that costs money: requests invented by a teacher, then answered by it, everything through the ledger.

What the ledger holds is not asked again, so a run that was stopped, by whatever, goes on with the same command. The
order of the questions is that of the briefs, not that in which answers arrive: an interrupted run ends with the same
questions as one that was not.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from tqdm import tqdm

from model.types import Tool
from training.distil import forecast
from training.distil.briefs import COUNT, Aim, briefs
from training.distil.budget import Budget, BudgetReached
from training.distil.forecast import Bounds, Price
from training.distil.jobs import Jobs
from training.distil.ledger import Asked, Ledger
from training.distil.questions import Questions
from training.distil.sampling import Sampling
from training.teacher.base import BatchTeacher, QuotaError, Teacher, Tokens

ROUND = 25  # briefs that are invented before their questions are answered
BARREN = 20  # briefs in a row without a usable request: the teacher has no new ideas
T = TypeVar("T")


@dataclass(frozen=True)
class GenerateConfig:
    """`examples` is the number of questions; `budget` is in dollars, for the ledger's whole life; None is no bound.

    With `batch` the answers come from batch jobs, if the teacher has them.
    """

    examples: int = 5_000
    budget: float | None = None
    sampling: Sampling = Sampling()
    concurrency: int = 8
    batch: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Generated:
    """What the ledger has now: questions, and how many of them have all the samples that they need.

    `saved` are the samples that the agreement of the first ones made unnecessary. `dropped` counts, by reason, the
    inventions that could not be used. `stopped` says in a sentence or two why a run ended early and how to go on; None
    when it is complete.
    """

    questions: int
    answered: int
    saved: int
    dropped: Mapping[str, int]
    stopped: str | None


def generate(
    teacher: Teacher,
    tools: Sequence[Tool],
    ledger: Ledger,
    config: GenerateConfig,
    price: Price,
    batch_price: Price | None = None,
    questions: Sequence[Asked] | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> Generated:
    """Fill the ledger until it has `config.examples` questions and their answers, or the budget is reached.

    Args:
        tools: the user's, as `training.distil.tools.read_tools` checked them.
        price: dollars of a call that used so many tokens; `batch_price` of one in a batch job, by default the same.
        questions: asked instead of inventing any, such as those of recorded traffic.
        wait: sleeps between two looks at batch jobs.

    Ctrl-C, the budget and a quota that is used up end it in order: nothing new is begun, and what is under way is
    waited for and kept, because it is paid for. So does any other `TeacherError`, which is then raised.
    """
    return _Run(teacher, tools, ledger, config, price, batch_price or price, wait).run(questions)


class _Run:
    def __init__(
        self,
        teacher: Teacher,
        tools: Sequence[Tool],
        ledger: Ledger,
        config: GenerateConfig,
        price: Price,
        batch_price: Price,
        wait: Callable[[float], None],
    ) -> None:
        self.teacher, self.tools, self.ledger, self.config, self.price = teacher, tuple(tools), ledger, config, price
        self.wait = wait
        self.make_questions = Questions(tools, config.seed)
        self.budget = Budget(config.budget, ledger.dollars)
        self.invention_bounds, self.answer_bounds = Bounds(price), Bounds(price)
        self.jobs = (
            Jobs(teacher, ledger, config.sampling, self.budget, batch_price, self._wait)
            if isinstance(teacher, BatchTeacher)
            else None
        )

    def run(self, questions: Sequence[Asked] | None) -> Generated:
        rounds = self._invented() if questions is None else self._given(questions)
        total = self.config.examples if questions is None else len(questions)
        stopped = None
        with (
            tqdm(total=total, desc="generate", unit="request") as self.bar,
            ThreadPoolExecutor(self.config.concurrency) as self.pool,
        ):
            if self.ledger.repaired:
                self._say(f"{self.ledger.path}: cut off a half-written last line of {self.ledger.repaired} bytes")
            try:
                if self.jobs:
                    self.jobs.resume()
                for asked in rounds:
                    self._answer_all(asked)
            except (BudgetReached, QuotaError, _NothingNew, KeyboardInterrupt) as reason:
                stopped = self._explain(reason)
        return self._result(stopped)

    def _invented(self) -> Iterator[list[Asked]]:
        """Rounds of new questions; how many briefs a round has follows from what the earlier ones gave alone."""
        stream = briefs(self.tools, self.config.seed)
        missing, barren = self.config.examples, 0
        while missing > 0:
            needed = math.ceil(missing / COUNT)
            aims = list(islice(stream, needed if self.config.batch else min(needed, ROUND)))
            new = [aim for aim in aims if aim.brief.id not in self.ledger.inventions]
            self._each(self._invent, new, self.invention_bounds)
            fresh: list[Asked] = []
            for aim in aims:
                made = self.make_questions(aim, self.ledger.inventions[aim.brief.id])
                barren = 0 if made else barren + 1
                fresh += made
            fresh = fresh[:missing]
            missing -= len(fresh)
            self.ledger.add_questions(fresh)
            yield fresh
            if barren >= BARREN:
                raise _NothingNew

    def _given(self, questions: Sequence[Asked]) -> Iterator[list[Asked]]:
        size = len(questions) if self.config.batch else ROUND * COUNT
        for start in range(0, len(questions), max(1, size)):
            self.ledger.add_questions(questions[start : start + size])
            yield list(questions[start : start + size])

    def _answer_all(self, questions: Sequence[Asked]) -> None:
        unsettled = self._settled(questions)
        if self.jobs and self.config.batch:
            self.jobs.answer(unsettled)
            unsettled = self._settled(unsettled)
        self._each(self._answer, unsettled, self.answer_bounds, done=1)  # after jobs, what failed in them

    def _settled(self, questions: Sequence[Asked]) -> list[Asked]:
        """Show the progress that settled questions are, and return the others."""
        unsettled = [q for q in questions if self._due(q)]
        self.bar.update(len(questions) - len(unsettled))
        return unsettled

    def _invent(self, aim: Aim) -> None:
        likely = forecast.invention(aim.brief)
        with self.budget.call(self.invention_bounds(likely)) as call:
            invention = self.teacher.invent(aim.brief, self.tools)
            call.dollars = self.price(invention.tokens)
            self.invention_bounds.learn(likely, call.dollars)
            self.ledger.add_invention(aim.brief, invention, call.dollars)

    def _answer(self, asked: Asked) -> None:
        while samples := self._due(asked):
            likely = forecast.answer(asked.question, samples)
            with self.budget.call(self.answer_bounds(likely)) as call:
                replies = self.teacher.answer(asked.question, samples)
                call.dollars = self.price(sum((r.tokens for r in replies), Tokens()))
                self.answer_bounds.learn(likely, call.dollars)
                self.ledger.add_answers(asked.id, samples, replies, call.dollars)

    def _due(self, asked: Asked) -> int:
        return self.config.sampling.due(asked, self.ledger.answers.get(asked.id))

    def _each(self, work: Callable[[T], None], items: Sequence[T], bounds: Bounds, done: int = 0) -> None:
        """`work` on every item, several at once; each is progress by `done`.

        Where nothing is known yet of what such calls cost, the first goes alone and tells.
        """
        for part in (items,) if bounds.learned else (items[:1], items[1:]):
            self._at_once(work, part, done)

    def _at_once(self, work: Callable[[T], None], items: Sequence[T], done: int) -> None:
        """The first error ends it, once all that is under way has ended."""
        futures: list[Future[None]] = []
        try:
            futures += (self.pool.submit(work, item) for item in items)
            for future in as_completed(futures):
                future.result()
                self._show()
                self.bar.update(done)
        except BaseException:
            self.budget.stop()
            if running := sum(future.running() for future in futures):
                self._say(f"stopping: waiting for {running} calls that are under way, and paid for")
            wait_for(futures)
            raise

    def _show(self) -> None:
        ledger = self.ledger
        tokens = ledger.tokens.input + ledger.tokens.output
        self.bar.set_postfix_str(f"{ledger.samples:,} answers, {tokens:,} tokens, ${ledger.dollars:.2f}", refresh=False)

    def _say(self, line: str) -> None:
        self.bar.write(line, file=sys.stderr)

    def _wait(self, seconds: float) -> None:
        self.bar.set_postfix_str(f"{len(self.ledger.batches)} batch jobs run")
        self.wait(seconds)

    def _explain(self, reason: BaseException) -> str:
        kept = f"What was paid for is in {self.ledger.path}"
        match reason:
            case BudgetReached():
                return (
                    f"Stopped at ${self.budget.spent:.2f}: the next call could pass the budget of "
                    f"${self.budget.limit:.2f}. {kept}; the same command with a higher budget goes on."
                )
            case _NothingNew():
                return (
                    f"The teacher's last {BARREN * COUNT} inventions were all unusable or known: it has no more to say "
                    f"about these tools. {kept}."
                )
            case QuotaError():
                return f"{reason} {kept}; the same command goes on."
            case _:
                jobs = f", and {len(self.ledger.batches)} batch jobs go on by themselves" if self.ledger.batches else ""
                return f"Stopped. {kept}{jobs}; the same command goes on."

    def _result(self, stopped: str | None) -> Generated:
        answers, sampling = self.ledger.answers, self.config.sampling
        answered = [q for q in self.ledger.questions.values() if q.id in answers and not self._due(q)]
        asked = sum(answers[q.id].asked for q in answered)
        return Generated(
            questions=len(self.ledger.questions),
            answered=len(answered),
            saved=max(0, sampling.most * len(answered) - asked),
            dropped=dict(self.make_questions.dropped),
            stopped=stopped,
        )


class _NothingNew(Exception):
    """The teacher invents what it invented before."""
