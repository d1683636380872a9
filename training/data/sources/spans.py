"""From an utterance with marked slots to a call of a hand-written tool. Shared by the slot-filling corpora."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from model.types import Tool
from training.data.example import Call
from training.data.sources.grounding import number
from training.data.sources.naming import Style, restyle

# What may stand between two marked pieces of one value: "five [in the] morning", "Paris[, ]France".
_JOINT = re.compile(r"\s*(?:,|'s|\bin\b|\bthe\b|\bat\b|\bon\b|\bof\b|\bnear\b|\s)*\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Span:
    """`text[start:end]` is marked as `slot`."""

    slot: str
    start: int
    end: int


@dataclass(frozen=True)
class Parameter:
    """How one parameter is filled.

    From the spans of `slots`, only those after text matching `after` if given; else from the first group of `pattern`
    in the utterance. Several spans become a list for an array, and one value for other types when they are adjacent.
    `values` makes it an enum: pattern of the said text -> value.
    """

    name: str
    description: str
    slots: tuple[str, ...] = ()
    type: Literal["string", "integer", "array"] = "string"
    required: bool = False
    after: str | None = None
    pattern: str | None = None
    values: tuple[tuple[str, str], ...] = ()

    def schema(self) -> dict[str, Any]:
        if self.type == "array":
            return {"type": "array", "items": {"type": "string"}, "description": self.description}
        schema: dict[str, Any] = {"type": self.type, "description": self.description}
        if self.values:
            schema["enum"] = list(dict.fromkeys(value for _, value in self.values))
        return schema


@dataclass(frozen=True)
class SpanTool:
    """A tool for the utterances of one intent; `when` further restricts them, `unless` rules some out.

    `ignore` are slots whose text adds nothing to the call; any other unused span makes the utterance unfit.
    """

    name: str
    description: str
    parameters: tuple[Parameter, ...] = ()
    when: str | None = None
    unless: str | None = None
    ignore: frozenset[str] = frozenset()

    @cached_property
    def styled(self) -> dict[Style, Tool]:
        return {style: self._tool(style) for style in ("snake", "camel")}

    def _tool(self, style: Style) -> Tool:
        properties = {restyle(each.name, style): each.schema() for each in self.parameters}
        required = [restyle(each.name, style) for each in self.parameters if each.required]
        schema = {"type": "object", "properties": properties, "required": required}
        return Tool(restyle(self.name, style), self.description, schema)


def call(tool: SpanTool, text: str, spans: Sequence[Span], style: Style) -> Call | None:
    """The call of `tool` that the utterance asks for; None when it says something that the tool cannot express."""
    if tool.when and not re.search(tool.when, text, re.IGNORECASE):
        return None
    if tool.unless and re.search(tool.unless, text, re.IGNORECASE):
        return None
    free = [span for span in spans if span.slot not in tool.ignore]
    arguments: dict[str, Any] = {}
    for parameter in tool.parameters:
        mine = [span for span in free if _belongs(span, parameter, text)]
        free = [span for span in free if span not in mine]
        said = _texts(mine, parameter, text)
        if said is None:
            return None
        value = _value(said, parameter)
        if said and value is None:
            return None
        if value is not None:
            arguments[restyle(parameter.name, style)] = value
        elif parameter.required:
            return None
    return None if free else Call(restyle(tool.name, style), arguments)


def _belongs(span: Span, parameter: Parameter, text: str) -> bool:
    if span.slot not in parameter.slots:
        return False
    return parameter.after is None or bool(re.search(parameter.after, text[: span.start], re.IGNORECASE))


def _texts(spans: Sequence[Span], parameter: Parameter, text: str) -> list[str] | None:
    """What the utterance says for the parameter; None when it says several things where one is wanted."""
    if not spans:
        matched = re.search(parameter.pattern, text, re.IGNORECASE) if parameter.pattern else None
        said = matched[1].strip(" .,?!'\"") if matched else ""
        return [said] if said else []
    if parameter.type == "array":
        return [text[span.start : span.end].strip() for span in spans]
    for left, right in zip(spans, spans[1:], strict=False):
        if not _JOINT.fullmatch(text[left.end : right.start]):
            return None
    return [text[spans[0].start : spans[-1].end].strip()]


def _value(said: Sequence[str], parameter: Parameter) -> Any:
    if not said:
        return None
    if parameter.type == "array":
        return list(dict.fromkeys(said))
    if parameter.type == "integer":
        amount = number(said[0])
        return amount if isinstance(amount, int) else None
    if parameter.values:
        return next((value for pattern, value in parameter.values if re.search(pattern, said[0], re.IGNORECASE)), None)
    return said[0]
