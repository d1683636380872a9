"""`/v1/responses`: the request. Its answer is in `response_object`, the events of a stream in `response_events`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from app.schemas.base import RequestModel, json_type, object_type
from app.schemas.chat import JSONObjectFormat, JSONSchemaDefinition, TextFormat
from app.schemas.tools import FunctionDefinition


class InputPart(RequestModel):
    """A text part, or in an assistant's turn a refusal. Images, audio and files are refused."""

    # What is sent besides is read, too, so that the refusal can say what it is.
    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"properties": {"type": {"const": kind}, field: {"type": "string"}}, "required": [field]}
                for kind, field in (("input_text", "text"), ("output_text", "text"), ("refusal", "refusal"))
            ]
        }
    )
    type: str
    text: str | None = None
    refusal: str | None = None


InputContent = Annotated[
    Annotated[str, Tag("#string")] | Annotated[list[InputPart], Tag("#array")],
    Discriminator(json_type, custom_error_type="wire_type", custom_error_message="expected a string or an array"),
]


class InputMessage(RequestModel):
    """One turn. `type` may be left out."""

    type: Literal["message"] | None = None
    role: Literal["user", "assistant", "system", "developer"]
    content: InputContent | None = None


class EarlierCall(RequestModel):
    """A call that an earlier response made."""

    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str | None = None
    """JSON text."""


class CallOutput(RequestModel):
    """What a call came to."""

    type: Literal["function_call_output"]
    call_id: str
    output: InputContent | None = None


class ItemReference(RequestModel):
    """An item of an earlier response, by its id. The server remembers the latest ones only, until it is restarted."""

    type: Literal["item_reference"] | None = None
    id: str


class OtherItem(RequestModel):
    """`reasoning`, which is accepted and ignored. Everything else is refused by its type."""

    type: Annotated[str, WithJsonSchema({"const": "reasoning"})]


_ITEM_TYPES = ("message", "function_call", "function_call_output", "item_reference")


def _item_type(value: Any) -> str | None:
    """Tag of an item. Without a type it is a message, or a reference if it is nothing but an id."""
    fields = dict(value) if isinstance(value, BaseModel) else value
    if not isinstance(fields, dict):
        return None
    kind = fields.get("type")
    if kind is None:
        kind = "item_reference" if fields.keys() - {"type"} == {"id"} else "message"
    return f"#{kind}" if kind in _ITEM_TYPES else "#other"


InputItem = Annotated[
    Annotated[InputMessage, Tag("#message")]
    | Annotated[EarlierCall, Tag("#function_call")]
    | Annotated[CallOutput, Tag("#function_call_output")]
    | Annotated[ItemReference, Tag("#item_reference")]
    | Annotated[OtherItem, Tag("#other")],
    Discriminator(_item_type, custom_error_type="wire_type", custom_error_message="expected an object"),
]
Input = Annotated[
    Annotated[str, Tag("#string")] | Annotated[list[InputItem], Tag("#array"), Field(min_length=1)],
    Discriminator(json_type, custom_error_type="wire_type", custom_error_message="expected a string or an array"),
]


class ResponseFunctionTool(FunctionDefinition):
    """A function, declared flat: its fields are the tool's own."""

    type: Literal["function"]


class OtherTool(RequestModel):
    """A tool that OpenAI runs, or that is no function. Refused by its type."""

    type: str


def _tool_type(value: Any) -> str | None:
    if json_type(value) != "#object":
        return None
    return "#function" if object_type(value) == "#function" else "#other"


ResponseTool = Annotated[
    Annotated[ResponseFunctionTool, Tag("#function")] | Annotated[OtherTool, Tag("#other"), SkipJsonSchema()],
    Discriminator(_tool_type, custom_error_type="wire_type", custom_error_message="expected an object"),
]


class FunctionReference(RequestModel):
    """A declared function, by its name."""

    type: Literal["function"]
    name: str


class AllowedFunctions(RequestModel):
    """The other declared functions are out of the question for this answer."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: list[FunctionReference] = Field(min_length=1)


ResponseToolChoiceObject = Annotated[
    Annotated[FunctionReference, Tag("#function")] | Annotated[AllowedFunctions, Tag("#allowed_tools")],
    Discriminator(object_type),
]
ResponseToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("#string")]
    | Annotated[ResponseToolChoiceObject, Tag("#object")],
    Discriminator(
        json_type,
        custom_error_type="wire_type",
        custom_error_message="expected 'none', 'auto', 'required' or an object",
    ),
]


class JSONSchemaTextFormat(JSONSchemaDefinition):
    """The answer's schema, declared flat: its fields are the format's own."""

    type: Literal["json_schema"]


ResponseTextFormat = Annotated[
    Annotated[TextFormat, Tag("#text")]
    | Annotated[JSONObjectFormat, Tag("#json_object")]
    | Annotated[JSONSchemaTextFormat, Tag("#json_schema")],
    Discriminator(object_type),
]


class TextConfig(RequestModel):
    format: ResponseTextFormat | None = None
    """With `json_object` and `json_schema`, an answer without calls is JSON text."""
    verbosity: Literal["low", "medium", "high"] | None = None
    """Echoed, without effect."""


# Read, so that the refusal can say why.
Refused = Annotated[Any, WithJsonSchema({"type": "null"})]

_TOOLS = {"properties": {"tools": {"type": "array", "minItems": 1}}, "required": ["tools"]}
_CHOICE = {"anyOf": [{"const": "required"}, {"type": "object"}]}
_JSON = {"properties": {"type": {"enum": ["json_object", "json_schema"]}}, "required": ["type"]}
_TEXT = {"properties": {"format": _JSON}, "required": ["format"]}
# What the fields demand of each other, for readers of the OpenAPI document; the adapter sees to it.
_TOGETHER: dict[str, Any] = {
    "anyOf": [_TOOLS, {"properties": {"text": _TEXT}, "required": ["text"]}],
    "if": {"properties": {"tool_choice": _CHOICE}, "required": ["tool_choice"]},
    "then": _TOOLS,
}


class ResponseRequest(RequestModel):
    """Fields not listed here are accepted and ignored. Needs `tools`, or a `text.format` of JSON, or both."""

    model_config = ConfigDict(json_schema_extra=_TOGETHER)

    model: str
    """One of those that `/v1/models` lists."""
    input: Input
    instructions: str | None = None
    """A system message in front of `input`."""
    tools: list[ResponseTool] | None = None
    tool_choice: ResponseToolChoice | None = None
    """Default `auto`. All forms are constraints on what can be written, not hints."""
    parallel_tool_calls: bool | None = None
    """False: at most one call."""
    text: TextConfig | None = None

    stream: bool | None = None
    max_output_tokens: int | None = Field(default=None, ge=1)
    """Tokens of arguments or JSON text. What it cuts ends with `status` `incomplete`."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """Default 0: the most probable answer."""
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    """With `include: ["message.output_text.logprobs"]`: how many alternatives of each token of a JSON text."""
    include: list[str] | None = None
    """`message.output_text.logprobs` is served. The others are of tools that are not, or of reasoning: ignored."""

    store: bool | None = None
    """No response is kept. Unless this is false, its output items can be referred to for a while (`item_reference`)."""
    previous_response_id: Refused = None
    """Refused: nothing is kept that it could name, as are `conversation` and `prompt`."""
    conversation: Refused = None
    prompt: Refused = None
    background: Annotated[bool | None, WithJsonSchema({"enum": [False, None]})] = None
    """True is refused: the answer could not be fetched later."""

    metadata: dict[str, str] | None = None
    """Echoed, without effect, as are the fields below."""
    max_tool_calls: int | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    user: str | None = None

    stream_options: Any = None
    """Accepted and ignored, as are the fields below."""
    truncation: Any = None
    reasoning: Any = None
    service_tier: Any = None
    prompt_cache_retention: Any = None
