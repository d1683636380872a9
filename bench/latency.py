"""Latency, throughput, start-up time and memory of the real server, over HTTP.

Starts `python -m app serve` on a free port with the shipped artifact and asks it the way clients do: one connection
kept alive, one request after the other; then 16 clients at once. Client and server share the machine, so the client's
own time (about a millisecond a request) is part of every number.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from bench.workload import WARM_REQUESTS, WARM_TOOLS, Tool, cold_tools

PATH = "/v1/chat/completions"


@dataclass(frozen=True)
class Timing:
    """Milliseconds per request. `called` is the share of answers with a call: speed without would mean nothing."""

    p50: float
    p95: float
    requests: int
    called: float


@dataclass
class Server:
    url: str
    process: psutil.Process | None = None
    ready_s: float | None = None
    first_answer_s: float | None = None


@contextlib.contextmanager
def started(artifact: Path | None, timeout: float = 60) -> Iterator[Server]:
    """The server as a process of its own, from its start to its first answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "app", "serve", "--port", str(port)]
    if artifact is not None:
        command += ["--artifact", str(artifact)]
    environment = {**os.environ, "BODKIN_LOG_LEVEL": "warning", "BODKIN_API_KEYS": "", "BODKIN_MODEL": ""}
    with tempfile.TemporaryFile("w+") as output:
        begun = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        try:
            server = Server(f"http://127.0.0.1:{port}", psutil.Process(process.pid))
            while not _is_ready(server.url):
                if process.poll() is not None or time.perf_counter() - begun > timeout:
                    output.seek(0)
                    raise SystemExit(f"The server did not become ready.\n{output.read()}")
                time.sleep(0.01)
            server.ready_s = time.perf_counter() - begun
            with httpx.Client(base_url=server.url) as client:
                ask(client, WARM_REQUESTS[0], WARM_TOOLS)
            server.first_answer_s = time.perf_counter() - begun
            yield server
        finally:
            process.terminate()
            process.wait(timeout=20)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def ask(client: httpx.Client, text: str, tools: Sequence[Tool]) -> tuple[float, bool]:
    """(milliseconds, whether a call came back)"""
    body = {"model": "bodkin-26m", "messages": [{"role": "user", "content": text}], "tools": tools}
    begun = time.perf_counter()
    response = client.post(PATH, json=body, timeout=60)
    elapsed = 1000 * (time.perf_counter() - begun)
    if response.status_code != 200:
        raise SystemExit(f"The server answered {response.status_code}: {response.text}")
    return elapsed, bool(response.json()["choices"][0]["message"].get("tool_calls"))


def timing(answers: Iterable[tuple[float, bool]]) -> Timing:
    times, called = zip(*answers, strict=True)
    cuts = statistics.quantiles(times, n=20, method="inclusive")
    return Timing(
        round(statistics.median(times), 2), round(cuts[18], 2), len(times), round(sum(called) / len(times), 3)
    )


def warm(client: httpx.Client, tools: Sequence[Tool], requests: int) -> Timing:
    """The same tools with every request, after one round that fills the caches."""
    for text in WARM_REQUESTS:
        ask(client, text, tools)
    return timing(ask(client, text, tools) for text in itertools.islice(itertools.cycle(WARM_REQUESTS), requests))


def cold(client: httpx.Client, pairs: Iterator[tuple[Tool, str]], requests: int) -> Timing:
    """Four tools nobody has sent before with every request, which asks for one of the four."""
    answers = []
    for i in range(requests):
        four = [next(pairs) for _ in range(4)]
        answers.append(ask(client, four[i % 4][1], [tool for tool, _ in four]))
    return timing(answers)


def throughput(url: str, clients: int, seconds: float) -> float:
    """Calls per second of `clients` that each ask again as soon as they have their answer. Warm tools."""
    counts = [0] * clients
    failures: list[BaseException] = []
    barrier = threading.Barrier(clients + 1)

    def work(k: int) -> None:
        with httpx.Client(base_url=url) as client:
            ask(client, WARM_REQUESTS[k % len(WARM_REQUESTS)], WARM_TOOLS)
            barrier.wait()
            end = time.perf_counter() + seconds
            for text in itertools.cycle(WARM_REQUESTS[k:] + WARM_REQUESTS[:k]):
                if time.perf_counter() >= end:
                    return
                try:
                    ask(client, text, WARM_TOOLS)
                except BaseException as error:
                    failures.append(error)
                    return
                counts[k] += 1

    threads = [threading.Thread(target=work, args=(k,)) for k in range(clients)]
    for thread in threads:
        thread.start()
    barrier.wait()
    begun = time.perf_counter()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return round(sum(counts) / (time.perf_counter() - begun), 1)


def measure(server: Server, requests: int, clients: int, seconds: float, seed: int) -> dict[str, Any]:
    pairs = cold_tools(seed)
    with httpx.Client(base_url=server.url) as client:
        five = warm(client, WARM_TOOLS, requests)
        unseen = cold(client, pairs, min(requests, 400))
        many = warm(client, WARM_TOOLS + [next(pairs)[0] for _ in range(200 - len(WARM_TOOLS))], requests)
    return {
        "machine": {"cpus": os.cpu_count(), "processor": platform.machine(), "python": platform.python_version()},
        "warm_5_tools": asdict(five),
        "cold_4_tools": asdict(unseen),
        "warm_200_tools": asdict(many),
        "cold_to_warm": round(unseen.p50 / five.p50, 2),
        "tools_200_to_5": round(many.p50 / five.p50, 2),
        "throughput_per_s": throughput(server.url, clients, seconds),
        "clients": clients,
        "ready_s": None if server.ready_s is None else round(server.ready_s, 2),
        "first_answer_s": None if server.first_answer_s is None else round(server.first_answer_s, 2),
        "rss_mb": None if server.process is None else round(server.process.memory_info().rss / 1e6, 1),
    }


def table(result: dict[str, Any]) -> str:
    rows = []
    for key, name in (
        ("warm_5_tools", "5 tools, warm"),
        ("cold_4_tools", "4 tools, never seen"),
        ("warm_200_tools", "200 tools, warm"),
    ):
        t = result[key]
        rows.append((name, f"p50 {t['p50']:.1f} ms", f"p95 {t['p95']:.1f} ms", f"{100 * t['called']:.0f} % calls"))
    rows.append(("never seen / warm", f"{result['cold_to_warm']:.2f} x", "", ""))
    rows.append(("200 tools / 5 tools", f"{result['tools_200_to_5']:.2f} x", "", ""))
    rows.append((f"{result['clients']} clients at once", f"{result['throughput_per_s']:.0f} /s", "", ""))
    if result["ready_s"] is not None:
        rows.append(("start to ready", f"{result['ready_s']:.2f} s", "", ""))
        rows.append(("start to first answer", f"{result['first_answer_s']:.2f} s", "", ""))
        rows.append(("memory of the server", f"{result['rss_mb']:.0f} MB", "", ""))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("--artifact", type=Path, help="folder of the model (the shipped one)")
    parser.add_argument("--url", help="measure this running server instead of starting one, http://127.0.0.1:8000")
    parser.add_argument("--requests", type=int, default=300, help="requests per latency figure (300)")
    parser.add_argument("--clients", type=int, default=16, help="clients of the throughput figure (16)")
    parser.add_argument("--seconds", type=float, default=10, help="length of the throughput measurement (10)")
    parser.add_argument("--seed", type=int, default=0, help="order of the never-seen tools (0); vary it with --url")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args(argv)
    running = contextlib.nullcontext(Server(options.url)) if options.url else started(options.artifact)
    with running as server:
        result = measure(server, options.requests, options.clients, options.seconds, options.seed)
    print(json.dumps(result, indent=2) if options.json else table(result))
    return 0
