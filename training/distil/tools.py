"""The user's tools, as OpenAI clients and MCP servers write them down, each proven to be one that Bodkin can serve."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.errors import SchemaError
from model.grammar import GrammarCompiler
from model.prompt import encode_tool
from model.schema import normalise
from model.tokenizer import END, Tokenizer
from model.types import Tool

NAME = re.compile(r"[a-zA-Z0-9_.-]{1,64}")  # what the server accepts, and OpenAI's rule but for the dot


class ToolsError(ValueError):
    """The tools cannot be used; a line for each that is wrong."""


def read_tools(path: Path, tokenizer: Tokenizer, max_tokens: int) -> list[Tool]:
    """The tools of a JSON file, checked by `check_tools`.

    The file is a list of OpenAI tools (`{"type": "function", "function": {..}}`), of bare functions (`{"name", ..}`), a
    request body with "tools" or "functions", or the result of MCP's `tools/list` (`inputSchema`), with or without its
    JSON-RPC envelope.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise ToolsError(f"{path} is not JSON: it is not even text in UTF-8") from None
    except ValueError as error:
        raise ToolsError(f"{path} is not JSON: {error}") from None
    try:
        tools = tools_of(content)
        check_tools(tools, tokenizer, max_tokens)
    except ToolsError as error:
        raise ToolsError("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from None
    return tools


def tools_of(content: Any) -> list[Tool]:
    """The tools of parsed JSON in any of the forms of `read_tools`; ToolsError where it has another form."""
    where, items = _list_of(content)
    if not items:
        raise ToolsError("there is no tool in it")
    return [_tool(item, f"{where}[{i}]") for i, item in enumerate(items)]


def check_tools(tools: Sequence[Tool], tokenizer: Tokenizer, max_tokens: int) -> None:
    """Raise ToolsError, naming tool, path and keyword, for names that are wrong or used twice, schemas that the grammar
    cannot enforce, and tools of more than `max_tokens` tokens, which the model could not read."""
    compiler = GrammarCompiler(tokenizer.json_text, tokenizer.vocab_size, END)
    faults = []
    seen: set[str] = set()
    for tool in tools:
        if tool.name in seen:
            faults.append(f"two tools are named {tool.name!r}")
        seen.add(tool.name)
        if fault := _fault(tool, compiler, tokenizer, max_tokens):
            faults.append(f"tool {tool.name!r}: {fault}")
    if faults:
        raise ToolsError("\n".join(faults))


def _fault(tool: Tool, compiler: GrammarCompiler, tokenizer: Tokenizer, max_tokens: int) -> str | None:
    if not NAME.fullmatch(tool.name):
        return "a name has at most 64 letters, digits, underscores, dots and dashes"
    try:
        compiler.compile(normalise(tool.parameters, "parameters"), "parameters")
    except SchemaError as error:
        return f"{error.param or 'parameters'}: {error.message}"
    length = len(encode_tool(tool, tokenizer).ids)
    if length > max_tokens:
        return f"its name, description and parameters are {length} tokens; the model reads at most {max_tokens}"
    return None


def _list_of(content: Any) -> tuple[str, list[Any]]:
    """The list of tools and where it stands."""
    where = ""
    if isinstance(content, dict) and isinstance(content.get("result"), dict):
        where, content = "result.", content["result"]
    if isinstance(content, list):
        return "tools", content
    if isinstance(content, dict):
        for key in ("tools", "functions"):
            if isinstance(content.get(key), list):
                return f"{where}{key}", content[key]
        if "function" in content or "name" in content:
            return "tools", [content]
    raise ToolsError('expected a list of tools, or an object with "tools" or "functions"')


def _tool(item: Any, where: str) -> Tool:
    if isinstance(item, dict) and item.get("type", "function") != "function":
        raise ToolsError(f"{where} is a tool of type {item['type']!r}; only functions can be called")
    if isinstance(item, dict) and "function" in item:
        item, where = item["function"], f"{where}.function"
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise ToolsError(f'{where} is no function: it has no "name"')
    description = item.get("description")
    if not isinstance(description, str | None):
        raise ToolsError(f"{where}.description is not a text")
    key = "inputSchema" if "inputSchema" in item else "parameters"
    parameters = item.get(key)
    if not isinstance(parameters, dict | None):
        raise ToolsError(f"{where}.{key} is not a JSON Schema object")
    # None and {} both mean "takes no arguments", as in the server.
    return Tool(item["name"], description or "", parameters or {"type": "object", "properties": {}})
