"""What the requests of all endpoints are made of: tools, choices, earlier calls and their results."""

from __future__ import annotations

import json
from collections.abc import Sequence

from app.errors import InvalidRequestError
from app.schemas.tools import FunctionDefinition
from model.prompt import dumps
from model.types import Message, Tool, ToolCall, ToolChoice


def earlier_call(name: str, arguments: str | None) -> ToolCall:
    """An earlier call, its arguments as compact JSON. Clients may have logged a broken one: that becomes a string."""
    text = arguments or "{}"
    try:
        compact = dumps(json.loads(text))
        compact.encode("utf-8")  # an escaped unpaired surrogate would pass the body's check: here it is escaped twice
    except (ValueError, RecursionError):
        compact = dumps(text)
    return ToolCall(name=name, arguments=compact)


def declared_tools(functions: Sequence[FunctionDefinition], param: str) -> tuple[Tool, ...]:
    """The tools; `param` is the path of a function's name, with `{}` for its number."""
    tools: dict[str, Tool] = {}
    for i, function in enumerate(functions):
        if function.name in tools:
            raise InvalidRequestError(
                f"Function names must be unique: '{function.name}' is declared twice.",
                param=param.format(i),
                code="invalid_value",
            )
        # No parameters and `{}` both mean "takes no arguments"; arguments are an object in any case.
        parameters = function.parameters or {"type": "object", "properties": {}}
        tools[function.name] = Tool(function.name, function.description or "", parameters)
    return tuple(tools.values())


def named_choice(name: str, tools: Sequence[Tool], param: str, declared_in: str) -> ToolChoice:
    """The choice of one tool, which must be declared."""
    if all(tool.name != name for tool in tools):
        raise InvalidRequestError(
            f"Invalid value for '{param}': no function named '{name[:64]}' was specified in the '{declared_in}' "
            "parameter.",
            param=param,
            code="invalid_value",
        )
    return ToolChoice("named", name)


def latest_tool_results(messages: Sequence[Message]) -> str:
    """The texts of the tool turns that end the conversation."""
    start = len(messages)
    while start and messages[start - 1].role == "tool":
        start -= 1
    return "\n".join(message.text for message in messages[start:])


def missing(param: str) -> InvalidRequestError:
    """The error about a parameter that is required here."""
    return InvalidRequestError(
        f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter"
    )
