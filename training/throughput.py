"""How fast a run is: examples/s, TFLOP/s, and their share of what the machine was measured to do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

PEAK_SECONDS = 0.5
SAMPLE = 20
PEAK_SHAPES = {"cpu": (4096, 384, 1536), "cuda": (8192, 8192, 8192)}  # rows, inputs, outputs of one linear layer


def matmul_peak(device: torch.device, dtype: torch.dtype, seconds: float = PEAK_SECONDS) -> float:
    """FLOP/s of a plain linear layer on `device`, with the threads that torch has: the best of some `seconds` of calls.

    The best and not the mean, because other work on the machine only ever slows a call down.
    """
    rows, inputs, outputs = PEAK_SHAPES[device.type]
    x = torch.randn(rows, inputs, device=device, dtype=dtype)
    weight = torch.randn(outputs, inputs, device=device, dtype=dtype)
    best, begun = float("inf"), time.monotonic()
    F.linear(x, weight)  # what the first call sets up is no part of the speed
    while best == float("inf") or time.monotonic() - begun < seconds:
        _wait(device)
        started = time.perf_counter()
        F.linear(x, weight)
        _wait(device)
        best = min(best, time.perf_counter() - started)
    return 2 * rows * inputs * outputs / best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Meter:
    """Measures one process's batches between two readings.

    Counting the FLOPs of a batch costs some time, on a GPU several times what the batch takes. So only the first SAMPLE
    of them are counted, at most. Batches differ in size: the mean of these stands for the others.
    """

    def __init__(self, peak: float) -> None:
        """peak: this process's FLOP/s at best."""
        self.peak = peak
        self.counted: list[int] = []  # matmul FLOPs of each sampled batch, forward and backward
        self.restart()

    def restart(self) -> None:
        self.started = time.monotonic()

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count the matmul FLOPs of one batch, unless enough have been counted."""
        if len(self.counted) >= SAMPLE:
            yield
            return
        with FlopCounterMode(display=False) as counter:
            yield
        self.counted.append(counter.get_total_flops())

    def read(self, batches: int, rows: int, processes: int) -> dict[str, float]:
        """Speeds since the last `restart`, in which each process did `batches` of `rows` examples.

        `examples_per_second` and `tflops` (10^12 FLOP/s) are of all processes together, `utilisation` is this process's
        share of its peak.
        """
        seconds = time.monotonic() - self.started
        speed = sum(self.counted) / len(self.counted) * batches / seconds
        return {
            "examples_per_second": batches * rows * processes / seconds,
            "tflops": speed * processes / 1e12,
            "utilisation": speed / self.peak,
        }
