"""What a step costs is counted, not guessed, and compared with what the machine can do."""

from __future__ import annotations

import time

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from training import throughput  # noqa: E402
from training.throughput import Meter, matmul_peak  # noqa: E402


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that `throughput` reads."""
    now = [100.0]
    monkeypatch.setattr(throughput.time, "monotonic", lambda: now[0])
    return now


def product(rows: int, inputs: int, outputs: int) -> None:
    """Forward and backward of one matrix product: three times 2 * rows * inputs * outputs FLOPs."""
    x, weight = torch.ones(rows, inputs, requires_grad=True), torch.ones(outputs, inputs, requires_grad=True)
    F.linear(x, weight).sum().backward()


def test_speeds_of_all_processes_and_the_share_of_one(clock: list[float]) -> None:
    meter = Meter(peak=1e6)
    with meter.counting():
        product(10, 20, 30)  # 36,000 FLOPs
    with meter.counting():
        product(10, 20, 60)  # 72,000
    clock[0] += 4.0
    reading = meter.read(batches=8, rows=16, processes=2)
    assert reading == pytest.approx(
        {"examples_per_second": 8 * 16 * 2 / 4, "tflops": 2 * 54_000 * 8 / 4 / 1e12, "utilisation": 54_000 * 2 / 1e6}
    )


def test_a_restart_begins_a_new_window(clock: list[float]) -> None:
    meter = Meter(peak=1e6)
    with meter.counting():
        product(10, 20, 30)
    clock[0] += 1000.0
    meter.restart()
    clock[0] += 2.0
    assert meter.read(1, 16, 1)["examples_per_second"] == 8.0


def test_a_sample_is_counted_and_stands_for_the_rest(clock: list[float]) -> None:
    meter = Meter(peak=1e6)
    for outputs in [30] * throughput.SAMPLE + [60] * 3:
        with meter.counting():
            product(10, 20, outputs)
    assert meter.counted == [36_000] * throughput.SAMPLE
    clock[0] += 1.0
    assert meter.read(1, 16, 1)["utilisation"] == pytest.approx(0.036)


def test_bf16_products_are_counted_as_well() -> None:
    meter = Meter(peak=1e6)
    with meter.counting(), torch.autocast("cpu", torch.bfloat16):
        product(10, 20, 30)
    assert meter.counted == [36_000]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_peak_is_the_speed_of_a_large_product(dtype: torch.dtype) -> None:
    rows, inputs, outputs = throughput.PEAK_SHAPES["cpu"]
    x, weight = torch.randn(rows, inputs, dtype=dtype), torch.randn(outputs, inputs, dtype=dtype)
    ratios = []
    for _ in range(10):  # other work on the machine slows now the one down and now the other
        started = time.monotonic()
        peak = matmul_peak(torch.device("cpu"), dtype, seconds=0.05)
        assert time.monotonic() - started < 20
        started = time.perf_counter()
        F.linear(x, weight)
        ratios.append(peak * (time.perf_counter() - started) / (2 * rows * inputs * outputs))
        if 1 / 3 < ratios[-1] < 100:
            return
    pytest.fail(f"the peak is no multiple of a single product's speed that makes sense: {ratios}")
