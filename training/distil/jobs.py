"""Answers by batch jobs: cheaper, and hours later. What a crash leaves behind is collected, not submitted again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import islice

from training.distil import forecast
from training.distil.budget import Budget, BudgetReached
from training.distil.forecast import Bounds, Price
from training.distil.ledger import Asked, Batch, Ledger
from training.distil.sampling import Sampling
from training.teacher.base import BatchError, BatchTeacher, Tokens

WAVES = 4  # of jobs: the first samples, those of questions that were not settled, twice more for what failed
POLL = 30.0  # seconds


class Jobs:
    """Asks many questions at once. `wait` sleeps between two looks at the jobs that run."""

    def __init__(
        self,
        teacher: BatchTeacher,
        ledger: Ledger,
        sampling: Sampling,
        budget: Budget,
        price: Price,
        wait: Callable[[float], None],
    ) -> None:
        """`price` is that of batches."""
        self._teacher, self._ledger, self._sampling, self._budget = teacher, ledger, sampling, budget
        self._price, self._wait = price, wait
        self._bounds = Bounds(price)

    def resume(self) -> None:
        """Wait for the jobs that an earlier run left open: they are paid for."""
        self._budget.pay(self._collect())

    def answer(self, questions: Sequence[Asked]) -> None:
        """As many samples of each question as it needs, but for those that fail again and again.

        Raises BudgetReached after the last job that the budget allows.
        """
        for _ in range(WAVES):
            due = self._due(questions)
            if not due:
                return
            affordable, bound = self._affordable(due)
            if not affordable:
                raise BudgetReached
            with self._budget.call(bound) as call:
                for samples, asked in affordable.items():
                    self._submit(asked, samples)
                call.dollars = self._collect()

    def _due(self, questions: Sequence[Asked]) -> dict[int, list[Asked]]:
        """The questions that are not settled, by the number of samples that they need."""
        due: dict[int, list[Asked]] = defaultdict(list)
        for asked in questions:
            if samples := self._sampling.due(asked, self._ledger.answers.get(asked.id)):
                due[samples].append(asked)
        return due

    def _affordable(self, due: dict[int, list[Asked]]) -> tuple[dict[int, list[Asked]], float]:
        """As many of the due questions as the budget bears, and the most that they cost."""
        chosen: dict[int, list[Asked]] = defaultdict(list)
        left, total = self._budget.left, 0.0
        for samples, asked in due.items():
            for each in asked:
                bound = self._bounds(forecast.answer(each.question, samples))
                if total + bound > left:
                    return chosen, total
                chosen[samples].append(each)
                total += bound
        return chosen, total

    def _submit(self, questions: Sequence[Asked], samples: int) -> None:
        ids = iter([asked.id for asked in questions])
        for run in self._teacher.split_batch([asked.question for asked in questions], samples):
            label = f"bodkin-{self._ledger.path.parent.name}-{self._ledger.begun}"
            batch = Batch(label, tuple(islice(ids, len(run))), samples)
            self._ledger.add_batch(batch)
            self._ledger.submitted(batch, self._teacher.submit_batch(run, samples, label))

    def _collect(self) -> float:
        """Wait until no job is open; returns what they cost."""
        before = self._ledger.dollars
        while self._ledger.batches:
            for batch in list(self._ledger.batches.values()):
                self._look(batch)
            if self._ledger.batches:
                self._wait(POLL)
        return self._ledger.dollars - before

    def _look(self, batch: Batch) -> None:
        """Write down what a job has answered, if it has ended."""
        questions = [self._ledger.questions[q].question for q in batch.questions]
        try:
            # A job without a name may or may not have been submitted before a crash; the teacher knows its label.
            name = batch.name or self._teacher.submit_batch(questions, batch.samples, batch.label)
            found = self._teacher.collect_batch(name, questions)
        except BatchError:
            found = [[] for _ in questions]
        if found is None:
            return
        paid = {}
        for asked, question, replies in zip(batch.questions, questions, found, strict=True):
            if replies:
                used = sum((r.tokens for r in replies), Tokens())
                paid[asked] = (replies, self._price(used))
                self._bounds.learn(forecast.answer(question, len(replies)), paid[asked][1])
        self._ledger.collect(batch, paid)
