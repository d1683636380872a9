"""The events of one answer as those of a response stream, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from app.adapters.logprobs import token_logprob
from app.adapters.responses_request import ResponseJob
from app.adapters.responses_response import (
    Head,
    answer_text,
    call_item,
    message_item,
    response,
    response_failed,
    response_in_progress,
    text_part,
)
from app.schemas.errors import ErrorBody
from app.schemas.response_events import (
    ArgumentsDeltaEvent,
    ArgumentsDoneEvent,
    ContentPartEvent,
    DeltaLogprob,
    DeltaTopLogprob,
    ErrorEvent,
    ItemEvent,
    LifecycleEvent,
    StreamEvent,
    TextDeltaEvent,
    TextDoneEvent,
)
from model.types import ArgumentsDelta, CallStarted, Event, Finished, GenerationResult, TextDelta, TokenLogprob


class EventWriter:
    """`begin`, then `write` for each event of the engine; `fail` in place of what is left when something breaks.

    Holds what has been sent of the item that is open. The engine finishes a call before it begins the next, and says
    nothing about it: that a call is done is known when the next one begins, or with the result.
    """

    def __init__(self, head: Head, job: ResponseJob, clock: Callable[[], float]) -> None:
        self._head = head
        self._job = job
        self._clock = clock
        self._number = 0
        self._call: CallStarted | None = None
        self._arguments = ""
        self._said = False  # the message is open

    def begin(self) -> Iterator[StreamEvent]:
        now = response_in_progress(self._head, self._job)
        yield LifecycleEvent(type="response.created", sequence_number=self._next(), response=now)
        yield LifecycleEvent(type="response.in_progress", sequence_number=self._next(), response=now)

    def write(self, event: Event) -> Iterator[StreamEvent]:
        match event:
            case CallStarted():
                yield from self._end_call(cut=False)
                yield self._begin_call(event)
            case ArgumentsDelta(index, text) if text:
                self._arguments += text
                yield ArgumentsDeltaEvent(
                    type="response.function_call_arguments.delta",
                    sequence_number=self._next(),
                    item_id=self._head.item_id(index),
                    output_index=index,
                    delta=text,
                )
            case TextDelta(text, tokens):
                yield from self._say(text, tokens)
            case Finished(result):
                yield from self._finish(result)

    def fail(self, error: ErrorBody) -> Iterator[StreamEvent]:
        yield ErrorEvent(
            type="error",
            sequence_number=self._next(),
            code=error.code or error.type,
            message=error.message,
            param=error.param,
            error=error,
        )
        yield LifecycleEvent(
            type="response.failed",
            sequence_number=self._next(),
            response=response_failed(self._head, self._job, error.message),
        )

    def _finish(self, result: GenerationResult) -> Iterator[StreamEvent]:
        made = response(self._head, self._job, result, int(self._clock()))
        cut = result.finish_reason == "length"
        # A call that was begun, but is none of the result's, is the one that the budget cut.
        yield from self._end_call(cut=self._call is not None and self._call.index >= len(result.calls))
        if not result.calls and made.output:
            text, tokens = answer_text(self._job, result)
            if not self._said:
                yield from self._say(text, tokens)
            yield from self._end_message(text, tokens, cut)
        yield LifecycleEvent(
            type="response.incomplete" if cut else "response.completed", sequence_number=self._next(), response=made
        )

    def _begin_call(self, call: CallStarted) -> StreamEvent:
        self._call, self._arguments = call, ""
        return ItemEvent(
            type="response.output_item.added",
            sequence_number=self._next(),
            output_index=call.index,
            item=call_item(self._head, call.index, call.name, "", "in_progress"),
        )

    def _end_call(self, *, cut: bool) -> Iterator[StreamEvent]:
        """Nothing if none is open."""
        call, self._call = self._call, None
        if call is None:
            return
        item = call_item(self._head, call.index, call.name, self._arguments, "incomplete" if cut else "completed")
        if not cut:
            yield ArgumentsDoneEvent(
                type="response.function_call_arguments.done",
                sequence_number=self._next(),
                item_id=item.id,
                output_index=call.index,
                arguments=self._arguments,
            )
        yield ItemEvent(
            type="response.output_item.done", sequence_number=self._next(), output_index=call.index, item=item
        )

    def _say(self, text: str, tokens: Sequence[TokenLogprob]) -> Iterator[StreamEvent]:
        """The next piece of the message, which begins with its first."""
        if not self._said:
            self._said = True
            yield ItemEvent(
                type="response.output_item.added",
                sequence_number=self._next(),
                output_index=0,
                item=message_item(self._head, "in_progress", []),
            )
            yield ContentPartEvent(
                type="response.content_part.added",
                sequence_number=self._next(),
                item_id=self._head.message_id,
                output_index=0,
                content_index=0,
                part=text_part(""),
            )
        if text or tokens:
            yield TextDeltaEvent(
                type="response.output_text.delta",
                sequence_number=self._next(),
                item_id=self._head.message_id,
                output_index=0,
                content_index=0,
                delta=text,
                logprobs=_logprobs(tokens),
            )

    def _end_message(self, text: str, tokens: Sequence[TokenLogprob], cut: bool) -> Iterator[StreamEvent]:
        yield TextDoneEvent(
            type="response.output_text.done",
            sequence_number=self._next(),
            item_id=self._head.message_id,
            output_index=0,
            content_index=0,
            text=text,
            logprobs=_logprobs(tokens),
        )
        part = text_part(text, tokens)
        yield ContentPartEvent(
            type="response.content_part.done",
            sequence_number=self._next(),
            item_id=self._head.message_id,
            output_index=0,
            content_index=0,
            part=part,
        )
        yield ItemEvent(
            type="response.output_item.done",
            sequence_number=self._next(),
            output_index=0,
            item=message_item(self._head, "incomplete" if cut else "completed", [part]),
        )

    def _next(self) -> int:
        self._number += 1
        return self._number - 1


def _logprobs(tokens: Sequence[TokenLogprob]) -> list[DeltaLogprob]:
    """Events leave the bytes to the finished item."""
    return [
        DeltaLogprob(
            token=token.token,
            logprob=token.logprob,
            top_logprobs=[DeltaTopLogprob(token=top.token, logprob=top.logprob) for top in token.top_logprobs],
        )
        for token in map(token_logprob, tokens)
    ]
