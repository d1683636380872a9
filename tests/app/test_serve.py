from __future__ import annotations

import json
import logging
import shlex
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

import app.main
from app.serve import base_url, bind, curl_line, run
from app.settings import Settings
from model.errors import ArtifactError
from tests.conftest import FakeEngine, chat, wait_until


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """`run` configures the process's logging, onto a stream that ends with its test."""
    root, of_uvicorn = logging.getLogger(), logging.getLogger("uvicorn")
    handlers, levels = root.handlers[:], (root.level, of_uvicorn.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    of_uvicorn.setLevel(levels[1])


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """`run` belongs in a main thread and ends by a signal; here it runs in another and ends by a call."""
    servers: list[uvicorn.Server] = []
    start = uvicorn.Server.run

    def remember(self: uvicorn.Server, sockets: Any = None) -> None:
        servers.append(self)
        start(self, sockets)

    monkeypatch.setattr(uvicorn.Server, "run", remember)

    def stop() -> None:
        servers[0].should_exit = True

    return stop


def free_port() -> int:
    with bind("127.0.0.1", 0) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_serves_and_prints_a_line_that_works(
    monkeypatch: pytest.MonkeyPatch,
    engine: FakeEngine,
    stop: Callable[[], None],
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(app.main, "build_engine", lambda *arguments: engine)
    settings = Settings(port=free_port(), api_keys=("the-key",), log_level="error")
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(run(settings)))
    thread.start()
    printed = ""

    def ready() -> bool:
        nonlocal printed
        printed += capfd.readouterr().out
        return "curl" in printed

    wait_until(ready)
    try:
        first, *_ = printed.splitlines()
        assert first == f"Bodkin serves bodkin-26m on http://127.0.0.1:{settings.port}/v1 (loading the model)."
        (line,) = [line for line in printed.splitlines() if line.startswith("curl ")]
        monkeypatch.setenv("BODKIN_API_KEY", "the-key")
        answer = subprocess.run(["bash", "-c", line], capture_output=True, check=True, timeout=10).stdout
        assert json.loads(answer)["choices"][0]["message"]["tool_calls"]
        assert httpx.post(f"http://127.0.0.1:{settings.port}/v1/chat/completions", json=chat()).status_code == 401
    finally:
        stop()
        thread.join(10)
    assert codes == [0]


def test_a_port_in_use_is_one_sentence_and_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert run(Settings(port=port)) == 1
    assert capsys.readouterr().err == (
        f"bodkin: port {port} on 127.0.0.1 is in use; choose another with --port or BODKIN_PORT.\n"
    )


def test_an_address_that_is_not_ours(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Settings(host="192.0.2.1", port=free_port())) == 1
    assert capsys.readouterr().err.startswith("bodkin: cannot listen on 192.0.2.1 port ")


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (
            ArtifactError("manifest.json is missing."),
            "bodkin: the model could not be loaded: manifest.json is missing.",
        ),
        (ValueError("a bug"), "Traceback"),
    ],
)
def test_a_model_that_cannot_be_loaded_ends_the_process(
    monkeypatch: pytest.MonkeyPatch,
    stop: Callable[[], None],
    capsys: pytest.CaptureFixture[str],
    failure: Exception,
    words: str,
) -> None:
    def fail(*arguments: Any) -> FakeEngine:
        raise failure

    monkeypatch.setattr(app.main, "build_engine", fail)
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(run(Settings(port=free_port()))))
    thread.start()
    thread.join(10)
    assert codes == [1]
    assert words in capsys.readouterr().err


def test_answers_are_not_held_back_by_nagle() -> None:
    """asyncio sets TCP_NODELAY only on connections whose listener names its protocol."""
    with bind("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_curl_line_quotes_for_the_shell() -> None:
    line = curl_line("http://127.0.0.1:8000", Settings(model="it's mine"))
    words = shlex.split(line)
    assert words[:2] == ["curl", "http://127.0.0.1:8000/v1/chat/completions"]
    assert json.loads(words[-1])["model"] == "it's mine"
    assert not any("Authorization" in word for word in words)


@pytest.mark.parametrize(("host", "shown"), [("0.0.0.0", "127.0.0.1"), ("::1", "[::1]"), ("::", "[::1]")])
def test_base_url(host: str, shown: str) -> None:
    if ":" in host and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        listener = bind(host, 0)
    except OSError:
        pytest.skip("no IPv6 here")
    with listener:
        assert base_url(listener) == f"http://{shown}:{listener.getsockname()[1]}"
