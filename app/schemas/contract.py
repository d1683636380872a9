"""`/v1/tools/check`: tools in, what becomes of them out."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from app.schemas.base import RequestModel, ResponseModel
from app.schemas.tools import FunctionDefinition, FunctionName


class CheckedTool(RequestModel):
    """A function in any form that is around: with `function` as for chat completions; flat as for responses, with or
    without `type`; or as MCP servers list it."""

    type: Literal["function"] | None = None
    function: FunctionDefinition | None = None
    name: FunctionName | None = None
    """Of the flat forms, as are the fields below."""
    description: str | None = None
    parameters: dict[str, Any] | None = None
    """JSON Schema of the arguments object."""
    inputSchema: dict[str, Any] | None = None
    """MCP's name of `parameters`."""


class ToolsCheckRequest(RequestModel):
    """Fields not listed here are accepted and ignored."""

    model: str | None = None
    """By whose limits; the default model's if not given. It need not be loaded."""
    tools: list[CheckedTool] = Field(min_length=1)


class KeywordFate(ResponseModel):
    path: str
    """Of the schema that holds the keyword, such as `tools[0].function.parameters.properties.city`."""
    keyword: str
    status: Literal["enforced", "ignored", "refused"]
    note: str | None
    """Why, or how far it is enforced."""


class ToolRefusal(ResponseModel):
    param: str
    """The place at fault."""
    keyword: str | None
    """The keyword at fault; null where it is a whole schema, or the tool."""
    message: str
    remedy: str | None
    """What to write instead."""


class CheckedToolReport(ResponseModel):
    index: int
    name: str
    servable: bool
    """Whether a request with this tool is served."""
    tokens: int | None
    """What the model has to read of the tool; null if the schema cannot be read at all."""
    max_tokens: int
    """What it can read of one tool."""
    compile_ms: float | None
    """How long compiling the grammar took just now, in milliseconds; null for a tool that is refused. Servers keep the
    grammar."""
    grammar_bytes: int | None
    """What the grammar takes in memory, roughly; null for a tool that is refused."""
    refusals: list[ToolRefusal]
    """All reasons why the tool is refused."""
    complete: bool
    """False if there may be further reasons: there were too many, or finding them took too long."""
    keywords: list[KeywordFate]
    """Every keyword of every schema; definitions that nothing refers to are not looked at."""


class ToolsCheck(ResponseModel):
    object: Literal["tools.check"]
    model: str
    servable: bool
    """Whether all tools are."""
    tools: list[CheckedToolReport]
    """In the order of the request."""
