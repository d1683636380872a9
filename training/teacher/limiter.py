"""So many requests per minute, whichever threads send them."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Limiter:
    """A token bucket that holds one token: requests are spaced evenly, so that no minute has more than its share.

    `hold` stops all threads for a while: when one is told to wait, the others would be told the same.
    """

    def __init__(self, per_minute: float | None, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        """`per_minute` None is no limit; `clock` counts seconds."""
        self._interval = 60 / per_minute if per_minute else 0.0
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = clock()

    def wait(self) -> None:
        """Block until this thread's turn to send."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._next)
            self._next = turn + self._interval
        if turn > now:
            self._sleep(turn - now)

    def hold(self, seconds: float) -> None:
        """Give no turn to any thread for so long."""
        with self._lock:
            self._next = max(self._next, self._clock() + seconds)
