"""A 300-conversation sample of glaive-function-calling-v2, by way of LLaMA-Factory.

Format: a JSON list of {conversations: [{from: human|gpt|function_call|observation, value}], tools: JSON text}.
Kept: the turns before the first call and that call; of conversations which have tools but make no call, the first
user turn, answered by no call. Calls with a date or a time that was never said are dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model.types import Message, Role, Tool
from training.data.example import Call, Example
from training.data.sources.accept import accept
from training.data.sources.grounding import mentions
from training.data.sources.reading import read_json

_ROLES: dict[str, Role] = {"human": "user", "gpt": "assistant"}


def load(root: Path | None = None) -> Iterator[Example]:
    yield from accept(_examples(root), root)


def _examples(root: Path | None) -> Iterator[Example]:
    for row in read_json("glaive-toolcall-demo/data/glaive_toolcall_en_demo.json.gz", root):
        tools = tuple(_tool(tool) for tool in json.loads(row["tools"]))
        if not tools:
            continue
        turns = row["conversations"]
        first = next((i for i, turn in enumerate(turns) if turn["from"] == "function_call"), None)
        history = turns[:1] if first is None else turns[:first]
        if not history or history[-1]["from"] != "human":
            continue
        messages = tuple(Message(_ROLES[turn["from"]], turn["value"].strip()) for turn in history)
        calls = () if first is None else (_call(turns[first]["value"]),)
        if any(_invented(call, " ".join(message.text for message in messages)) for call in calls):
            continue
        yield Example("glaive", f"glaive:{tools[0].name}", messages, tools, calls)


def _tool(tool: dict[str, Any]) -> Tool:
    parameters = tool.get("parameters") or {}
    return Tool(tool["name"], tool["description"], {"type": "object", "properties": {}, **parameters})


def _invented(call: Call, text: str) -> bool:
    """Whether a value with a digit in it is nowhere in the conversation."""
    strings = [value for value in call.arguments.values() if isinstance(value, str)]
    return any(re.search(r"\d", value) and not mentions(value, text) for value in strings)


def _call(value: str) -> Call:
    call = json.loads(value)
    return Call(call["name"], call["arguments"])
