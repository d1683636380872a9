"""What a teacher taught: one label per request, as JSON Lines. Written by filtering, read by training."""

from __future__ import annotations

from dataclasses import dataclass

from training.data.example import Call, Example


@dataclass(frozen=True)
class Answer:
    """One of a request's distinct answers, and the share of the teacher's samples that gave it, in (0, 1]."""

    calls: tuple[Call, ...]
    share: float


@dataclass(frozen=True)
class Label:
    """A request with the answers that its teacher gave, most frequent first; the shares add up to at most 1.

    `example.calls` is the first answer. The distribution over `answers` is the soft target: training on each answer
    with its share as weight minimises the cross-entropy to the teacher's own distribution over whole answers. `kind` is
    that of the `training.teacher.base.Brief` that asked for the request, or "recorded".
    """

    example: Example
    answers: tuple[Answer, ...]
    kind: str

    @property
    def agreement(self) -> float:
        """How sure the teacher is: the share of its first answer."""
        return self.answers[0].share
