"""How much to try. `FUZZ=20 pytest tests/fuzz` tries twenty times as much, and something else every time."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

FACTOR = int(os.environ.get("FUZZ", "1"))
SECONDS = 60  # for one answer; a machine may be busy, but whatever takes longer hangs


def examples(number: int) -> settings:
    """So many examples, the same ones on every run unless more are asked for."""
    return settings(
        max_examples=number * FACTOR,
        derandomize=FACTOR == 1,
        database=None,
        deadline=1000 * SECONDS,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
