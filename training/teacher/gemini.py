"""Gemini as a teacher: it answers by its own function calling, and makes up requests as structured output."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from google.genai import types

from model.types import Message, Tool
from training.teacher import gemini_batch
from training.teacher.base import Brief, Invention, Question, Reply, TeacherError, Tokens
from training.teacher.calls import CallReader
from training.teacher.contents import contents
from training.teacher.gemini_config import answer_config, invention_config
from training.teacher.gemini_replies import prompt_block, replies, tokens
from training.teacher.gemini_session import Session
from training.teacher.inventions import conversations

DEFAULT_MODEL = "gemini-2.5-flash-lite"
INVENTION_ATTEMPTS = 3


class GeminiTeacher:
    """A `training.teacher.base.BatchTeacher`: thread-safe, its batches at half the price."""

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        requests_per_minute: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`api_key` None is that of the environment; `base_url` is for proxies and tests, as `clock` and `sleep` are.

        Raises `TeacherError` without a key.
        """
        self.name = model
        self._session = Session(model, api_key, base_url, requests_per_minute, clock, sleep)

    def invent(self, brief: Brief, tools: Sequence[Tool]) -> Invention:
        """Fewer requests than asked for, even none, when what the model writes is unusable several times over."""
        used = Tokens()
        turn = types.Content(role="user", parts=[types.Part(text=brief.text)])
        requests: tuple[tuple[Message, ...], ...] = ()
        with _keeping(lambda: used != Tokens()):
            for _ in range(INVENTION_ATTEMPTS):
                response = self._session.generate([turn], partial(invention_config, brief))
                used += tokens(response)
                requests = conversations(_text(response), tools)
                if requests or prompt_block(response):
                    break
        return Invention(requests, used)

    def answer(self, question: Question, samples: int) -> list[Reply]:
        """`samples` replies, by as few requests as the model allows. A prompt that is blocked is not sent again.

        Fewer, where an error comes between requests.
        """
        reader = CallReader(question.tools)
        turns = contents(question.messages)
        names = [tool.name for tool in question.tools]
        found: list[Reply] = []
        with _keeping(lambda: bool(found)):
            while len(found) < samples:
                config = partial(answer_config, question, samples=samples, wanted=samples - len(found))
                response = self._session.generate(turns, config, names)
                found += replies(response, reader, question.mode)
                if prompt_block(response):
                    found += [Reply((), found[-1].text, finish="blocked")] * (samples - len(found))
        return found[:samples]

    def split_batch(self, questions: Sequence[Question], samples: int) -> list[list[Question]]:
        """`questions` in runs of which each fits into one batch."""
        return gemini_batch.split(self._session, questions, samples)

    def submit_batch(self, questions: Sequence[Question], samples: int, label: str) -> str:
        """The name of a job that answers `questions`, for `collect_batch`, also after a restart.

        A second call with the same label and questions finds the first one's job; where another is meant, since that
        one did not answer them all, the label is another.
        """
        return gemini_batch.submit(self._session, questions, samples, label)

    def collect_batch(self, name: str, questions: Sequence[Question]) -> list[list[Reply]] | None:
        """The replies to each question of the job, fewer than samples where some failed; None while it runs.

        Raises `BatchError` where it came to nothing.
        """
        return gemini_batch.collect(self._session, name, questions)

    def close(self) -> None:
        self._session.close()


@contextmanager
def _keeping(paid: Callable[[], bool]) -> Iterator[None]:
    """An error that comes after something was paid for waits: the next request meets it again, and loses nothing."""
    try:
        yield
    except TeacherError:
        if not paid():
            raise


def _text(response: types.GenerateContentResponse) -> str:
    """The first candidate's text, without thoughts."""
    content = response.candidates[0].content if response.candidates else None
    return "".join(part.text or "" for part in (content and content.parts) or [] if not part.thought)
