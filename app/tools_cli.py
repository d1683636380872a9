"""`bodkin tools`: what the server would make of a file of tools."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.adapters.contract import declared, response
from app.body import parse_json
from app.contracts import read_checker
from app.errors import InvalidRequestError, from_validation
from app.schemas.contract import CheckedToolReport, ToolsCheck, ToolsCheckRequest
from app.settings import Settings, explain
from model.errors import ArtifactError

_FORMS = 'a list of tools or functions, or an object with "tools" or "functions"'


class FileError(Exception):
    """The file cannot be checked at all; the message says why."""


def tools(argv: Sequence[str]) -> int:
    """The exit code: 1 when a tool is refused, 2 when nothing could be checked."""
    parser = argparse.ArgumentParser(
        prog="bodkin tools", description="Find out before serving them what the server makes of tools."
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    check = actions.add_parser(
        "check",
        help="say of each keyword of each tool's JSON Schema whether it is enforced, ignored or refused",
        description="Say of each keyword of each tool's JSON Schema whether it is enforced, ignored or refused, what "
        "to write instead, and what the tool costs. Exit code 0: all tools can be served; 1: some are refused.",
    )
    check.add_argument("file", type=Path, metavar="FILE", help=f"JSON: {_FORMS}; '-' reads standard input")
    check.add_argument("--json", action="store_true", help="print the report as POST /v1/tools/check answers it")
    check.add_argument(
        "--artifact", type=Path, metavar="DIR", help="folder of the model whose limits count (the default model's)"
    )
    options = parser.parse_args(argv)
    try:
        settings = Settings()
    except ValidationError as error:
        print(f"bodkin: {explain(error)}", file=sys.stderr)
        return 2
    try:
        report = _check(options.file, options.artifact or settings.artifact, settings.model)
    except (FileError, ArtifactError) as error:
        print(f"bodkin: {error}", file=sys.stderr)
        return 2
    print(report.to_json() if options.json else text(report))
    return 0 if report.servable else 1


def _check(file: Path, artifact: Path, model: str) -> ToolsCheck:
    try:
        tools = declared(ToolsCheckRequest.model_validate({"tools": _items(_content(file))}))
    except ValidationError as error:
        # As the server says it; there, locations begin with the body.
        details = [{**detail, "loc": ("body", *detail["loc"])} for detail in error.errors(include_url=False)]
        raise FileError(f"{file}: {from_validation(details).message}") from None
    except InvalidRequestError as error:
        raise FileError(f"{file}: {error.message}") from None
    checker = read_checker(artifact)
    return response(model, [checker.check(tool.tool, tool.param, tool.schema) for tool in tools])


def _content(file: Path) -> Any:
    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise FileError(f"{file} cannot be read: {error.strerror}.") from None
    try:
        return parse_json(raw)
    except InvalidRequestError as error:
        raise FileError(error.message.replace("The request body", str(file), 1)) from None


def _items(content: Any) -> Any:
    """The list of tools in whatever the file holds."""
    if isinstance(content, dict) and isinstance(content.get("result"), dict):
        content = content["result"]  # MCP's answer to tools/list, with its envelope
    if isinstance(content, dict):
        for key in ("tools", "functions"):
            if key in content:
                return content[key]
        if "function" in content or "name" in content:
            return [content]
    if not isinstance(content, list):
        raise FileError(f"expected {_FORMS}.")
    return content


# Printing ------------------------------------------------------------------------------------------------------------


def text(report: ToolsCheck) -> str:
    """A paragraph and a table for each tool, and a line on all of them."""
    refused = [tool.name for tool in report.tools if not tool.servable]
    count = len(report.tools)
    end = f"{count} tool{'s' * (count > 1)}: " + (
        f"{len(refused)} refused ({', '.join(refused)})" if refused else "all can be served"
    )
    return "\n\n".join([*("\n".join(_tool(tool)) for tool in report.tools), end])


def _tool(tool: CheckedToolReport) -> Iterator[str]:
    yield f"{tool.name}: {'can be served' if tool.servable else 'refused'}"
    if tool.tokens is not None:
        yield f"  {tool.tokens} of {tool.max_tokens} tokens" + (
            f"; grammar of {tool.grammar_bytes / 1000:.0f} kB, compiled in {tool.compile_ms:.1f} ms"
            if tool.grammar_bytes is not None and tool.compile_ms is not None
            else ""
        )
    for refusal in tool.refusals:
        yield f"  ! {refusal.param}"
        yield f"    {refusal.message}"
        if refusal.remedy:
            yield f"    {refusal.remedy}"
    if not tool.complete:
        yield "  ! There may be more."
    if not tool.keywords:
        return
    # Paths begin alike within a tool: at its parameters.
    root = len(tool.keywords[0].path.rpartition(".")[0]) + 1
    rows = [(k.keyword, k.status, k.note or "") for k in tool.keywords]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for path, keywords in groupby(tool.keywords, key=lambda k: k.path):
        yield f"  {path[root:]}"
        for k in keywords:
            # The reason for a refusal stands above.
            note = "" if k.status == "refused" else k.note or ""
            yield f"    {k.keyword:{widths[0]}}  {k.status:{widths[1]}}  {note}".rstrip()
