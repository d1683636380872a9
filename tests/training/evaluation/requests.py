"""Tasks over two tools, and an engine that answers a request with the calls that its text spells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from model.errors import SchemaError
from model.types import Event, GenerationRequest, Message, Tool, ToolCall
from tests.conftest import FakeEngine, events, result
from training.evaluation.outcome import Outcome, Task, answer
from training.scoring import Annotated

WEATHER = Tool(
    "get_weather",
    "Weather of a city",
    {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "unit": {"type": "string", "enum": ["c", "f"]},
            "days": {"type": "integer"},
            "height": {"type": "number"},
            "rain": {"type": "boolean"},
            "hours": {"type": "array", "items": {"type": "integer"}},
            "box": {"type": "object"},
            "either": {"type": ["string", "null"]},
        },
    },
)
TIME = Tool("get_time", "Time in a city", {"type": "object", "properties": {"city": {"type": "string"}}})
Call = tuple[str, dict[str, Any]]


def spelling_engine() -> FakeEngine:
    """Answers with the calls spelt by the last message; refuses "refuse", and is cut off by "cut"."""
    engine = FakeEngine()

    def script(request: GenerationRequest) -> Iterator[Event]:
        text = request.messages[-1].text
        if text == "refuse":
            raise SchemaError("no such keyword", "tools[0]")
        if text == "cut":
            return events(result(finish="length", confidence=0.0))
        return events(result(*(ToolCall(name, json.dumps(a)) for name, a in json.loads(text))))

    engine.script = script
    return engine


def task(text: str, *gold: Call, rows: tuple[str, ...] = ("set/all", "set/part"), number: int = 0) -> Task:
    due = tuple(Annotated(name, arguments) for name, arguments in gold)
    return Task(f"set_{number}", rows, (Message("user", text),), (WEATHER, TIME), due)


def said(*calls: Call) -> str:
    return json.dumps(calls)


def outcome(calls: list[Call] | str, *gold: Call, rows: tuple[str, ...] = ("set/all", "set/part")) -> Outcome:
    """What becomes of `gold` when `calls` are answered, or of a text of the engine's own."""
    return answer(spelling_engine(), task(calls if isinstance(calls, str) else said(*calls), *gold, rows=rows))
