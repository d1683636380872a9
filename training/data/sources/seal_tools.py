"""Seal-Tools: LLM-written tools from many fields, and queries that need one or several of them.

Format: `tool.jsonl` {api_name, api_description, field, parameters {name: {type: str|int|float|bool, description}},
required}; queries {id, query, calling: [{api, parameters, responses}]}. Queries whose calls use an earlier call's
result (`API_call_3`) or a value the query does not state are dropped. `tools` holds the called ones only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model.types import Message, Tool
from training.data.example import Call, Example
from training.data.sources.accept import accept
from training.data.sources.grounding import locate, mentions, number, tokens
from training.data.sources.reading import read_lines

QUERIES = ("seal-tools/dev.jsonl.gz", "seal-tools/test_in_domain.minus_hammer_tests.jsonl.gz")
_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "list": "array", "dict": "object"}
_PLACEHOLDER = r"\b(?:specific|certain|particular|given)\s+(?:\w+\s+)?{}\b"


def load(root: Path | None = None) -> Iterator[Example]:
    yield from accept(_examples(root), root)


def read_tools(root: Path | None) -> dict[str, tuple[str, Tool]]:
    """The tool set: name -> (group, tool)."""
    rows = read_lines("seal-tools/tool.jsonl.gz", root)
    return {row["api_name"]: (f"seal:{row['field'].split('/')[0].strip()}", _tool(row)) for row in rows}


def _tool(row: dict[str, Any]) -> Tool:
    properties = {
        name: {"type": _TYPES.get(spec["type"], "string"), "description": spec["description"]}
        for name, spec in row["parameters"].items()
    }
    required = [name for name in row.get("required") or [] if name in properties]
    parameters = {"type": "object", "properties": properties, "required": required}
    return Tool(row["api_name"], row["api_description"], parameters)


def _examples(root: Path | None) -> Iterator[Example]:
    pool = read_tools(root)
    for file in QUERIES:
        for row in read_lines(file, root):
            names = list(dict.fromkeys(call["api"] for call in row["calling"]))
            if not names or any(name not in pool for name in names):
                continue
            calls = [_call(call, pool[call["api"]][1], row["query"]) for call in row["calling"]]
            if None not in calls:
                tools = tuple(pool[name][1] for name in names)
                messages = (Message("user", row["query"]),)
                yield Example("seal_tools", pool[names[0]][0], messages, tools, tuple(filter(None, calls)))


def _call(call: dict[str, Any], tool: Tool, query: str) -> Call | None:
    arguments = {}
    for name, value in call["parameters"].items():
        if name not in tool.parameters["properties"]:
            return None
        said = _said(name, value, tool.parameters["properties"][name]["type"], query)
        if said is None:
            return None
        arguments[name] = said
    return Call(call["api"], arguments)


def _said(name: str, value: Any, kind: str, query: str) -> Any:
    """`value` as the query states it, in the type of the schema; None when the query does not state it."""
    if "API_call" in str(value):
        return None
    if kind == "boolean":
        # A flag has no wording of its own: take it when the query speaks of what the flag is about.
        about = any(len(word) > 3 and word in tokens(query) for word in tokens(name))
        return value if isinstance(value, bool) and about else None
    if kind in ("integer", "number"):
        amount = value if isinstance(value, int | float) else number(str(value))
        return amount if amount is not None and mentions(amount, query) else None
    literal = locate(str(value), query)
    if literal is None or re.search(_PLACEHOLDER.format(re.escape(literal)), query, re.IGNORECASE):
        return None
    return literal
