"""Requests per minute, shared by threads, in a time that the test makes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from training.teacher.limiter import Limiter


class Time:
    """A clock that goes on only when somebody sleeps: the sleeper's time is its own, as threads sleep side by side."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)

    def pass_(self, seconds: float) -> None:
        self.now += seconds


def test_requests_are_spaced_evenly() -> None:
    time = Time()
    limiter = Limiter(60, time.clock, time.sleep)
    for _ in range(4):
        limiter.wait()
    assert time.slept == pytest.approx([1, 2, 3])  # the clock stood still: each is one second later


def test_time_that_passes_is_not_waited_for_nor_saved_up() -> None:
    time = Time()
    limiter = Limiter(60, time.clock, time.sleep)
    limiter.wait()
    time.pass_(100)
    limiter.wait()
    limiter.wait()
    assert time.slept == pytest.approx([1])


def test_threads_share_the_rate() -> None:
    time = Time()
    limiter = Limiter(600, time.clock, time.sleep)
    with ThreadPoolExecutor(16) as pool:
        for done in [pool.submit(limiter.wait) for _ in range(100)]:
            done.result()
    # No two got the same turn: 100 turns, a tenth of a second apart, of which the first is now.
    assert sorted(time.slept) == pytest.approx([0.1 * i for i in range(1, 100)])


def test_hold_stops_everybody() -> None:
    time = Time()
    limiter = Limiter(None, time.clock, time.sleep)
    limiter.wait()
    assert time.slept == []
    limiter.hold(30)
    limiter.hold(10)
    limiter.wait()
    time.pass_(20)
    limiter.wait()
    time.pass_(20)
    limiter.wait()
    assert time.slept == [30, 10]
