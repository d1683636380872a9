"""How many times a question is asked: a few times, and more often only where the answers differ."""

from __future__ import annotations

from dataclasses import dataclass

from training.distil.answers import tally
from training.distil.gates import UNANIMOUS, unsaid
from training.distil.ledger import Answers, Asked


@dataclass(frozen=True)
class Sampling:
    """`first` samples of every question, `most` of one whose samples differ.

    Where p is the chance that a sample is the teacher's usual answer, the first two agree on it with p squared: at 0.9
    about four questions in five end there, and cost 2 samples instead of 5.
    """

    first: int = 2
    most: int = 5

    def __post_init__(self) -> None:
        if not 1 <= self.first <= self.most:
            raise ValueError(f"of at most {self.most} samples {self.first} cannot be the first")
        if self.first == 1 < self.most:
            raise ValueError("one sample cannot differ from itself: take 2 as the first")

    def due(self, asked: Asked, answers: Answers | None) -> int:
        """How many samples to ask for next; 0 when the question has enough."""
        if answers is None:
            return self.first
        if answers.asked >= self.most or len(answers.replies) < answers.asked:
            return 0  # a teacher that gives fewer than it is asked for has no more
        finishes = {r.finish for r in answers.replies}
        if finishes == {"blocked"} or finishes == {"length"}:
            return 0  # it would be so again
        found = tally(answers.replies, asked.question.tools)
        if len(found) == 1 and found[0].count == answers.asked:
            if unsaid(asked.question, found[0].calls) is None:
                return 0
            # A value that was not said is believed when more samples give it.
            return max(0, min(UNANIMOUS, self.most) - answers.asked)
        return self.most - answers.asked
