"""The gate every example passes: calls fit their schemas, and no text is a known near-duplicate of an evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from jsonschema import Draft202012Validator

from model.types import Tool
from training.data.example import Call, Example
from training.data.sources.grounding import tokens
from training.data.sources.reading import read_lines


def accept(examples: Iterable[Example], root: Path | None) -> Iterator[Example]:
    """The examples that may be trained on; their arguments in the order of the schema's properties."""
    excluded = {tuple(tokens(row["text"])) for row in read_lines("exclude.jsonl", root)}
    # Tools are shared between examples; keeping the tool beside its validator keeps its id from being reused.
    validators: dict[int, tuple[Tool, Draft202012Validator]] = {}
    for example in examples:
        if tuple(tokens(example.messages[-1].text)) in excluded:
            continue
        tools = {tool.name: tool for tool in example.tools}
        if len(tools) != len(example.tools) or any(call.name not in tools for call in example.calls):
            continue
        calls = tuple(_ordered(call, tools[call.name]) for call in example.calls)
        if all(_valid(call, tools[call.name], validators) for call in calls):
            yield replace(example, calls=calls)


def _ordered(call: Call, tool: Tool) -> Call:
    order = {name: position for position, name in enumerate(tool.parameters.get("properties", {}))}
    names = sorted(call.arguments, key=lambda name: order.get(name, len(order)))
    return Call(call.name, {name: call.arguments[name] for name in names})


def _valid(call: Call, tool: Tool, validators: dict[int, tuple[Tool, Draft202012Validator]]) -> bool:
    if not call.arguments.keys() <= tool.parameters.get("properties", {}).keys():
        return False
    if id(tool) not in validators:
        validators[id(tool)] = (tool, Draft202012Validator(tool.parameters))
    return validators[id(tool)][1].is_valid(call.arguments)
