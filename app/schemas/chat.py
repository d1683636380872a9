"""`/v1/chat/completions`: request, response and stream chunk."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, WithJsonSchema

from app.schemas.base import RequestModel, ResponseModel, json_type, object_type
from app.schemas.bodkin import BodkinExtension
from app.schemas.tools import (
    CalledFunction,
    FunctionCallChoice,
    FunctionDefinition,
    FunctionTool,
    MessageToolCall,
    ToolChoice,
)


class ContentPart(RequestModel):
    """A text part, or in an assistant's turn a refusal. Images, audio and files are refused."""

    # What is sent besides is read, too, so that the refusal can say what it is.
    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"properties": {"type": {"const": kind}, kind: {"type": "string"}}, "required": [kind]}
                for kind in ("text", "refusal")
            ]
        }
    )
    type: str
    text: str | None = None
    refusal: str | None = None


Content = Annotated[
    Annotated[str, Tag("#string")] | Annotated[list[ContentPart], Tag("#array")],
    Discriminator(json_type, custom_error_type="wire_type", custom_error_message="expected a string or an array"),
]


class ChatMessage(RequestModel):
    """One turn. All roles share this model: which fields matter depends on `role`."""

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [
                {
                    "if": {"properties": {"role": {"const": role}}},
                    "then": {"properties": {field: {"type": "string"}}, "required": [field]},
                }
                for role, field in (("tool", "tool_call_id"), ("function", "name"))
            ]
        }
    )
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Content | None = None
    refusal: str | None = None
    """Read where an assistant's turn has no `content`."""
    name: str | None = None
    """The function's, with the legacy role `function`. Other turns may have one; it is not read."""
    tool_calls: list[MessageToolCall] | None = None
    tool_call_id: str | None = None
    """With the role `tool`: which call of the assistant's turn before is answered."""
    function_call: CalledFunction | None = None
    """Legacy form of `tool_calls`."""


class StreamOptions(RequestModel):
    include_usage: bool | None = None
    """One more chunk at the end, without choices, that carries `usage`."""


class TextFormat(RequestModel):
    """What an answer has without `response_format`: calls, or a text that no model wrote (see `choices`)."""

    type: Literal["text"]


class JSONObjectFormat(RequestModel):
    """Any JSON object.

    The word "JSON" must occur in the messages. A JSON Schema of an object that stands in a `system`, `developer` or
    `user` message, as clients put it there, is enforced like one in `json_schema`, and is not read as text; the last
    one counts. One that cannot be enforced is text, and any object is admitted.
    """

    type: Literal["json_object"]


class JSONSchemaDefinition(RequestModel):
    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    """What the answer is for. The model reads it; without one, it reads the schema's own."""
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    """JSON Schema of the answer. Enforced whatever `strict` says; without one, any object."""
    strict: bool | None = None


class JSONSchemaFormat(RequestModel):
    type: Literal["json_schema"]
    json_schema: JSONSchemaDefinition


ResponseFormat = Annotated[
    Annotated[TextFormat, Tag("#text")]
    | Annotated[JSONObjectFormat, Tag("#json_object")]
    | Annotated[JSONSchemaFormat, Tag("#json_schema")],
    Discriminator(object_type),
]

StopSequence = Annotated[str, Field(min_length=1)]
Stop = Annotated[
    Annotated[StopSequence, Tag("#string")]
    | Annotated[Annotated[list[StopSequence], Field(max_length=4)], Tag("#array")],
    Discriminator(json_type, custom_error_type="wire_type", custom_error_message="expected a string or an array"),
]


# Numbers in the OpenAPI document are floats, and 2^63 - 1 is none.
Seed = Annotated[
    int,
    Field(ge=-(2**63), le=2**63 - 1),
    WithJsonSchema({"type": "integer", "minimum": -(2**63), "exclusiveMaximum": 2**63}),
]


def _given(field: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Of a request: `field` is there, and like this."""
    return {"properties": {field: schema}, "required": [field]}


# What the fields demand of each other, for readers of the OpenAPI document; `app.adapters.chat_request` sees to it.
_TOGETHER: dict[str, Any] = {
    "anyOf": [
        _given("tools", {"type": "array"}),
        _given("functions", {"type": "array"}),
        _given("response_format", _given("type", {"enum": ["json_object", "json_schema"]})),
    ],
    "allOf": [
        {"if": _given("stream_options", {"type": "object"}), "then": _given("stream", {"const": True})},
        {"if": _given("top_logprobs", {"type": "integer", "minimum": 1}), "then": _given("logprobs", {"const": True})},
        {
            "if": _given("tool_choice", {"anyOf": [{"const": "required"}, {"type": "object"}]}),
            "then": {"anyOf": [_given("tools", {"type": "array"}), _given("functions", {"type": "array"})]},
        },
    ],
}


class ChatCompletionRequest(RequestModel):
    """Fields not listed here are accepted and ignored. Needs `tools`, or a `response_format` of JSON, or both."""

    model_config = ConfigDict(json_schema_extra=_TOGETHER)

    model: str
    """One of those that `/v1/models` lists."""
    messages: list[ChatMessage] = Field(min_length=1)
    """The conversation, which may have 512 tokens."""
    tools: list[FunctionTool] | None = Field(default=None, min_length=1)
    """What may be called. Each may have 512 tokens; there is no limit to their number."""
    tool_choice: ToolChoice | None = None
    """Default `auto`. All forms are constraints on what can be written, not hints."""
    parallel_tool_calls: bool | None = None
    """False: at most one call."""
    functions: list[FunctionDefinition] | None = Field(default=None, min_length=1)
    """Legacy form of `tools`, which win when both are given; answered with `function_call`."""
    function_call: FunctionCallChoice | None = None
    """Legacy form of `tool_choice`."""
    response_format: ResponseFormat | None = None
    """With `json_object` and `json_schema`, an answer without calls is JSON text. With `tools` besides, the model calls
    or answers, as `tool_choice` says."""

    stream: bool | None = None
    """Server-sent events instead of one body."""
    stream_options: StreamOptions | None = None
    """Only with `stream`."""
    max_completion_tokens: int | None = Field(default=None, ge=1)
    """Of each choice: tokens of arguments or JSON text. What it cuts ends with `finish_reason` `length`."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Older name of `max_completion_tokens`, which wins when both are given."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """Default 0: the most probable answer."""
    top_p: float | None = Field(default=None, ge=0, le=1)
    """With a `temperature`: only the most probable tokens, whose probabilities together reach this."""
    seed: Seed | None = None
    """With a `temperature`: the same seed, the same answer. Choice i has the seed `seed + i`."""
    n: int | None = Field(default=None, ge=1, le=128)
    """Choices, sampled independently of each other. At temperature 0, the default, all are the same."""
    stop: Stop | None = None
    """Up to 4 sequences; a text ends before the first that occurs in it. They do not apply to calls, which are always
    whole."""
    logprobs: bool | None = None
    """Of the tokens that the model wrote: the arguments of the calls, in order, or the JSON text. 0 where the grammar
    left no choice."""
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    """Only with `logprobs`. Alternatives to each token, as far as the grammar admitted others."""
    modalities: list[Literal["text"]] | None = None
    """Bodkin answers in text."""
    web_search_options: Annotated[Any, WithJsonSchema({"type": "null"})] = None
    """Refused: Bodkin does not search."""

    store: Any = None
    """Accepted and ignored, as are the fields below."""
    metadata: Any = None
    user: Any = None
    service_tier: Any = None
    reasoning_effort: Any = None
    verbosity: Any = None
    prompt_cache_key: Any = None
    safety_identifier: Any = None
    logit_bias: Any = None
    prediction: Any = None
    audio: Any = None


class FunctionCall(ResponseModel):
    name: str
    arguments: str
    """JSON text; validates against the tool's `parameters`."""


class ToolCall(ResponseModel):
    id: str
    type: Literal["function"]
    function: FunctionCall


class AssistantMessage(ResponseModel):
    role: Literal["assistant"]
    content: str | None
    """Null when there are calls. Otherwise JSON text if `response_format` asked for it; or else the texts of the tool
    results that end the conversation, or "" when it ends in something else."""
    refusal: None
    annotations: list[Any]
    tool_calls: list[ToolCall] = []
    """Absent when there is no call."""
    function_call: FunctionCall | None = None
    """Only when the request used the legacy `functions`."""


FinishReason = Literal["tool_calls", "function_call", "stop", "length"]


class TopLogprob(ResponseModel):
    token: str
    """The token as text; U+FFFD for bytes that are only a part of a character."""
    logprob: float
    bytes: list[int]
    """The token exactly."""


class TokenLogprob(TopLogprob):
    top_logprobs: list[TopLogprob]


class ChoiceLogprobs(ResponseModel):
    content: list[TokenLogprob]
    """Empty when the model wrote nothing, which is also so when tool results are passed on."""
    refusal: None


class Choice(ResponseModel):
    index: int
    message: AssistantMessage
    logprobs: ChoiceLogprobs | None
    """Null unless asked for."""
    finish_reason: FinishReason
    bodkin: BodkinExtension | None = None
    """With `n` above 1 only: of this choice."""


class PromptTokensDetails(ResponseModel):
    cached_tokens: int
    audio_tokens: int


class CompletionTokensDetails(ResponseModel):
    reasoning_tokens: int
    audio_tokens: int
    accepted_prediction_tokens: int
    rejected_prediction_tokens: int


class CompletionUsage(ResponseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails


class ChatCompletion(ResponseModel):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: CompletionUsage
    service_tier: str
    system_fingerprint: str
    bodkin: BodkinExtension
    """Of the first choice."""


class FunctionCallDelta(ResponseModel):
    name: str | None = None
    arguments: str


class ToolCallDelta(ResponseModel):
    """The first of a call carries all fields, later ones only `index` and the next piece of the arguments."""

    index: int
    id: str | None = None
    type: Literal["function"] | None = None
    function: FunctionCallDelta


class Delta(ResponseModel):
    role: Literal["assistant"] | None = None
    content: str | None = None
    refusal: None = None
    tool_calls: list[ToolCallDelta] | None = None
    function_call: FunctionCallDelta | None = None


class ChunkChoice(ResponseModel):
    index: int
    delta: Delta
    logprobs: ChoiceLogprobs | None
    """Of the tokens in this delta."""
    finish_reason: FinishReason | None


class ChatCompletionChunk(ResponseModel):
    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    """Empty in the usage chunk."""
    usage: CompletionUsage | None = None
    """Present only with `stream_options.include_usage`: null until the last chunk. Of all choices."""
    service_tier: str
    system_fingerprint: str
    bodkin: BodkinExtension | None = None
    """In the finish chunk of each choice only, and of that choice."""
