"""Requests that a model makes up: the form in which it is to write them, and reading that."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from model.types import Message, Tool, ToolCall
from training.teacher.calls import CallReader
from training.teacher.declarations import accepted_name

FORM = """\
Answer with a JSON list. Each request is an object whose "text" is the user's last message, alone. Where a \
conversation is asked for, "earlier" has the turns before it, oldest first; otherwise leave it out. An assistant's \
turn may have "calls", each with a function's "name" and, as a string, the JSON object of its "arguments"; what the \
function returns is the "text" of a turn of the role "tool" that has the function's "name"."""


class InventedCall(BaseModel):
    name: str
    arguments: str


class InventedTurn(BaseModel):
    role: Literal["user", "assistant", "tool"]
    text: str = ""
    name: str | None = None
    calls: list[InventedCall] = []


# What the model fills in: one string for most requests, since output is what costs. A docstring would be sent along.
class InventedRequest(BaseModel):
    earlier: list[InventedTurn] = []
    text: str


def conversations(text: str, tools: Sequence[Tool]) -> tuple[tuple[Message, ...], ...]:
    """The usable requests in the JSON list that a model wrote, which may be cut: what is whole of it was paid for."""
    reader = CallReader(tools)
    return tuple(c for value in _elements(text) if (c := _conversation(value, reader)) is not None)


def _elements(text: str) -> Iterator[Any]:
    """The elements of a JSON list, up to where it is broken."""
    decoder = json.JSONDecoder()
    end = text.find("[") + 1
    while 0 < end < len(text):
        start = end + len(text[end:]) - len(text[end:].lstrip(" \t\r\n,"))
        try:
            value, end = decoder.raw_decode(text, start)
        except ValueError:
            return
        yield value


def _conversation(value: Any, reader: CallReader) -> tuple[Message, ...] | None:
    """None for what is not in the form, says nothing, or calls what there is not."""
    try:
        request = InventedRequest.model_validate(value)
        earlier = [
            Message(t.role, t.text.strip(), tuple(_call(c, reader) for c in t.calls), t.name) for t in request.earlier
        ]
    except (ValidationError, ValueError):
        return None
    if not request.text.strip() or (earlier and earlier[0].role != "user"):
        return None
    return (*earlier, Message("user", request.text.strip()))


def _call(call: InventedCall, reader: CallReader) -> ToolCall:
    arguments = json.loads(call.arguments)
    if not isinstance(arguments, dict):
        raise ValueError("arguments are an object")
    return reader.read(accepted_name(call.name), arguments)
