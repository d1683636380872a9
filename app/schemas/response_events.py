"""`/v1/responses`: the events of a stream. `sequence_number` counts them from 0."""

from __future__ import annotations

from typing import Literal

from app.schemas.base import ResponseModel
from app.schemas.errors import ErrorBody
from app.schemas.response_object import OutputItem, OutputText, ResponseObject


class StreamEvent(ResponseModel):
    """What all events have; each says which one it is in `type`, and in the name of its frame."""

    type: str
    sequence_number: int


class LifecycleEvent(StreamEvent):
    """The response as far as it is; the last three end the stream."""

    type: Literal[
        "response.created", "response.in_progress", "response.completed", "response.incomplete", "response.failed"
    ]
    response: ResponseObject


class ItemEvent(StreamEvent):
    """An item begins, still empty, or is done."""

    type: Literal["response.output_item.added", "response.output_item.done"]
    output_index: int
    """Its place in the response's `output`."""
    item: OutputItem


class ArgumentsDeltaEvent(StreamEvent):
    type: Literal["response.function_call_arguments.delta"]
    item_id: str
    output_index: int
    delta: str


class ArgumentsDoneEvent(StreamEvent):
    type: Literal["response.function_call_arguments.done"]
    item_id: str
    output_index: int
    arguments: str


class ContentPartEvent(StreamEvent):
    type: Literal["response.content_part.added", "response.content_part.done"]
    item_id: str
    output_index: int
    content_index: int
    part: OutputText


class DeltaTopLogprob(ResponseModel):
    token: str
    logprob: float


class DeltaLogprob(ResponseModel):
    """As in the finished item, without the bytes."""

    token: str
    logprob: float
    top_logprobs: list[DeltaTopLogprob]


class TextDeltaEvent(StreamEvent):
    type: Literal["response.output_text.delta"]
    item_id: str
    output_index: int
    content_index: int
    delta: str
    logprobs: list[DeltaLogprob]


class TextDoneEvent(StreamEvent):
    type: Literal["response.output_text.done"]
    item_id: str
    output_index: int
    content_index: int
    text: str
    logprobs: list[DeltaLogprob]


class ErrorEvent(StreamEvent):
    """Something broke; `response.failed` follows.

    OpenAI documents the error's fields as the event's own, and sends them as `error`. Clients read either.
    """

    type: Literal["error"]
    code: str | None
    message: str
    param: str | None
    error: ErrorBody
