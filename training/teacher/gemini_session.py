"""The connection to Gemini: one client for all threads, its rate, its retries, and what its model turns down."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from json import JSONDecodeError
from typing import TypeVar

import httpx
from google import genai
from google.genai import types
from google.genai.errors import APIError
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from training.teacher.base import TeacherError
from training.teacher.gemini_errors import KEY_VARIABLES, LONGEST_WAIT, NO_KEY, RETRIED, explained, retry_delay, used_up
from training.teacher.limiter import Limiter

ATTEMPTS = 8
TIMEOUT = 120.0  # seconds
MAX_CANDIDATES = 8

T = TypeVar("T")

_backoff = wait_random_exponential(multiplier=1, max=60)  # full jitter: anything up to 1, 2, 4, ... seconds


@dataclass(frozen=True)
class Options:
    """What not every model accepts, and is asked for until the model refuses it.

    `thinking` are settings from the cheapest on; the first that is accepted is kept. Thoughts are billed as output, and
    calling a function takes few.
    """

    thinking: tuple[types.ThinkingConfig | None, ...]
    temperature: bool
    logprobs: bool = True
    candidates: int = MAX_CANDIDATES

    @classmethod
    def of(cls, model: str) -> Options:
        """What to begin with. Since Gemini 3, thinking has levels and the temperature is best left alone."""
        generation = re.search(r"gemini-([12])\.(\d)", model)
        if generation is None:
            levels = (types.ThinkingLevel.MINIMAL, types.ThinkingLevel.LOW)
            return cls((*(types.ThinkingConfig(thinking_level=level) for level in levels), None), temperature=False)
        if generation.groups() != ("2", "5"):
            return cls((None,), temperature=True)
        # Flash models can do without; Pro thinks for 128 tokens at least.
        return cls((*(types.ThinkingConfig(thinking_budget=budget) for budget in (0, 128)), None), temperature=True)

    def without(self, refusal: str) -> Options | None:
        """The options less what the refusal names; None where that is none of them."""
        text = refusal.lower()
        if self.logprobs and "logprobs" in text:
            return replace(self, logprobs=False)
        if self.candidates > 1 and "candidate" in text:
            return replace(self, candidates=1)
        if len(self.thinking) > 1 and "thinking" in text:
            return replace(self, thinking=self.thinking[1:])
        plain = Options((None,), temperature=False, logprobs=False, candidates=1)
        return plain if self != plain and "contains an invalid argument" in text else None


class Session:
    """Thread-safe. All of its methods block, and raise `TeacherError`."""

    def __init__(
        self,
        model: str,
        api_key: str | None,
        base_url: str | None,
        requests_per_minute: float | None,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        key = api_key or next((value for name in KEY_VARIABLES if (value := os.environ.get(name))), None)
        if not key:
            raise TeacherError(NO_KEY)
        self.model = model
        self.options = Options.of(model)
        self._options_lock = threading.Lock()
        self._limiter = Limiter(requests_per_minute, clock, sleep)
        self._sleep = sleep
        # An HTTP client of ours, since it is by its exceptions that a failed connection is known.
        self._http = httpx.Client(timeout=TIMEOUT, limits=httpx.Limits(max_connections=None))
        options = types.HttpOptions(
            base_url=base_url, api_version="v1beta", timeout=int(1000 * TIMEOUT), httpx_client=self._http
        )
        self.client = genai.Client(vertexai=False, api_key=key, http_options=options)

    def generate(
        self,
        contents: list[types.Content],
        config: Callable[[Options], types.GenerateContentConfig],
        tools: Sequence[str] = (),
    ) -> types.GenerateContentResponse:
        """What the model makes of `contents`, with the options that it accepts. `tools` are names, as declared."""
        while True:
            options = self.options
            generate = partial(self.client.models.generate_content, model=self.model, contents=contents)
            try:
                return self.retried(partial(generate, config=config(options)))
            except APIError as error:
                if error.code != 400 or not self.refused(options, str(error.message)):
                    raise explained(error, self.model, tools) from error

    def refused(self, options: Options, refusal: str) -> bool:
        """Remember for all threads what the model refused; whether it was one of the options, and so worth a retry."""
        fewer = options.without(refusal)
        with self._options_lock:
            if fewer is not None and self.options == options:
                self.options = fewer
        return fewer is not None

    def call(self, request: Callable[[], T]) -> T:
        """What any other request returns."""
        try:
            return self.retried(request)
        except APIError as error:
            raise explained(error, self.model) from error

    def retried(self, request: Callable[[], T]) -> T:
        """What `request` returns, at its turn. Raises the `APIError` that trying again does not mend, or did not."""
        attempts = Retrying(
            retry=retry_if_exception(_passing),
            wait=_delay,
            stop=stop_after_attempt(ATTEMPTS),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return attempts(self._once, request)
        except httpx.HTTPError as error:
            raise TeacherError(
                f"Gemini cannot be reached ({type(error).__name__}: {error}): try again later."
            ) from error
        except JSONDecodeError as error:
            raise TeacherError(
                "What answers at Gemini's address does not speak its protocol: is it a proxy?"
            ) from error

    def close(self) -> None:
        self.client.close()
        self._http.close()

    def _once(self, request: Callable[[], T]) -> T:
        self._limiter.wait()
        try:
            return request()
        except APIError as error:
            final = used_up(error, self.model)
            if final is not None:
                raise final from error
            if error.code == 429:
                self._limiter.hold(retry_delay(error) or 0.0)
            raise


def _passing(error: BaseException) -> bool:
    """Whether the same request may succeed in a while."""
    if isinstance(error, APIError):
        return error.code in RETRIED
    transport = isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)
    return transport or isinstance(error, JSONDecodeError)


def _delay(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = retry_delay(error) if isinstance(error, APIError) else None
    return min(asked or 0.0, LONGEST_WAIT) + _backoff(state)
