"""The one prompt format, used by training and serving: messages and tools to token ids, and arguments to text.

A conversation is its turns, each opened by its role's special token. A tool is its name and description (the *head*,
over which its vector is pooled) and one line per parameter. A change here is a new `FORMAT_VERSION`; an artifact of
another version refuses to load.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

from model.tokenizer import ASSISTANT, RESULT, SYSTEM, TOOL, USER, Tokenizer
from model.types import Message, Tool, ToolCall

FORMAT_VERSION = 2  # 2: results that are no JSON
RESULT_OPENS, RESULT_CLOSES = '{"result":"', '"}'  # around those, as the results that the model has learnt from read
# References can multiply a short schema into a text without end. It is cut where it is too long for any model to read.
MAX_PARTS = 4_000
PART = 50  # characters of a description or constant that count as one part
MAX_REFERENCES = 16

_ROLE_TOKENS = {"system": SYSTEM, "user": USER, "assistant": ASSISTANT, "tool": RESULT}


@dataclass(frozen=True)
class Prompt:
    """Token ids and the half-open ranges over which vectors are taken.

    `pool` is that of the text's own vector. A tool has one more for each of its top-level parameters, `parameters` in
    the order of `names`: the parameter's line and those of what is inside it.
    """

    ids: list[int]
    pool: tuple[int, int]
    parameters: tuple[tuple[int, int], ...] = ()
    names: tuple[str, ...] = ()

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """All of them, `pool` first."""
        return [self.pool, *self.parameters]


def dumps(value: Any) -> str:
    """Compact JSON, as the grammar writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def calls_text(calls: Sequence[ToolCall]) -> str:
    """Calls as one JSON list, the form in which an earlier turn's calls are read."""
    return "[" + ",".join(f'{{"name":{dumps(c.name)},"arguments":{c.arguments}}}' for c in calls) + "]"


def encode_messages(messages: Sequence[Message], tokenizer: Tokenizer) -> Prompt:
    """The conversation's ids. The pooled range is the last user turn and all that follows it."""
    texts = [_turn_text(m) for m in messages]
    ids: list[int] = []
    start = 0
    for message, text_ids in zip(messages, tokenizer.encode_batch(texts), strict=True):
        if message.role == "user":
            start = len(ids)
        ids.append(_ROLE_TOKENS[message.role])
        ids.extend(text_ids)
    return Prompt(ids, (start, len(ids)))


def is_plain_result(message: Message) -> bool:
    """Whether this is a tool's result in plain words: the model reads it as one in JSON, `RESULT_OPENS` around it."""
    return message.role == "tool" and not message.text.lstrip().startswith(("{", "["))


def _turn_text(message: Message) -> str:
    if is_plain_result(message):
        return f"{RESULT_OPENS}{message.text}{RESULT_CLOSES}"
    return message.text + (calls_text(message.tool_calls) if message.tool_calls else "")


def encode_tool(tool: Tool, tokenizer: Tokenizer) -> Prompt:
    """The tool's ids. The pooled range is its head: name and description."""
    head, blocks = tool_text(tool)
    head_ids = tokenizer.encode(head)
    body_ids, begins = tokenizer.encode_pieces(list(blocks.values()))
    first = 1 + len(head_ids)
    bounds = [first + begin for begin in (*begins, len(body_ids))]
    return Prompt([TOOL, *head_ids, *body_ids], (0, first), tuple(pairwise(bounds)), tuple(blocks))


def tool_text(tool: Tool) -> tuple[str, dict[str, str]]:
    """(head, blocks): `get_weather: Weather of a city.`, and for each parameter its line, such as
    ` city* string: The city`, with the lines of what is inside it.

    Any JSON has a text, a schema or not: what is refused is counted, too, and a keyword that is out of place, as
    `properties` beside the type `string`, may hold anything.
    """
    description = " ".join(tool.description.split())
    head = f"{tool.name}: {description}" if description else tool.name
    definitions = _mapping(tool.parameters.get("$defs")) or _mapping(tool.parameters.get("definitions"))
    properties, required = _members(tool.parameters)
    return head, _parameter_blocks(properties, required, definitions, 1, iter(range(MAX_PARTS)))


def _parameter_blocks(
    properties: Mapping[str, Any], required: set[str], definitions: Mapping[str, Any], depth: int, parts: Iterator[int]
) -> dict[str, str]:
    blocks: dict[str, str] = {}
    for (name, declared), _ in zip(properties.items(), parts, strict=False):
        schema = _resolve(declared, definitions)
        star = "*" if name in required else ""
        line = f"\n{' ' * depth}{name}{star} {_type_text(declared, definitions, parts)}"
        if description := " ".join(str(schema.get("description") or "").split()):
            line += f": {_counted(description, parts)}"
        if "default" in schema:
            line += f" (default {_counted(dumps(schema['default']), parts)})"
        inner = schema
        if schema.get("type") == "array":
            inner = _resolve(schema.get("items") or {}, definitions)
        # Three levels say what a parameter is; deeper ones are the grammar's business.
        if depth < 3:
            line += "".join(_parameter_blocks(*_members(inner), definitions, depth + 1, parts).values())
        blocks[name] = line
    return blocks


def _type_text(
    declared: Any, definitions: Mapping[str, Any], parts: Iterator[int], inside: frozenset[str] = frozenset()
) -> str:
    """`inside` are the references being followed: one that leads back to itself, or too deep, reads as "any"."""
    schema = _resolve(declared, definitions)
    if isinstance(declared, Mapping) and isinstance(declared.get("$ref"), str):
        if declared["$ref"] in inside or len(inside) == MAX_REFERENCES:
            return "any"
        inside = inside | {declared["$ref"]}
    if "const" in schema:
        return _counted(dumps(schema["const"]), parts)
    if isinstance(schema.get("enum"), list):
        return _counted("|".join(v if isinstance(v, str) else dumps(v) for v in schema["enum"]), parts)
    for keyword in ("anyOf", "oneOf"):
        if isinstance(schema.get(keyword), list):
            return " or ".join(
                _type_text(s, definitions, parts, inside) for s, _ in zip(schema[keyword], parts, strict=False)
            )
    kind = schema.get("type", "any")
    if isinstance(kind, list):
        return " or ".join(map(str, kind))
    if kind == "array":
        return "list of " + _type_text(schema.get("items") or {}, definitions, parts, inside)
    return str(kind)


def _counted(text: str, parts: Iterator[int]) -> str:
    """`text`, after as many parts as it is long were taken from `parts`."""
    for _ in islice(parts, len(text) // PART):
        pass
    return text


def _members(schema: Mapping[str, Any]) -> tuple[Mapping[str, Any], set[str]]:
    """The properties and the names that are required."""
    required = schema.get("required")
    names = {name for name in required if isinstance(name, str)} if isinstance(required, list | tuple) else set()
    return _mapping(schema.get("properties")), names


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _resolve(schema: Any, definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow one local `$ref`; a boolean or unknown schema reads as "any"."""
    if isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str):
        schema = definitions.get(schema["$ref"].rsplit("/", 1)[-1], {})
    return schema if isinstance(schema, Mapping) else {}
