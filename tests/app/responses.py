"""Requests to `/v1/responses`, and OpenAI's own types as the judge of what comes back."""

from __future__ import annotations

import json
from typing import Any, get_args

import pydantic
from openai.types.responses import Response, ResponseStreamEvent

from tests.conftest import TIME, WEATHER

FLAT_WEATHER: dict[str, Any] = {"type": "function", **WEATHER["function"]}
FLAT_TIME: dict[str, Any] = {"type": "function", **TIME["function"]}
FORMAT: dict[str, Any] = {
    "type": "json_schema",
    "name": "place",
    "schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CALL: dict[str, Any] = {
    "type": "function_call",
    "call_id": "call_1",
    "name": "get_weather",
    "arguments": '{"city": "Paris"}',
}
OUTPUT: dict[str, Any] = {"type": "function_call_output", "call_id": "call_1", "output": "18 °C and sunny"}
QUESTION: dict[str, Any] = {"role": "user", "content": "What is the weather in Paris?"}

# What is sent beyond OpenAI's types: the API's own `store` and the live form of an error, and Bodkin's extension.
_BEYOND = {("response", "store"), ("response", "bodkin"), ("error", "error")}


def ask(**fields: Any) -> dict[str, Any]:
    """A good request body; `fields` replace or add."""
    body = {"model": "bodkin-26m", "input": "What is the weather in Paris?", "tools": [FLAT_WEATHER, FLAT_TIME]}
    return {**body, **fields}


def event_type(name: str) -> type[pydantic.BaseModel]:
    """OpenAI's model of the events of this name."""
    union, *_ = get_args(ResponseStreamEvent)
    (found,) = [model for model in get_args(union) if name in get_args(model.model_fields["type"].annotation)]
    return found


def check_event(event: dict[str, Any]) -> None:
    """Fails unless the event has all fields that OpenAI's type demands, of its types, and no others."""
    _check(event_type(event["type"]), event)


def check_response(response: dict[str, Any]) -> None:
    _check(Response, response)


def _check(model: type[pydantic.BaseModel], value: dict[str, Any]) -> None:
    parsed = model.model_validate_json(json.dumps(value), strict=True)
    unknown = _unknown(parsed, str(value.get("object", value["type"] if "type" in value else "")))
    assert not unknown - _BEYOND, unknown


def _unknown(value: Any, where: str) -> set[tuple[str, str]]:
    """Fields that the types do not declare, each with the field or event that they are in."""
    if isinstance(value, list):
        return set().union(*(_unknown(item, where) for item in value))
    if not isinstance(value, pydantic.BaseModel):
        return set()
    found = {(where, name) for name in value.model_extra or ()}
    return found.union(*(_unknown(getattr(value, name), name) for name in type(value).model_fields))


def frames(text: str) -> list[dict[str, Any]]:
    """The events of a stream; fails on anything that is not a frame, or not named like its event."""
    *named, end = text.split("\n\n")
    assert end == ""
    events = []
    for frame in named:
        name, data = frame.split("\n")
        assert name.startswith("event: ") and data.startswith("data: ")
        events.append(json.loads(data[6:]))
        assert events[-1]["type"] == name[7:]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events
