"""A teacher at a local Gemini, whose waits cost no time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from model.types import Message, Tool
from tests.training.gemini_server import MODELS, Brain, GeminiServer, Model, gemini_server
from training.teacher.base import Question
from training.teacher.gemini import DEFAULT_MODEL, GeminiTeacher

WEATHER = Tool(
    "get_weather",
    "Weather of a city.",
    {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    },
)
TIMER = Tool("set timer", "Start a timer.", {"type": "object", "properties": {"minutes": {"type": "integer"}}})


class Sleeper:
    """A clock that goes on by what is slept, and remembers each."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def clock(self) -> float:
        with self._lock:
            return sum(self.slept)

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)


def question(said: str = "Weather in Oslo?", *tools: Tool, **fields: Any) -> Question:
    return Question((Message("user", said),), tools or (WEATHER, TIMER), **fields)


@contextlib.contextmanager
def at_gemini(
    brain: Brain, model: str = DEFAULT_MODEL, *, models: Mapping[str, Model] = MODELS, **options: Any
) -> Iterator[tuple[GeminiTeacher, GeminiServer, Sleeper]]:
    """(teacher, server, sleeper)."""
    sleeper = Sleeper()
    with gemini_server(brain, models=models) as server:
        options = {"api_key": server.key, "base_url": server.url, **options}
        teacher = GeminiTeacher(model, clock=sleeper.clock, sleep=sleeper.sleep, **options)
        with contextlib.closing(teacher):
            yield teacher, server, sleeper
