"""Tools to be checked, from the wire to neutral types, and what was found of them back to the wire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.adapters.conversation import missing
from app.errors import InvalidRequestError
from app.schemas.contract import CheckedTool, CheckedToolReport, KeywordFate, ToolRefusal, ToolsCheck, ToolsCheckRequest
from model.types import Tool

if TYPE_CHECKING:
    from model.contract import ToolContract


@dataclass(frozen=True)
class Declared:
    """A tool, and the paths of it and of its schema in what the client sent."""

    tool: Tool
    param: str
    schema: str


def declared(body: ToolsCheckRequest) -> list[Declared]:
    """The tools of a request. Raises `InvalidRequestError` for one without a name, and for a name used twice."""
    found: list[Declared] = []
    names: dict[str, str] = {}
    for i, item in enumerate(body.tools):
        tool, where = _declared(item, f"tools[{i}]")
        name = tool.tool.name
        if name in names:
            raise InvalidRequestError(
                f"Function names must be unique: '{name}' is declared twice, first in {names[name]}.",
                param=where,
                code="invalid_value",
            )
        names[name] = where
        found.append(tool)
    return found


def _declared(item: CheckedTool, param: str) -> tuple[Declared, str]:
    """The tool and the path of its name."""
    if item.function is not None:
        function, inside = item.function, f"{param}.function"
        name, description, parameters, key = function.name, function.description, function.parameters, "parameters"
    elif item.name is not None:
        name, description, inside = item.name, item.description, param
        key = "parameters" if item.inputSchema is None else "inputSchema"
        parameters = item.parameters if item.inputSchema is None else item.inputSchema
    else:
        raise missing(f"{param}.function" if item.type else f"{param}.name")
    # No parameters and `{}` both mean "takes no arguments", as in a request for calls.
    tool = Tool(name, description or "", parameters or {"type": "object", "properties": {}})
    return Declared(tool, param, f"{inside}.{key}"), f"{inside}.name"


def response(model: str, contracts: Sequence[ToolContract]) -> ToolsCheck:
    return ToolsCheck(
        object="tools.check",
        model=model,
        servable=all(contract.servable for contract in contracts),
        tools=[_report(i, contract) for i, contract in enumerate(contracts)],
    )


def _report(index: int, contract: ToolContract) -> CheckedToolReport:
    return CheckedToolReport(
        index=index,
        name=contract.name,
        servable=contract.servable,
        tokens=contract.tokens,
        max_tokens=contract.max_tokens,
        compile_ms=None if contract.compile_ms is None else round(contract.compile_ms, 3),
        grammar_bytes=contract.grammar_bytes,
        refusals=[
            ToolRefusal(param=r.param, keyword=r.keyword, message=r.message, remedy=r.remedy or None)
            for r in contract.refusals
        ],
        complete=contract.complete,
        keywords=[
            KeywordFate(path=k.path, keyword=k.keyword, status=k.status, note=k.note or None) for k in contract.keywords
        ],
    )
