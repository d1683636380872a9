"""The use case: hand a request to an engine, in a worker thread, and bring its events back as they come.

Knows nothing of HTTP or OpenAI. Engines block; the event loop must not. So each generation runs in a thread of its
own, at most `max_concurrency` at a time, and its events cross over through a queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Generator, Sequence
from typing import Literal, TypeVar

import anyio
import anyio.to_thread

from app.errors import QueueFullError
from model.types import Engine, Event, Finished, GenerationRequest, GenerationResult

T = TypeVar("T")


class Service:
    """Owns the places in the queue, which all engines share: so many requests, whatever models they name."""

    def __init__(self, *, max_concurrency: int, queue_limit: int) -> None:
        self._limiter = anyio.CapacityLimiter(max_concurrency)
        self._places = max_concurrency + queue_limit
        self._taken = 0

    def start(self, engine: Engine, *requests: GenerationRequest, live: bool) -> Generation:
        """Queue a generation. With `live`, all events are delivered as they come; without, only the last of an answer.

        Several requests are one question asked several times, that is, they differ in nothing but their seeds: what is
        wrong with one of them is wrong with all. They take one place, and are answered in it one after the other.
        """
        self._take_place()
        return Generation(engine, requests, live, self._limiter, self._free_place)

    async def run(self, work: Callable[[], T]) -> T:
        """Queue work that is a single call; returns its value. Cancelled while it waits, it never begins."""
        self._take_place()
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._free_place()

    def _take_place(self) -> None:
        if self._taken >= self._places:
            raise QueueFullError("Too many requests are waiting for this server; try again in a moment.")
        self._taken += 1

    def _free_place(self) -> None:
        self._taken -= 1


class Generation:
    """One running generation: an async iterator of events. Whoever starts it calls `close` when done or gone.

    The answers to several requests follow one another; each ends in its `Finished`, the iteration with the last one.
    """

    def __init__(
        self,
        engine: Engine,
        requests: Sequence[GenerationRequest],
        live: bool,
        limiter: anyio.CapacityLimiter,
        on_end: Callable[[], None],
    ) -> None:
        self._requests = requests
        self._live = live
        self._unfinished = len(requests)
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
        """The answer to the only request, or to the next one."""
        async for event in self:
            if isinstance(event, Finished):
                return event.result
        raise AssertionError("the worker reports a stream that ends early as an error")

    async def results(self) -> list[GenerationResult]:
        """The answers to all requests, in their order."""
        return [event.result async for event in self if isinstance(event, Finished)]

    def __aiter__(self) -> Generation:
        return self

    async def __anext__(self) -> Event:
        if not self._unfinished:
            raise StopAsyncIteration
        item = await self._next()
        assert item != "prepared", "live generations are awaited with prepared() first"
        if isinstance(item, Finished):
            self._unfinished -= 1
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
            engine.prepare(self._requests[0])
            self._post("prepared")
        with contextlib.closing(_answers(engine, self._requests)) as events:
            for event in events:
                if self._stop.is_set():
                    return
                if self._live or isinstance(event, Finished):
                    self._post(event)

    def _post(self, item: Event | Exception | Literal["prepared"]) -> None:
        self._loop.call_soon_threadsafe(self._queue.put_nowait, item)


def _answers(engine: Engine, requests: Sequence[GenerationRequest]) -> Generator[Event, None, None]:
    """The events of all answers. Without sampling, the same request has the same answer: it is played again."""
    before: GenerationRequest | None = None
    played: list[Event] = []
    for request in requests:
        if request == before and request.temperature == 0:
            yield from played
            continue
        before, played = request, []
        for event in _answer(engine, request):
            played.append(event)
            yield event


def _answer(engine: Engine, request: GenerationRequest) -> Generator[Event, None, None]:
    events = engine.stream(request)
    with contextlib.ExitStack() as stack:
        if close := getattr(events, "close", None):  # a generator: its clean-up must not wait for the collector
            stack.callback(close)
        for event in events:
            yield event
            if isinstance(event, Finished):
                return
    raise RuntimeError("the engine's stream ended without a Finished event")
