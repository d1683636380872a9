"""Results and events as chat completions and stream chunks. Pure: ids and the clock come in with `Envelope`."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from app.adapters.bodkin import extension
from app.adapters.chat_request import ChatJob
from app.adapters.logprobs import choice_logprobs
from app.adapters.response_format import client_span
from app.adapters.stop import StopFilter, cut_result, cut_text
from app.schemas.bodkin import BodkinExtension
from app.schemas.chat import (
    AssistantMessage,
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChunkChoice,
    CompletionTokensDetails,
    CompletionUsage,
    Delta,
    FinishReason,
    FunctionCall,
    FunctionCallDelta,
    PromptTokensDetails,
    ToolCall,
    ToolCallDelta,
)
from model.types import ArgumentsDelta, CallStarted, Event, Finished, GenerationResult, TextDelta, TokenLogprob


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


def completion(envelope: Envelope, job: ChatJob, results: Sequence[GenerationResult]) -> ChatCompletion:
    """The whole answer; `results` are those of `job.requests`."""
    results = [cut_result(result, job.stop) for result in results]
    choices = [_choice(job, i, result) for i, result in enumerate(results)]
    extensions = [_extension(job, result) for result in results]
    if len(choices) > 1:
        for choice, its_own in zip(choices, extensions, strict=True):
            choice.bodkin = its_own
    return ChatCompletion(
        id=envelope.id,
        object="chat.completion",
        created=envelope.created,
        model=envelope.model,
        choices=choices,
        usage=_usage(results),
        service_tier="default",
        system_fingerprint=envelope.system_fingerprint,
        bodkin=extensions[0],
    )


def _choice(job: ChatJob, index: int, result: GenerationResult) -> Choice:
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
    logprobs = None if result.logprobs is None else choice_logprobs(result.logprobs)
    return Choice(index=index, message=message, logprobs=logprobs, finish_reason=finish_reason(job, result))


def finish_reason(job: ChatJob, result: GenerationResult) -> FinishReason:
    """OpenAI says "stop", not "tool_calls", about a call that the client had forced by name."""
    if result.finish_reason != "tool_calls":
        return result.finish_reason
    if job.request.tool_choice.mode == "named":
        return "stop"
    return "function_call" if job.legacy else "tool_calls"


class ChunkWriter:
    """Turns the events of `job.requests` into chunks, in order: one choice after the other, and the usage of all."""

    def __init__(self, envelope: Envelope, job: ChatJob, include_usage: bool) -> None:
        self._envelope = envelope
        self._job = job
        self._include_usage = include_usage
        self._results: list[GenerationResult] = []  # one for each choice that is finished: their number is the index
        self._begin_choice()

    def _begin_choice(self) -> None:
        self._opened = False
        self._said = False  # some of the text has been sent
        self._filter = StopFilter(self._job.stop)

    def write(self, event: Event) -> Iterator[ChatCompletionChunk]:
        if not self._opened:
            self._opened = True
            # With the first event it is known whether there will be a call; content is text or null from the start.
            content = None if isinstance(event, CallStarted) else ""
            asked = self._job.request.top_logprobs is not None
            yield self._chunk(Delta(role="assistant", content=content, refusal=None), () if asked else None)
        for passed in self._filter.events(event):
            yield from self._write(passed)

    def _write(self, event: Event) -> Iterator[ChatCompletionChunk]:
        match event:
            case CallStarted(index, name):
                yield self._chunk(self._call_delta(index, FunctionCallDelta(name=name, arguments=""), new_call_id()))
            case ArgumentsDelta(index, text, tokens):
                yield self._chunk(self._call_delta(index, FunctionCallDelta(arguments=text)), tokens or None)
            case TextDelta(text, tokens):
                self._said = True
                yield self._chunk(Delta(content=text), tokens or None)
            case Finished(result):
                yield from self._finish(result)

    def _finish(self, result: GenerationResult) -> Iterator[ChatCompletionChunk]:
        text = "" if result.calls or self._said else _text(self._job, result)
        if text:
            yield self._chunk(Delta(content=text))
        last = self._chunk(Delta(), reason=finish_reason(self._job, result))
        last.bodkin = _extension(self._job, result)
        yield last
        self._results.append(result)
        if len(self._results) < self._job.n:
            self._begin_choice()
        elif self._include_usage:
            usage = self._chunk(Delta())
            usage.choices = []
            usage.usage = _usage(self._results)
            yield usage

    def _call_delta(self, index: int, function: FunctionCallDelta, call_id: str | None = None) -> Delta:
        if self._job.legacy:
            return Delta(function_call=function)
        if call_id is None:
            return Delta(tool_calls=[ToolCallDelta(index=index, function=function)])
        return Delta(tool_calls=[ToolCallDelta(index=index, id=call_id, type="function", function=function)])

    def _chunk(
        self, delta: Delta, tokens: Sequence[TokenLogprob] | None = None, reason: FinishReason | None = None
    ) -> ChatCompletionChunk:
        logprobs = None if tokens is None else choice_logprobs(tokens)
        choice = ChunkChoice(index=len(self._results), delta=delta, logprobs=logprobs, finish_reason=reason)
        chunk = ChatCompletionChunk(
            id=self._envelope.id,
            object="chat.completion.chunk",
            created=self._envelope.created,
            model=self._envelope.model,
            choices=[choice],
            service_tier="default",
            system_fingerprint=self._envelope.system_fingerprint,
        )
        if self._include_usage:
            chunk.usage = None  # set, and so written: clients expect the field on every chunk
        return chunk


def _text(job: ChatJob, result: GenerationResult) -> str:
    """What an answer without calls says. One that was cut before it said anything says nothing."""
    if result.text is not None:
        return result.text
    if job.request.response is not None or result.finish_reason != "stop":
        return ""
    return cut_text(job.tool_results, job.stop)


def _usage(results: Sequence[GenerationResult]) -> CompletionUsage:
    """The prompt counts once, as it is read once; what was written for each choice."""
    prompt, cached = results[0].usage.prompt_tokens, results[0].usage.cached_tokens
    completion = sum(result.usage.completion_tokens for result in results)
    return CompletionUsage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=cached, audio_tokens=0),
        completion_tokens_details=CompletionTokensDetails(
            reasoning_tokens=0, audio_tokens=0, accepted_prediction_tokens=0, rejected_prediction_tokens=0
        ),
    )


def _extension(job: ChatJob, result: GenerationResult) -> BodkinExtension:
    return extension(result, partial(client_span, cuts=job.cuts))
