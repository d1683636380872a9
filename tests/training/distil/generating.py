"""`generate` in a process of its own, which may kill itself: LEDGER LOG CONCURRENCY CALL.

Before each call to the teacher it writes "begin" into LOG, and after it "paid"; before the CALL-th it dies by SIGKILL.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from tests.training.distil.toys import TOOLS, Toy, price
from training.distil.generate import GenerateConfig, generate
from training.distil.ledger import Ledger

ABOUT = {"teacher": "toy", "seed": 5}


def run(path: Path, log: Path, concurrency: int, kill_at: int | None = None) -> int:
    """Returns how many questions are answered."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    lock = threading.Lock()
    calls = 0

    class Logged(Toy):
        def _enter(self, what: str) -> None:
            nonlocal calls
            with lock:
                calls += 1
                if calls == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)
            os.write(file, f"begin {what}\n".encode())
            super()._enter(what)
            os.write(file, f"paid {what}\n".encode())

    try:
        with Ledger(path, ABOUT) as ledger:
            config = GenerateConfig(examples=60, concurrency=concurrency, seed=5)
            return generate(Logged(seconds=0.001), TOOLS, ledger, config, price).answered
    finally:
        os.close(file)


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
