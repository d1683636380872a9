"""A teacher that replays what was written down, for nothing: a ledger, an OpenAI fine-tuning file, logged traffic."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.types import Message, Tool
from training.distil.ledger import Asked, read_ledger
from training.teacher.base import Brief, Invention, Question, Reply, TeacherError, Tokens
from training.teacher.openai_log import Unusable, recordings

KIND = "recorded"  # of questions whose brief is unknown


@dataclass(frozen=True)
class Skipped:
    """A line that cannot be used."""

    line: int
    reason: str


class Recorded:
    """A `training.teacher.base.Teacher`, thread-safe.

    `questions` are the recorded ones, for `training.distil.generate.generate` to ask; several recordings of a question
    are several samples of it, `most` at most. Ask for all of them at once (`Sampling(most, most)`): a second call would
    get the first ones again.
    """

    name = "recorded"

    def __init__(
        self,
        samples: Sequence[tuple[Asked, Sequence[Reply]]],
        skipped: Sequence[Skipped] = (),
        inventions: dict[str, tuple[tuple[Message, ...], ...]] | None = None,
    ) -> None:
        """`inventions` are the requests of briefs, by the brief's id, where these are known."""
        self.skipped = tuple(skipped)
        self._inventions = inventions or {}
        self._replies: dict[str, list[Reply]] = {}
        asked: dict[str, Asked] = {}
        for each, replies in samples:
            asked.setdefault(each.id, each)
            self._replies.setdefault(each.id, []).extend(replies)
        self.questions = tuple(asked.values())
        self.most = max((len(r) for r in self._replies.values()), default=0)
        self._given = 0
        self._lock = threading.Lock()

    @property
    def tools(self) -> tuple[Tool, ...]:
        """All that were on offer, by name; of several declarations under one name the last."""
        return tuple({t.name: t for asked in self.questions for t in asked.question.tools}.values())

    def invent(self, brief: Brief, tools: Sequence[Tool]) -> Invention:
        """What was invented for this brief; for another one the next requests that were not given yet."""
        if brief.id in self._inventions:
            return Invention(self._inventions[brief.id], Tokens())
        with self._lock:
            start, self._given = self._given, self._given + brief.count
        return Invention(tuple(a.question.messages for a in self.questions[start : start + brief.count]), Tokens())

    def answer(self, question: Question, samples: int) -> list[Reply]:
        """The first recorded samples, fewer where there are fewer. TeacherError for a question that is not recorded."""
        replies = self._replies.get(question.id)
        if replies is None:
            raise TeacherError(
                f"Nothing is recorded for the request {question.messages[-1].text[:80]!r} with these tools."
            )
        return replies[:samples]


def load_recorded(path: Path, tools: Sequence[Tool] = ()) -> Recorded:
    """The teacher of a JSON Lines file. `tools` are on offer where a line declares none.

    A ledger is read whole; of any other file, the lines that cannot be used are left out and told in `skipped`. Raises
    FileNotFoundError, and ValueError where nothing is left.
    """
    with path.open(encoding="utf-8", errors="replace") as f:
        first = next((line for line in f if line.strip()), "")
    if first.startswith('{"record":'):
        recorded = _from_ledger(path)
    else:
        skipped: list[Skipped] = []
        recorded = Recorded(list(_from_lines(path, tools, skipped)), skipped)
    if not recorded.questions:
        reasons = "".join(f"; line {s.line}: {s.reason}" for s in recorded.skipped[:3])
        raise ValueError(f"{path} has no answer that can be used{reasons}")
    return recorded


def _from_ledger(path: Path) -> Recorded:
    ledger = read_ledger(path)
    samples = [
        (asked, ledger.answers[asked.id].replies) for asked in ledger.questions.values() if asked.id in ledger.answers
    ]
    return Recorded(samples, inventions=ledger.inventions)


def _from_lines(path: Path, tools: Sequence[Tool], skipped: list[Skipped]) -> Iterator[tuple[Asked, Sequence[Reply]]]:
    with path.open(encoding="utf-8", errors="replace") as f:
        for number, line in enumerate(f, 1):
            if not line.strip():
                continue
            try:
                found = [(Asked(q.id, KIND, q), [reply]) for q, reply in recordings(json.loads(line.strip()), tools)]
            except json.JSONDecodeError as error:
                skipped.append(Skipped(number, f"not JSON: {error.msg} at column {error.colno}"))
            except Unusable as error:
                skipped.append(Skipped(number, str(error)))
            except (ValueError, TypeError, AttributeError, RecursionError) as error:
                skipped.append(Skipped(number, f"not in OpenAI's form: {error}"))
            else:
                yield from found
