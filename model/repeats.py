"""Calls that need not be made again: those of this turn, answered or just written.

A small model that has its result may ask for it once more, and an agent's loop then runs until it is stopped. A call
that equals an earlier one of the same turn to the letter brings nothing new: the engine takes it for "no more calls",
or, where a call is demanded, for one that another tool has to make.
A request by the user begins a new turn: "again, please" is heard.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from model.types import Message, ToolCall


class Repeats:
    """The calls since the user last spoke, and those of the answer so far."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self._made: dict[str, list[str]] = {}
        for message in messages:
            if message.role == "user":
                self._made.clear()
            self.add(message.tool_calls)

    def add(self, calls: Iterable[ToolCall]) -> None:
        for call in calls:
            self._made.setdefault(call.name, []).append(call.arguments)

    def possible(self, name: str, beginning: str) -> bool:
        """Whether a call of `name` whose arguments begin so may still turn out to be a repetition."""
        return any(arguments.startswith(beginning) for arguments in self._made.get(name, ()))

    def __contains__(self, call: ToolCall) -> bool:
        return call.arguments in self._made.get(call.name, ())
