"""The real server as a process, for the clients people use: unchanged packages, over a socket. `make test-clients`.

Nothing here imports Bodkin: it is started as a command from `.venv`, and the clients live in environments of their own.
Each `test_*.py` is also an example of how to use Bodkin with that client; all it needs is `base_url`.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BODKIN = ROOT / ".venv" / "bin" / "bodkin"

# Before any client is imported: no telemetry, no tracing, no downloads, and no settings of the developer's.
SETTINGS = re.compile("(AZURE|BODKIN|LANGCHAIN|LANGSMITH|LITELLM|LOGFIRE|OPENAI)_|(HTTPS?|ALL)_PROXY$", re.IGNORECASE)
for name in filter(SETTINGS.match, [*os.environ]):
    del os.environ[name]
os.environ |= {
    "DO_NOT_TRACK": "1",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "OTEL_SDK_DISABLED": "true",
}


def _is_here(host: str | bytes | None) -> bool:
    name = os.fsdecode(host or "localhost")
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _only_here(function: Callable[..., Any]) -> Callable[..., Any]:
    def connect(self: socket.socket, address: Any) -> Any:
        # Other families than IPv4 and IPv6 do not leave the machine.
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_here(address[0]):
            raise OSError(f"A client tried to reach {address[0]}: tests use no network.")
        return function(self, address)

    return connect


def _look_up(host: str | bytes | None, *arguments: Any, **options: Any) -> Any:
    if not _is_here(host):
        raise socket.gaierror(f"A client tried to look up {host!r}: tests use no network.")
    return _getaddrinfo(host, *arguments, **options)


_getaddrinfo, socket.getaddrinfo = socket.getaddrinfo, _look_up
socket.socket.connect = _only_here(socket.socket.connect)  # type: ignore[method-assign]
socket.socket.connect_ex = _only_here(socket.socket.connect_ex)  # type: ignore[method-assign]


@pytest.fixture(scope="session")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the shipped model is served, with the `/v1` that clients expect: one process for the whole run."""
    assert BODKIN.exists(), f"{BODKIN} is missing: run `make test-clients`"
    folder = tmp_path_factory.mktemp("server")
    output = folder / "output.txt"
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [BODKIN, "serve", "--port", "0"],
            cwd=ROOT,
            env=os.environ | {"XDG_DATA_HOME": str(folder)},  # and no models that the developer has published
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 60
        while (url := _address(output.read_text())) is None or not _is_ready(url):
            assert process.poll() is None and time.monotonic() < deadline, output.read_text()
            time.sleep(0.05)
        yield f"{url}/v1"
        assert process.poll() is None, output.read_text()
        assert "Traceback" not in output.read_text(), output.read_text()
    finally:
        process.terminate()
        process.wait(timeout=20)


def _address(output: str) -> str | None:
    """From the first line: `Bodkin serves bodkin-26m on http://127.0.0.1:38995/v1 (loading the model).`"""
    match = re.search(r"(http://[\d.]+:\d+)/v1 ", output)
    return match and match[1]


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz") as response:
            return response.status == 200
    except urllib.error.URLError:
        return False


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
async def one_event_loop(anyio_backend: str) -> AsyncIterator[None]:
    """For all tests: several clients share connections between their objects, and a connection belongs to its loop."""
    yield
