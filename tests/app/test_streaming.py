from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest
from starlette.requests import Request

from app.schemas.models import Model
from app.service import Service
from app.streaming import ClientGoneError, EventStream, event_frames, unless_gone
from model.types import Event, Finished, GenerationRequest, GenerationResult, Message, Tool
from tests.conftest import PARIS, FakeEngine, result

REQUEST = GenerationRequest(messages=(Message("user", "?"),), tools=(Tool("get_weather"),))


def request_of(gone: asyncio.Event) -> Request:
    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    return Request({"type": "http"}, receive)


async def test_unless_gone_returns_what_was_awaited() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 5

    assert await unless_gone(request_of(asyncio.Event()), work()) == 5


async def test_unless_gone_raises_bare_errors() -> None:
    async def work() -> int:
        raise ValueError("bare")

    with pytest.raises(ValueError, match="bare"):
        await unless_gone(request_of(asyncio.Event()), work())


async def test_unless_gone_gives_up() -> None:
    gone = asyncio.Event()
    cancelled = asyncio.Event()

    async def work() -> int:
        gone.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return 5

    with pytest.raises(ClientGoneError):
        await unless_gone(request_of(gone), work())
    assert cancelled.is_set()


def write(event: Event) -> Iterator[Model]:
    yield Model(id=type(event).__name__, object="model", created=0, owned_by="ü")


async def test_frames(engine: FakeEngine) -> None:
    service = Service(max_concurrency=1, queue_limit=0)
    engine.script = lambda request: iter([Finished(result(PARIS))])
    generation = service.start(engine, REQUEST, live=True)
    await generation.prepared()
    finished: list[GenerationResult] = []
    frames = [frame async for frame in event_frames(generation, write, finished.append, "req_1")]
    assert frames == [
        'data: {"id":"Finished","object":"model","created":0,"owned_by":"ü"}\n\n',
        "data: [DONE]\n\n",
    ]
    assert finished == [result(PARIS)]


async def test_frames_of_several_answers(engine: FakeEngine) -> None:
    engine.script = lambda request: iter([Finished(result(PARIS))])
    generation = Service(max_concurrency=1, queue_limit=0).start(engine, REQUEST, REQUEST, live=True)
    await generation.prepared()
    finished: list[GenerationResult] = []
    frames = [frame async for frame in event_frames(generation, write, finished.append, "req_1")]
    assert len(frames) == 3
    assert frames[-1] == "data: [DONE]\n\n"
    assert finished == [result(PARIS)] * 2


async def test_the_generator_is_closed_when_sending_fails() -> None:
    closed = False

    async def frames() -> AsyncGenerator[str, None]:
        nonlocal closed
        try:
            while True:
                yield "data: x\n\n"
        finally:
            closed = True

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            raise OSError

    with pytest.raises(OSError):
        await EventStream(frames())({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send)
    assert closed
