"""The money that a run may spend, shared by the threads that spend it."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


class BudgetReached(Exception):
    """The next call could pass the budget."""


class Stopped(Exception):
    """The run is stopping: nothing new is begun."""


@dataclass
class Call:
    """One paid call: `bound` is the most that it can cost, `dollars` what it did cost, set by who makes it."""

    bound: float
    dollars: float = 0.0


class Budget:
    """Lets a call begin only when it, and all that are under way, stay within `limit` dollars. Thread-safe."""

    def __init__(self, limit: float | None, spent: float) -> None:
        """No `limit` is no bound. `spent` is what earlier runs have spent of it."""
        self.limit = limit
        self.spent = spent
        self._reserved = 0.0
        self._under_way = 0
        self._stopping = False
        self._changed = threading.Condition()

    @contextmanager
    def call(self, bound: float) -> Iterator[Call]:
        """Around a call that costs at most `bound` dollars. Waits while calls under way might leave enough for it.

        Raises BudgetReached when they do not, and Stopped after `stop`.
        """
        self._reserve(bound)
        call = Call(bound)
        try:
            yield call
        finally:
            with self._changed:
                self._reserved -= bound
                self._under_way -= 1
                self.spent += call.dollars
                self._changed.notify_all()

    @property
    def left(self) -> float:
        """Dollars that are neither spent nor reserved; infinite without a limit."""
        return math.inf if self.limit is None else self.limit - self.spent - self._reserved

    def pay(self, dollars: float) -> None:
        """What was begun before this run, and cost this much."""
        with self._changed:
            self.spent += dollars

    def stop(self) -> None:
        """Let no other call begin; those that wait give up."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def _reserve(self, bound: float) -> None:
        with self._changed:
            while not self._stopping and bound > self.left:
                if not self._under_way:
                    raise BudgetReached
                self._changed.wait()
            if self._stopping:
                raise Stopped
            self._reserved += bound
            self._under_way += 1
