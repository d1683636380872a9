"""What the requests of all endpoints are made of: tools, choices, earlier calls and their results."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from app.errors import InvalidRequestError, UnsupportedError
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


def allowed_tools(names: Sequence[str], tools: Sequence[Tool], param: str) -> tuple[int, ...]:
    """Which of the declared tools the choice admits, as their numbers; `param` is the path of a name, `{}` its number.

    They keep the order of their declaration. Whatever is named must be declared.
    """
    declared = {tool.name: number for number, tool in enumerate(tools)}
    for i, name in enumerate(names):
        if name not in declared:
            raise InvalidRequestError(
                f"Invalid value for '{param.format(i)}': no function named '{name[:64]}' was specified in the 'tools' "
                "parameter.",
                param=param.format(i),
                code="invalid_value",
            )
    return tuple(sorted({declared[name] for name in names}))


def client_tool_path(param: str, numbers: Sequence[int]) -> str:
    """An engine's path (`tools[0]…`) with the number that the tool has in the client's list: `numbers[0]`."""
    found = re.match(r"tools\[(\d+)\]", param)
    if found is None or int(found[1]) >= len(numbers):
        return param
    return f"tools[{numbers[int(found[1])]}]{param[found.end() :]}"


class Part(Protocol):
    """A piece of a message's content, as the schemas of all endpoints have it."""

    type: str
    text: str | None
    refusal: str | None


def content_text(
    content: str | Sequence[Part] | None, param: str, texts: Collection[str], media: Mapping[str, str]
) -> str:
    """The text of a content, which stands at `param`: its parts, joined by line feeds.

    `texts` are the types of parts that are text, besides refusals; `media` those that are something else, and what.
    """
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(_part_text(part, f"{param}[{i}]", texts, media) for i, part in enumerate(content))


def _part_text(part: Part, param: str, texts: Collection[str], media: Mapping[str, str]) -> str:
    if part.type in media:
        raise UnsupportedError(
            f"{media[part.type]} are not supported: Bodkin reads text only.", param=param, code="unsupported_value"
        )
    field = "refusal" if part.type == "refusal" else "text"
    if field == "text" and part.type not in texts:
        supported = ", ".join(map(repr, texts))
        raise InvalidRequestError(
            f"Invalid value for '{param}.type': '{part.type[:60]}'. Supported values are: {supported}.",
            param=f"{param}.type",
            code="invalid_value",
        )
    text = part.text if field == "text" else part.refusal
    if text is None:
        raise missing(f"{param}.{field}")
    return text


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
