"""The user's tools: every form that they come in, and every way in which they cannot be used, named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from model.types import Tool
from tests.training.distil.toys import TOOLS, tokenizer
from training.distil.tools import ToolsError, check_tools, read_tools, tools_of

FUNCTIONS = [{"name": t.name, "description": t.description, "parameters": t.parameters} for t in TOOLS]
OPENAI = [{"type": "function", "function": f} for f in FUNCTIONS]
MCP = [{"name": t.name, "title": "T", "description": t.description, "inputSchema": t.parameters} for t in TOOLS]


@pytest.mark.parametrize(
    "content",
    [
        OPENAI,
        FUNCTIONS,
        [{"type": "function", **f, "strict": True} for f in FUNCTIONS],  # the Responses API
        {"tools": OPENAI},
        {"model": "gpt-4o", "messages": [], "tools": OPENAI, "tool_choice": "auto"},
        {"model": "gpt-4", "messages": [], "functions": FUNCTIONS},
        {"tools": MCP, "nextCursor": "x"},
        {"jsonrpc": "2.0", "id": 1, "result": {"tools": MCP}},
        [OPENAI[0], FUNCTIONS[1], MCP[2]],
    ],
)
def test_every_form_gives_the_same_tools(tmp_path: Path, content: Any) -> None:
    (tmp_path / "tools.json").write_text(json.dumps(content))
    assert read_tools(tmp_path / "tools.json", tokenizer(), 512) == list(TOOLS)


@pytest.mark.parametrize("content", [OPENAI[0], FUNCTIONS[0]])
def test_a_single_tool_is_a_list_of_one(content: Any) -> None:
    assert tools_of(content) == [TOOLS[0]]


@pytest.mark.parametrize("parameters", [None, {}, "absent"])
def test_a_tool_without_parameters_takes_no_arguments(parameters: Any) -> None:
    function = {"name": "ping"} if parameters == "absent" else {"name": "ping", "parameters": parameters}
    assert tools_of([function]) == [Tool("ping")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{'name': 'x'}", "tools.json is not JSON: Expecting property name .* line 1 column 2"),
        ("3", "tools.json: expected a list of tools, or an object"),
        ('{"tool": []}', "expected a list of tools, or an object"),
        ("[]", "there is no tool in it"),
        ('{"tools": []}', "there is no tool in it"),
        ('["x"]', r'tools\[0\] is no function: it has no "name"'),
        ('{"functions": [{"name": "a"}, {"parameters": {}}]}', r"functions\[1\] is no function"),
        ('[{"type": "function", "function": {"name": 3}}]', r"tools\[0\].function is no function"),
        ('[{"type": "web_search"}]', r"tools\[0\] is a tool of type 'web_search'"),
        ('[{"name": "a", "description": 3}]', r"tools\[0\].description is not a text"),
        ('{"result": {"tools": [{"name": "a", "inputSchema": 3}]}}', r"result.tools\[0\].inputSchema is not a JSON"),
    ],
)
def test_what_has_no_form_of_tools_is_explained(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "tools.json").write_text(content)
    with pytest.raises(ToolsError, match=message) as error:
        read_tools(tmp_path / "tools.json", tokenizer(), 512)
    assert len(str(error.value).splitlines()) == 1


def test_a_file_that_is_no_text_is_explained(tmp_path: Path) -> None:
    (tmp_path / "tools.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ToolsError, match="not even text in UTF-8"):
        read_tools(tmp_path / "tools.json", tokenizer(), 512)


def with_schema(schema: Any) -> Tool:
    return Tool("find", "Find.", {"type": "object", "properties": {"where": {"type": "object", "properties": schema}}})


@pytest.mark.parametrize(
    ("tool", "message"),
    [
        (Tool("get weather"), "tool 'get weather': a name has at most 64 letters"),
        (Tool("a" * 65), "a name has at most 64 letters"),
        (
            with_schema({"city": {"type": "string", "not": {"const": "x"}}}),
            "tool 'find': parameters.properties.where.properties.city.not: The keyword 'not' cannot be enforced",
        ),
        (with_schema({"city": {"type": "text"}}), "tool 'find': parameters.properties.where.properties.city.type: "),
        (with_schema({"a": {"type": "string", "pattern": "("}}), "parameters.properties.where.properties.a.pattern: "),
        (Tool("find", "", {"type": "array", "items": {}}), "tool 'find': parameters.type: The arguments of a tool"),
        (Tool("find", "word " * 600), "its name, description and parameters are [0-9]+ tokens; .* at most 512"),
    ],
)
def test_a_tool_that_cannot_be_served_is_named_with_path_and_keyword(tool: Tool, message: str) -> None:
    with pytest.raises(ToolsError, match=message):
        check_tools([*TOOLS, tool], tokenizer(), 512)


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    broken = {"type": "object", "properties": {"a": {"if": {}}}}
    content = [*FUNCTIONS, FUNCTIONS[0], {"name": "one", "parameters": broken}, {"name": "b c"}]
    (tmp_path / "tools.json").write_text(json.dumps(content))
    with pytest.raises(ToolsError) as error:
        read_tools(tmp_path / "tools.json", tokenizer(), 512)
    lines = str(error.value).splitlines()
    assert len(lines) == 3 and all(line.startswith(f"{tmp_path}/tools.json: ") for line in lines)
    assert "two tools are named 'get_weather'" in lines[0] and "parameters.properties.a.if" in lines[1]


def test_a_file_that_is_not_there_is_not_a_fault_of_its_content(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_tools(tmp_path / "tools.json", tokenizer(), 512)
