"""`/v1/chat/completions`: request, response and stream chunk."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from app.schemas.base import RequestModel, ResponseModel, json_type
from app.schemas.tools import (
    CalledFunction,
    FunctionCallChoice,
    FunctionDefinition,
    FunctionTool,
    MessageToolCall,
    ToolChoice,
)


class ContentPart(RequestModel):
    type: str
    """`text`, or `refusal` in an assistant's turn. Images, audio and files are refused."""
    text: str | None = None
    refusal: str | None = None


Content = Annotated[
    Annotated[str, Tag("#string")] | Annotated[list[ContentPart], Tag("#array")],
    Discriminator(json_type, custom_error_type="wire_type", custom_error_message="expected a string or an array"),
]


class ChatMessage(RequestModel):
    """One turn. All roles share this model: which fields matter depends on `role`."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Content | None = None
    name: str | None = None
    tool_calls: list[MessageToolCall] | None = None
    tool_call_id: str | None = None
    function_call: CalledFunction | None = None


class StreamOptions(RequestModel):
    include_usage: bool | None = None


class ResponseFormat(RequestModel):
    type: str


class ChatCompletionRequest(RequestModel):
    """Fields not listed here are accepted and ignored."""

    model: str
    messages: list[ChatMessage] = Field(min_length=1)
    tools: list[FunctionTool] | None = Field(default=None, min_length=1)
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    functions: list[FunctionDefinition] | None = Field(default=None, min_length=1)
    """Legacy form of `tools`; answered with `function_call`."""
    function_call: FunctionCallChoice | None = None
    """Legacy form of `tool_choice`."""

    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_completion_tokens: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)
    """Older name of `max_completion_tokens`, which wins when both are given."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """Default 0: the most probable call."""
    top_p: float | None = Field(default=None, ge=0, le=1)
    seed: int | None = Field(default=None, ge=-(2**63), le=2**63 - 1)

    n: int | None = Field(default=None, ge=1, le=128)
    """Only 1 is served."""
    stop: Any = None
    """Not served: null or empty only."""
    logprobs: bool | None = None
    """Not served: false only."""
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    """Not served: 0 only."""
    response_format: ResponseFormat | None = None
    """Only `{"type": "text"}` is served."""

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
    modalities: Any = None
    prediction: Any = None


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
    refusal: None
    annotations: list[Any]
    tool_calls: list[ToolCall] = []
    """Absent when there is no call."""
    function_call: FunctionCall | None = None
    """Only when the request used the legacy `functions`."""


FinishReason = Literal["tool_calls", "function_call", "stop", "length"]


class Choice(ResponseModel):
    index: int
    message: AssistantMessage
    logprobs: None
    finish_reason: FinishReason


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


class Confidence(ResponseModel):
    """Bodkin's extension: calibrated probabilities that the answer is right; null while the model is not calibrated."""

    confidence: float | None
    """Of the whole answer; of "no call" when there is none."""
    calls: list[float | None]
    """Of each call, in order."""


class ChatCompletion(ResponseModel):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: CompletionUsage
    service_tier: str
    system_fingerprint: str
    bodkin: Confidence


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
    logprobs: None
    finish_reason: FinishReason | None


class ChatCompletionChunk(ResponseModel):
    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    """Empty in the usage chunk."""
    usage: CompletionUsage | None = None
    """Present only with `stream_options.include_usage`: null until the last chunk."""
    service_tier: str
    system_fingerprint: str
    bodkin: Confidence | None = None
    """In the finish chunk only."""
