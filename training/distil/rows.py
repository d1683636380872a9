"""Conversations and tools as JSON rows and back: one form for the files of a distillation; empty fields left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from model.prompt import dumps
from model.types import Message, Tool, ToolCall

Row = dict[str, Any]


def message_row(message: Message) -> Row:
    row: Row = {"role": message.role, "text": message.text}
    if message.tool_calls:
        row["tool_calls"] = [call_row(c) for c in message.tool_calls]
    if message.name is not None:
        row["name"] = message.name
    return row


def read_messages(rows: Iterable[Mapping[str, Any]]) -> tuple[Message, ...]:
    return tuple(
        Message(r["role"], r["text"], tuple(map(read_call, r.get("tool_calls", ()))), r.get("name")) for r in rows
    )


def call_row(call: ToolCall) -> Row:
    return {"name": call.name, "arguments": call.arguments}


def read_call(row: Mapping[str, Any]) -> ToolCall:
    return ToolCall(row["name"], row["arguments"])


class ToolRows:
    """Numbers tools in the order of their first appearance, so that a file holds each only once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._tools: list[Tool] = []
        self._lists: dict[tuple[int, ...], tuple[Tool, ...]] = {}
        self._taken: dict[int, tuple[tuple[Tool, ...], list[int]]] = {}  # by identity: to tell tools apart is slow

    def take(self, tools: tuple[Tool, ...]) -> tuple[list[int], list[Row]]:
        """For a writer: the tools' numbers, and the rows of those that are new and have to be written first."""
        if (taken := self._taken.get(id(tools))) is not None:
            return taken[1], []
        fresh = []
        for tool in tools:
            row = _tool_row(tool)
            if dumps(row) not in self._numbers:
                self.add(row)
                fresh.append(row)
        numbers = [self._numbers[dumps(_tool_row(tool))] for tool in tools]
        self._taken[id(tools)] = (tools, numbers)
        return numbers, fresh

    def add(self, row: Mapping[str, Any]) -> None:
        """For a reader: the next tool of the file."""
        self._numbers.setdefault(dumps(row), len(self._tools))
        self._tools.append(Tool(row["name"], row["description"], row["parameters"]))

    def tools(self, numbers: Sequence[int]) -> tuple[Tool, ...]:
        """The tools with these numbers, the same objects each time. IndexError for a number not seen."""
        key = tuple(numbers)
        if key not in self._lists:
            self._lists[key] = tuple(self._tools[n] for n in key)
        return self._lists[key]


def _tool_row(tool: Tool) -> Row:
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
