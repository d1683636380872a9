"""The use case: hand a request to an engine, in a worker thread, and bring its events back as they come.

Knows nothing of HTTP or OpenAI. Engines block; the event loop must not. So each generation runs in a thread of its
own, at most `max_concurrency` at a time, and its events cross over through a queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Literal

import anyio
import anyio.to_thread

from app.errors import QueueFullError
from model.types import Engine, Event, Finished, GenerationRequest, GenerationResult


class Service:
    """Owns the places in the queue, which all engines share: so many requests, whatever models they name."""

    def __init__(self, *, max_concurrency: int, queue_limit: int) -> None:
        self._limiter = anyio.CapacityLimiter(max_concurrency)
        self._places = max_concurrency + queue_limit
        self._taken = 0

    def start(self, engine: Engine, request: GenerationRequest, *, live: bool) -> Generation:
        """Queue a generation. With `live`, all events are delivered as they come; without, only the last one."""
        if self._taken >= self._places:
            raise QueueFullError("Too many requests are waiting for this server; try again in a moment.")
        self._taken += 1
        return Generation(engine, request, live, self._limiter, self._free_place)

    def _free_place(self) -> None:
        self._taken -= 1


class Generation:
    """One running generation: an async iterator of events. Whoever starts it calls `close` when done or gone."""

    def __init__(
        self,
        engine: Engine,
        request: GenerationRequest,
        live: bool,
        limiter: anyio.CapacityLimiter,
        on_end: Callable[[], None],
    ) -> None:
        self._request = request
        self._live = live
        self._limiter = limiter
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Event | Exception | Literal["prepared"]] = asyncio.Queue()
        self._stop = threading.Event()
        self._started = False
        # The engine is held by the work and by nothing else: one that was replaced goes with its last request.
        self._task = self._loop.create_task(self._run(engine))
        self._task.add_done_callback(lambda task: on_end())

    async def prepared(self) -> None:
        """Return once nothing of the request can be refused any more; raises what is wrong with it."""
        item = await self._next()
        assert item == "prepared", item

    async def result(self) -> GenerationResult:
        async for event in self:
            if isinstance(event, Finished):
                return event.result
        raise AssertionError("the worker reports a stream that ends early as an error")

    def __aiter__(self) -> Generation:
        return self

    async def __anext__(self) -> Event:
        item = await self._next()
        assert item != "prepared", "live generations are awaited with prepared() first"
        return item

    def close(self) -> None:
        """Stop at the next event, or at once if still waiting in the queue. Harmless after the end."""
        self._stop.set()
        if not self._started:
            self._task.cancel()

    async def _next(self) -> Event | Literal["prepared"]:
        item = await self._queue.get()
        if not isinstance(item, Exception):
            return item
        try:
            raise item
        finally:
            del item  # the error holds this frame: held by it in turn, both would stay, and with them the engine

    async def _run(self, engine: Engine) -> None:
        await anyio.to_thread.run_sync(self._work, engine, limiter=self._limiter)

    def _work(self, engine: Engine) -> None:
        """In the worker thread."""
        self._started = True
        try:
            self._generate(engine)
        except Exception as error:
            self._post(error)

    def _generate(self, engine: Engine) -> None:
        if self._live:
            engine.prepare(self._request)
            self._post("prepared")
        events = engine.stream(self._request)
        with contextlib.ExitStack() as stack:
            if close := getattr(events, "close", None):  # a generator: its clean-up must not wait for the collector
                stack.callback(close)
            for event in events:
                if self._stop.is_set():
                    return
                if self._live or isinstance(event, Finished):
                    self._post(event)
                if isinstance(event, Finished):
                    return
        raise RuntimeError("the engine's stream ended without a Finished event")

    def _post(self, item: Event | Exception | Literal["prepared"]) -> None:
        self._loop.call_soon_threadsafe(self._queue.put_nowait, item)
