"""One training or evaluation example, whatever corpus it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from model.types import Message, Tool


@dataclass(frozen=True)
class Call:
    """A gold call. `arguments` is a JSON-able dict whose keys are properties of the tool's schema."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Example:
    """A conversation, the tools on offer and the calls that answer it (`()` when no tool applies).

    `source` names the corpus; `group` the family the called tools belong to (an API, a service): tools of one group are
    siblings, and a train/held-out split never cuts through a group.
    """

    source: str
    group: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]
    calls: tuple[Call, ...]

    @property
    def family(self) -> str:
        """The group without the number of its variant: other wordings of the same tools."""
        return self.group.partition("#")[0]
