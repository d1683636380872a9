from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.errors import QueueFullError
from app.service import Generation, Service
from model.errors import RequestError
from model.types import ArgumentsDelta, CallStarted, Event, Finished, GenerationRequest, Message, Tool, ToolCall
from tests.conftest import PARIS, FakeEngine, events, result, wait_until

REQUEST = GenerationRequest(messages=(Message("user", "?"),), tools=(Tool("get_weather"),))


def service_of(max_concurrency: int = 2, queue_limit: int = 8) -> Service:
    return Service(max_concurrency=max_concurrency, queue_limit=queue_limit)


async def until(condition: object) -> None:
    for _ in range(1000):
        if condition():  # type: ignore[operator]
            return
        await asyncio.sleep(0.005)
    raise AssertionError("waited in vain")


class Gate:
    """A script that waits for `open` after its first event."""

    def __init__(self) -> None:
        self.open = threading.Event()

    def __call__(self, request: GenerationRequest) -> Iterator[Event]:
        yield CallStarted(0, "get_weather")
        assert self.open.wait(5)
        yield ArgumentsDelta(0, PARIS.arguments)
        yield Finished(result(PARIS))


async def test_result(engine: FakeEngine) -> None:
    engine.answer(PARIS)
    assert await service_of().start(engine, REQUEST, live=False).result() == result(PARIS)
    assert engine.requests == [REQUEST]


async def test_live_events(engine: FakeEngine) -> None:
    engine.answer(PARIS)
    generation = service_of().start(engine, REQUEST, live=True)
    await generation.prepared()
    got = []
    async for event in generation:
        got.append(event)
        if isinstance(event, Finished):
            break
    assert got == list(events(result(PARIS)))


@pytest.mark.parametrize("live", [True, False])
async def test_refusals_are_raised_where_they_are_awaited(engine: FakeEngine, live: bool) -> None:
    engine.refusal = RequestError("no")
    generation = service_of().start(engine, REQUEST, live=live)
    with pytest.raises(RequestError):
        await (generation.prepared() if live else generation.result())


async def test_a_stream_that_ends_early_is_an_error(engine: FakeEngine) -> None:
    engine.script = lambda request: iter([CallStarted(0, "f")])
    with pytest.raises(RuntimeError, match="without a Finished event"):
        await service_of().start(engine, REQUEST, live=False).result()


class Counting:
    """A script that calls with the seed of its request, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, request: GenerationRequest) -> Iterator[Event]:
        self.asked += 1
        return events(result(ToolCall("get_weather", f'{{"seed":{request.seed}}}')))


def seeded(*seeds: int | None, temperature: float = 1.0) -> list[GenerationRequest]:
    return [replace(REQUEST, seed=seed, temperature=temperature) for seed in seeds]


@pytest.mark.parametrize("live", [True, False])
async def test_several_answers_follow_one_another(engine: FakeEngine, live: bool) -> None:
    engine.script = Counting()
    service = service_of(max_concurrency=1, queue_limit=0)
    generation = service.start(engine, *seeded(5, 6, 7), live=live)
    assert service._taken == 1, "one place for all"
    if live:
        await generation.prepared()
    got = [event async for event in generation]
    finished = [event.result.calls[0].arguments for event in got if isinstance(event, Finished)]
    assert finished == ['{"seed":5}', '{"seed":6}', '{"seed":7}']
    assert len(got) == (3 * 4 if live else 3)
    assert engine.requests == seeded(5, 6, 7)
    wait_until(lambda: engine.closed == 3)  # the worker closes the last one behind its last event


@pytest.mark.parametrize(
    ("requests", "asked"),
    [
        (seeded(5, 5, 5, temperature=0.0), 1),
        (seeded(None, None, temperature=0.0), 1),
        (seeded(5, 6, 6, temperature=0.0), 2),
        (seeded(None, None, None), 3),
    ],
)
@pytest.mark.parametrize("live", [True, False])
async def test_only_what_can_differ_is_computed_again(
    engine: FakeEngine, requests: list[GenerationRequest], asked: int, live: bool
) -> None:
    engine.script = counting = Counting()
    generation = service_of().start(engine, *requests, live=live)
    if live:
        await generation.prepared()
    got = [event async for event in generation]
    assert counting.asked == asked
    one_by_one = [event for request in requests for event in Counting()(request)]
    assert got == (one_by_one if live else [event for event in one_by_one if isinstance(event, Finished)])


async def test_a_failure_in_a_later_answer_is_the_failure_of_all(engine: FakeEngine) -> None:
    def script(request: GenerationRequest) -> Iterator[Event]:
        if request.seed == 6:
            raise ValueError("six")
        return events(result(PARIS))

    engine.script = script
    service = service_of(max_concurrency=1, queue_limit=0)
    with pytest.raises(ValueError, match="six"):
        await service.start(engine, *seeded(5, 6, 7), live=False).results()
    assert [request.seed for request in engine.requests] == [5, 6]
    await until(lambda: service._taken == 0)


async def test_close_between_two_answers(engine: FakeEngine) -> None:
    gate = engine.script = Gate()
    generation = service_of().start(engine, *seeded(5, 6), live=True)
    await generation.prepared()
    gate.open.set()
    async for event in generation:
        if isinstance(event, Finished):
            gate.open.clear()
            break
    generation.close()
    gate.open.set()
    await until(lambda: engine.running == 0 and generation._task.done())
    assert engine.closed == len(engine.requests)


async def test_the_event_loop_is_not_blocked(engine: FakeEngine) -> None:
    gate = engine.script = Gate()
    generation = service_of().start(engine, REQUEST, live=True)
    await generation.prepared()
    assert await anext(generation) == CallStarted(0, "get_weather")
    gate.open.set()
    assert (await generation.result()).calls == (PARIS,)


async def test_close_stops_at_the_next_event_and_frees_the_place(engine: FakeEngine) -> None:
    gate = engine.script = Gate()
    service = service_of(max_concurrency=1, queue_limit=0)
    generation = service.start(engine, REQUEST, live=True)
    await generation.prepared()
    generation.close()
    gate.open.set()
    await until(lambda: engine.closed == 1)
    engine.script = engine.obey
    await until(lambda: service._taken == 0)
    assert (await service.start(engine, REQUEST, live=False).result()).calls


async def test_never_more_than_the_limit_at_once(engine: FakeEngine) -> None:
    gate = engine.script = Gate()
    service = service_of(max_concurrency=3, queue_limit=17)
    running = [service.start(engine, REQUEST, live=False) for _ in range(20)]
    await until(lambda: engine.running == 3)
    gate.open.set()
    answers = await asyncio.gather(*(generation.result() for generation in running))
    assert len(answers) == 20
    assert engine.most_running == 3


async def test_a_full_queue_refuses_until_there_is_room(engine: FakeEngine) -> None:
    gate = engine.script = Gate()
    service = service_of(max_concurrency=1, queue_limit=1)
    running = [service.start(engine, REQUEST, live=False) for _ in range(2)]
    with pytest.raises(QueueFullError):
        service.start(engine, REQUEST, live=False)
    gate.open.set()
    await asyncio.gather(*(generation.result() for generation in running))
    await until(lambda: service._taken == 0)
    assert (await service.start(engine, REQUEST, live=False).result()).calls


async def test_one_that_is_closed_while_it_waits_never_runs(engine: FakeEngine) -> None:
    gate = engine.script = Gate()
    service = service_of(max_concurrency=1, queue_limit=1)
    first = service.start(engine, REQUEST, live=False)
    await until(lambda: engine.running == 1)
    waiting: Generation = service.start(engine, REQUEST, live=False)
    await asyncio.sleep(0)
    waiting.close()
    await until(lambda: service._taken == 1)
    gate.open.set()
    await first.result()
    await asyncio.sleep(0.05)
    assert len(engine.requests) == 1


async def test_engines_share_the_places(engine: FakeEngine) -> None:
    other = FakeEngine()
    gate = engine.script = other.script = Gate()
    service = service_of(max_concurrency=1, queue_limit=1)
    running = [service.start(one, REQUEST, live=False) for one in (engine, other)]
    await until(lambda: engine.running + other.running == 1)
    with pytest.raises(QueueFullError):
        service.start(other, REQUEST, live=False)
    gate.open.set()
    assert [(await generation.result()).calls for generation in running] == [(PARIS,), (PARIS,)]
    assert (len(engine.requests), len(other.requests)) == (1, 1)


@pytest.mark.parametrize("live", [True, False])
async def test_the_engine_is_released_with_its_work(live: bool) -> None:
    """Not only when the generation object is collected: a swapped model must not wait for a slow reader."""
    engine = FakeEngine()
    reference = weakref.ref(engine)
    generation = service_of().start(engine, REQUEST, live=live)
    del engine
    await (generation.prepared() if live else generation.result())
    await until(lambda: reference() is None)
    generation.close()
