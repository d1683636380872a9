"""Results and events as chat completions and stream chunks. Pure: ids and the clock come in with `Envelope`."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.adapters.chat_request import ChatJob
from app.schemas.chat import (
    AssistantMessage,
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChunkChoice,
    CompletionTokensDetails,
    CompletionUsage,
    Confidence,
    Delta,
    FinishReason,
    FunctionCall,
    FunctionCallDelta,
    PromptTokensDetails,
    ToolCall,
    ToolCallDelta,
)
from model.types import ArgumentsDelta, CallStarted, Event, Finished, GenerationResult


@dataclass(frozen=True)
class Envelope:
    """What every answer to one request carries, whole or in chunks."""

    id: str
    created: int
    model: str
    system_fingerprint: str


def new_completion_id() -> str:
    return f"chatcmpl-{uuid.uuid4().hex}"


def new_call_id() -> str:
    return f"call_{uuid.uuid4().hex[:24]}"


def completion(envelope: Envelope, job: ChatJob, result: GenerationResult) -> ChatCompletion:
    shape: dict[str, Any] = {}
    if result.calls and job.legacy:
        call = result.calls[0]
        shape["function_call"] = FunctionCall(name=call.name, arguments=call.arguments)
    elif result.calls:
        shape["tool_calls"] = [
            ToolCall(id=new_call_id(), type="function", function=FunctionCall(name=call.name, arguments=call.arguments))
            for call in result.calls
        ]
    message = AssistantMessage(
        role="assistant",
        content=None if result.calls else _text(job, result),
        refusal=None,
        annotations=[],
        **shape,
    )
    return ChatCompletion(
        id=envelope.id,
        object="chat.completion",
        created=envelope.created,
        model=envelope.model,
        choices=[Choice(index=0, message=message, logprobs=None, finish_reason=finish_reason(job, result))],
        usage=_usage(result),
        service_tier="default",
        system_fingerprint=envelope.system_fingerprint,
        bodkin=_confidence(result),
    )


def finish_reason(job: ChatJob, result: GenerationResult) -> FinishReason:
    """OpenAI says "stop", not "tool_calls", about a call that the client had forced by name."""
    if result.finish_reason != "tool_calls":
        return result.finish_reason
    if job.request.tool_choice.mode == "named":
        return "stop"
    return "function_call" if job.legacy else "tool_calls"


class ChunkWriter:
    """Turns one answer's events into its chunks, in order. Holds what has been sent so far."""

    def __init__(self, envelope: Envelope, job: ChatJob, include_usage: bool) -> None:
        self._envelope = envelope
        self._job = job
        self._include_usage = include_usage
        self._opened = False

    def write(self, event: Event) -> Iterator[ChatCompletionChunk]:
        if not self._opened:
            self._opened = True
            # With the first event it is known whether there will be a call; content is text or null from the start.
            content = None if isinstance(event, CallStarted) else ""
            yield self._chunk(Delta(role="assistant", content=content, refusal=None))
        match event:
            case CallStarted(index, name):
                yield self._chunk(self._call_delta(index, FunctionCallDelta(name=name, arguments=""), new_call_id()))
            case ArgumentsDelta(index, text):
                yield self._chunk(self._call_delta(index, FunctionCallDelta(arguments=text)))
            case Finished(result):
                yield from self._finish(result)

    def _finish(self, result: GenerationResult) -> Iterator[ChatCompletionChunk]:
        text = "" if result.calls else _text(self._job, result)
        if text:
            yield self._chunk(Delta(content=text))
        last = self._chunk(Delta(), finish_reason(self._job, result))
        last.bodkin = _confidence(result)
        yield last
        if self._include_usage:
            usage = self._chunk(Delta())
            usage.choices = []
            usage.usage = _usage(result)
            yield usage

    def _call_delta(self, index: int, function: FunctionCallDelta, call_id: str | None = None) -> Delta:
        if self._job.legacy:
            return Delta(function_call=function)
        if call_id is None:
            return Delta(tool_calls=[ToolCallDelta(index=index, function=function)])
        return Delta(tool_calls=[ToolCallDelta(index=index, id=call_id, type="function", function=function)])

    def _chunk(self, delta: Delta, reason: FinishReason | None = None) -> ChatCompletionChunk:
        chunk = ChatCompletionChunk(
            id=self._envelope.id,
            object="chat.completion.chunk",
            created=self._envelope.created,
            model=self._envelope.model,
            choices=[ChunkChoice(index=0, delta=delta, logprobs=None, finish_reason=reason)],
            service_tier="default",
            system_fingerprint=self._envelope.system_fingerprint,
        )
        if self._include_usage:
            chunk.usage = None  # set, and so written: clients expect the field on every chunk
        return chunk


def _text(job: ChatJob, result: GenerationResult) -> str:
    """What an answer without calls says. One that was cut says nothing."""
    return job.tool_results if result.finish_reason == "stop" else ""


def _usage(result: GenerationResult) -> CompletionUsage:
    usage = result.usage
    return CompletionUsage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=usage.cached_tokens, audio_tokens=0),
        completion_tokens_details=CompletionTokensDetails(
            reasoning_tokens=0, audio_tokens=0, accepted_prediction_tokens=0, rejected_prediction_tokens=0
        ),
    )


def rounded(confidence: float | None) -> float | None:
    """To the four decimals that clients and logs get; null stays null."""
    return None if confidence is None else round(confidence, 4)


def _confidence(result: GenerationResult) -> Confidence:
    return Confidence(confidence=rounded(result.confidence), calls=[rounded(c) for c in result.confidences])
