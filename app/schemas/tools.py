"""Tool declarations, choices and calls as they appear in requests."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from app.schemas.base import RequestModel, json_type, object_type

FunctionName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]{1,64}$")]


class FunctionDefinition(RequestModel):
    name: FunctionName
    description: str | None = None
    """What the function does: by this and the name the model chooses it."""
    parameters: dict[str, Any] | None = None
    """JSON Schema of the arguments object. Enforced for every call, whatever `strict` says."""
    strict: bool | None = None
    """Without effect, since schemas always hold."""


class FunctionTool(RequestModel):
    type: Literal["function"]
    function: FunctionDefinition


class NamedFunction(RequestModel):
    name: str


class NamedToolChoice(RequestModel):
    """Exactly one call, of this function."""

    type: Literal["function"]
    function: NamedFunction


class ToolReference(RequestModel):
    type: Literal["function"]
    function: NamedFunction


class AllowedTools(RequestModel):
    mode: Literal["auto", "required"]
    tools: list[ToolReference] = Field(min_length=1)
    """Functions that are declared in `tools`; the others are out of the question for this answer."""


class AllowedToolsChoice(RequestModel):
    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


class CalledFunction(RequestModel):
    name: str
    arguments: str | None = None
    """JSON text."""


class MessageToolCall(RequestModel):
    id: str
    type: Literal["function"] | None = None
    function: CalledFunction


ToolChoiceObject = Annotated[
    Annotated[NamedToolChoice, Tag("#function")] | Annotated[AllowedToolsChoice, Tag("#allowed_tools")],
    Discriminator(object_type),
]

ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("#string")] | Annotated[ToolChoiceObject, Tag("#object")],
    Discriminator(
        json_type,
        custom_error_type="wire_type",
        custom_error_message="expected 'none', 'auto', 'required' or an object",
    ),
]

FunctionCallChoice = Annotated[
    Annotated[Literal["none", "auto"], Tag("#string")] | Annotated[NamedFunction, Tag("#object")],
    Discriminator(
        json_type, custom_error_type="wire_type", custom_error_message="expected 'none', 'auto' or an object"
    ),
]
