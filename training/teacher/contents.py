"""A conversation as Gemini reads it.

Gemini is strict about calls: the turn after them answers each, and to models that think a call without the signature of
the thought behind it is an error.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from google.genai import types

from model.types import Message, ToolCall
from training.teacher.declarations import accepted_name

# What Gemini documents for calls that it did not make itself (ai.google.dev/gemini-api/docs/thought-signatures).
NO_SIGNATURE = b"skip_thought_signature_validator"


def system_instruction(messages: Sequence[Message]) -> str | None:
    """What the system turns say, wherever they stand."""
    return "\n\n".join(m.text for m in messages if m.role == "system" and m.text) or None


def contents(messages: Sequence[Message]) -> list[types.Content]:
    """The other turns. Calls whose results the conversation does not tell get empty ones."""
    turns: list[types.Content] = []
    open_calls: list[ToolCall] = []
    for message in messages:
        if message.role == "system":
            continue
        if message.role == "tool":
            call = next((c for c in open_calls if message.name in (None, c.name)), None)
            if call is not None:
                open_calls.remove(call)
                _add_result(turns, call, message.text)
                continue
        for call in open_calls:
            _add_result(turns, call, "")
        open_calls = list(message.tool_calls)
        parts = [types.Part(text=message.text)] if message.text else []
        for index, call in enumerate(message.tool_calls):
            function_call = types.FunctionCall(name=accepted_name(call.name), args=json.loads(call.arguments))
            # The first of parallel calls carries the signature for all.
            parts.append(types.Part(function_call=function_call, thought_signature=None if index else NO_SIGNATURE))
        if parts:
            turns.append(types.Content(role="model" if message.role == "assistant" else "user", parts=parts))
    for call in open_calls:
        _add_result(turns, call, "")
    return turns


def _add_result(turns: list[types.Content], call: ToolCall, text: str) -> None:
    """Results of the calls of one turn stand in one turn."""
    response = types.FunctionResponse(name=accepted_name(call.name), response=_object(text))
    part = types.Part(function_response=response)
    last = turns[-1].parts or []
    if last and last[-1].function_response:
        last.append(part)
    else:
        turns.append(types.Content(role="user", parts=[part]))


def _object(text: str) -> dict[str, Any]:
    """A result as the object that Gemini asks for: "output" is its word for one that is something else."""
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    return value if isinstance(value, dict) else {"output": value}
