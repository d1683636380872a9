"""What a teacher is: it invents requests for tools, and answers requests by its own function calling.

Knows no vendor and no file. `gemini.py` speaks to Gemini, `recorded.py` replays what was written down.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, Protocol, runtime_checkable

from model.prompt import dumps
from model.types import Message, Tool, ToolCall

Finish = Literal["stop", "length", "blocked", "malformed"]


@dataclass(frozen=True)
class Tokens:
    """What one call to a teacher used. `output` includes the model's thoughts, which are billed like it."""

    input: int = 0
    output: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.input + other.input, self.output + other.output)


@dataclass(frozen=True)
class Brief:
    """What kind of requests to invent: `count` of them, all of one kind.

    `text` is the whole instruction to the model (which tool, style, persona, length, ...), `kind` its name in reports:
    "call", "several", "missing", "near_miss", "irrelevant", "follow_up".
    """

    kind: str
    text: str
    count: int

    @property
    def id(self) -> str:
        return digest({"kind": self.kind, "text": self.text, "count": self.count})


@dataclass(frozen=True)
class Invention:
    """Requests that a teacher made up: each a conversation that ends with a user turn."""

    requests: tuple[tuple[Message, ...], ...]
    tokens: Tokens


@dataclass(frozen=True)
class Question:
    """A conversation with the tools on offer. `mode` "any" forces a call (Gemini's ANY, OpenAI's "required")."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]
    mode: Literal["auto", "any"] = "auto"

    @property
    def id(self) -> str:
        """The same for the same question, whoever asks it and when."""
        return digest(asdict(self))


@dataclass(frozen=True)
class Reply:
    """One sample of a teacher's answer: calls, or none and perhaps text.

    `logprob` is the mean log probability of the answer's tokens, where the teacher gives it. Only `finish` "stop" is an
    answer to learn from: "length" was cut, "blocked" by a safety filter, "malformed" was no call that can be read.
    """

    calls: tuple[ToolCall, ...]
    text: str = ""
    logprob: float | None = None
    finish: Finish = "stop"
    tokens: Tokens = Tokens()


class Teacher(Protocol):
    """Thread-safe; both methods block and retry what can be retried. They raise `TeacherError`."""

    name: str  # of the model, as its vendor calls it

    def invent(self, brief: Brief, tools: Sequence[Tool]) -> Invention:
        """Make up requests to an application that has `tools`."""

    def answer(self, question: Question, samples: int) -> list[Reply]:
        """Answer `samples` times, independently."""


@runtime_checkable
class BatchTeacher(Teacher, Protocol):
    """A teacher that also answers many questions as one job, later and for less."""

    def split_batch(self, questions: Sequence[Question], samples: int) -> list[list[Question]]:
        """`questions` in runs that each fit into a job."""

    def submit_batch(self, questions: Sequence[Question], samples: int, label: str) -> str:
        """The name of a job that answers each question `samples` times.

        Where a job for the same questions was submitted under this label already, it is that one: a crash between
        submitting a job and writing its name down costs nothing.
        """

    def collect_batch(self, name: str, questions: Sequence[Question]) -> list[list[Reply]] | None:
        """The replies to the questions that the job was submitted with, in order; None while it runs.

        A question that failed by itself has fewer replies than samples, or none. Raises `BatchError`.
        """


class TeacherError(Exception):
    """The teacher cannot be asked at all: what is wrong and what to do, in one or two sentences for the user.

    Answers that are blocked, cut or malformed are no errors but replies.
    """


class BatchError(TeacherError):
    """A job ended without answers, or is not there any more: its questions are still to be asked."""


class QuotaError(TeacherError):
    """The quota is used up: what was paid for is kept, and the same command goes on later."""


def digest(value: object) -> str:
    """Sixteen hex digits of a JSON-able value."""
    return hashlib.sha256(dumps(value).encode()).hexdigest()[:16]
