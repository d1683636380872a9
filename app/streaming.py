"""Server-sent events, and what to do about clients that go away."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import Protocol, TypeVar

import anyio
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.errors import InternalError
from app.schemas.base import ResponseModel
from app.schemas.errors import ErrorBody
from app.schemas.response_events import StreamEvent
from app.service import Generation
from model.types import Event, Finished, GenerationResult

logger = logging.getLogger("bodkin.stream")

T = TypeVar("T")


class ClientGoneError(Exception):
    """The client closed the connection before its answer was there."""


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """Await `work`, but give it up with `ClientGoneError` as soon as the client disconnects.

    The server does not cancel the handler of a closed connection; unwatched, a request would be computed for nobody.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        group.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            results.append(await work)
            group.cancel_scope.cancel()
    except BaseExceptionGroup as group_of_one:
        errors.append(group_of_one.exceptions[0])
    if errors:
        # Callers want the error of `work` bare. Raised above, it would have the group as its context, which holds it; a
        # variable here would hold it too, and it this frame. In such a cycle it would keep the engine it came from.
        raise errors.pop()
    if not results:
        raise ClientGoneError
    return results[0]


class EventStream(StreamingResponse):
    """`text/event-stream` that always closes its generator, also when the client leaves in the middle."""

    def __init__(self, frames: AsyncGenerator[str, None]) -> None:
        # Proxies hold back what they think is a page; nginx obeys the second header.
        headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
        super().__init__(frames, media_type="text/event-stream", headers=headers)
        self._frames = frames

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._frames.aclose()


async def event_frames(
    generation: Generation,
    write: Callable[[Event], Iterator[ResponseModel]],
    on_finish: Callable[[GenerationResult], None],
    request_id: str,
) -> AsyncGenerator[str, None]:
    """`generation` as frames, ending in `[DONE]`; `on_finish` is told of each answer once its frames are out.

    The status line is long gone when something breaks here, so an error is a frame of its own, and the stream ends
    without `[DONE]`.
    """
    try:
        async for event in generation:
            for chunk in write(event):
                yield f"data: {chunk.to_json()}\n\n"
            if isinstance(event, Finished):
                on_finish(event.result)
        yield "data: [DONE]\n\n"
    except Exception:
        logger.exception("request %s failed in the middle of its stream", request_id)
        yield f"data: {InternalError(request_id).body().model_dump_json()}\n\n"
    finally:
        generation.close()


class EventWriter(Protocol):
    """The events of one answer as events of the wire, of which each has a name."""

    def begin(self) -> Iterator[StreamEvent]: ...

    def write(self, event: Event) -> Iterator[StreamEvent]: ...

    def fail(self, error: ErrorBody) -> Iterator[StreamEvent]: ...


async def named_frames(
    generation: Generation,
    writer: EventWriter,
    before_finish: Callable[[GenerationResult], None],
    request_id: str,
) -> AsyncGenerator[str, None]:
    """`generation` as frames with the names of their events, of which the last says how it ended.

    `before_finish` is told of the answer before the client has all of it.
    """
    try:
        for item in writer.begin():
            yield _named(item)
        async for event in generation:
            if isinstance(event, Finished):
                before_finish(event.result)
            for item in writer.write(event):
                yield _named(item)
    except Exception:
        logger.exception("request %s failed in the middle of its stream", request_id)
        for item in writer.fail(InternalError(request_id).body().error):
            yield _named(item)
    finally:
        generation.close()


def _named(event: StreamEvent) -> str:
    return f"event: {event.type}\ndata: {event.to_json()}\n\n"
