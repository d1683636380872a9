"""`/v1/responses`: the response object and its output items."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from app.schemas.base import ResponseModel
from app.schemas.bodkin import BodkinExtension
from app.schemas.chat import TokenLogprob


class OutputText(ResponseModel):
    type: Literal["output_text"]
    annotations: list[Any]
    logprobs: list[TokenLogprob]
    """Empty unless asked for, and for text that no model wrote: the results of tools."""
    text: str


ItemStatus = Literal["in_progress", "completed", "incomplete"]
Status = Literal[ItemStatus, "failed"]


class OutputMessage(ResponseModel):
    id: str
    type: Literal["message"]
    status: ItemStatus
    content: list[OutputText]
    role: Literal["assistant"]


class OutputCall(ResponseModel):
    id: str
    type: Literal["function_call"]
    status: ItemStatus
    arguments: str
    """JSON text; validates against the tool's `parameters` once the item is completed."""
    call_id: str
    """What the call's output must name."""
    name: str


OutputItem = OutputCall | OutputMessage


class DeclaredTool(ResponseModel):
    """A tool of the request."""

    type: Literal["function"]
    description: str | None
    name: str
    parameters: dict[str, Any] | None
    strict: bool


class DeclaredFormat(ResponseModel):
    """The text format of the request."""

    model_config = ConfigDict(serialize_by_alias=True)

    type: Literal["text", "json_schema", "json_object"]
    description: str | None = None
    name: str | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None


class DeclaredText(ResponseModel):
    format: DeclaredFormat
    verbosity: Literal["low", "medium", "high"]


class ResponseErrorBody(ResponseModel):
    code: Literal["server_error"]
    message: str


class IncompleteDetails(ResponseModel):
    reason: Literal["max_output_tokens"]


class NoReasoning(ResponseModel):
    effort: None
    summary: None


class InputTokensDetails(ResponseModel):
    cache_write_tokens: int
    cached_tokens: int


class OutputTokensDetails(ResponseModel):
    reasoning_tokens: int


class ResponseUsage(ResponseModel):
    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class ResponseObject(ResponseModel):
    """The answer, and what it was asked: the values that were in force, where the request left them open."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Status
    background: Literal[False]
    completed_at: int | None
    error: ResponseErrorBody | None
    incomplete_details: IncompleteDetails | None
    """Set when `max_output_tokens` cut the answer. A call that was cut is no item of `output`."""
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    model: str
    output: list[OutputItem]
    """The calls, in order; or one message, with the JSON text that was asked for, or the latest results of tools, or an
    empty text when there is nothing to say."""
    parallel_tool_calls: bool
    previous_response_id: None
    prompt_cache_key: str | None
    reasoning: NoReasoning
    safety_identifier: str | None
    service_tier: Literal["default"]
    store: Literal[False]
    """Responses are not kept, whatever the request says."""
    temperature: float
    text: DeclaredText
    tool_choice: str | dict[str, Any]
    tools: list[DeclaredTool]
    top_logprobs: int
    top_p: float
    truncation: Literal["disabled"]
    """An input that is too long is refused, whatever the request says."""
    usage: ResponseUsage | None
    """Null until the answer is complete."""
    user: str | None
    metadata: dict[str, str]
    bodkin: BodkinExtension | None = None
    """Absent until the answer is complete."""
