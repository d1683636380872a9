"""Runs the application as a process: the socket, the logs, what is printed, the exit code."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import shlex
import signal
import socket
import sys
import threading
from types import FrameType

import uvicorn

from app.engines import Engines
from app.main import create_app
from app.settings import Settings
from model.errors import ModelError

logger = logging.getLogger("bodkin.server")

_EXAMPLE_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "Name of the city"}},
            "required": ["city"],
        },
    },
}


def run(settings: Settings) -> int:
    """Serve until a signal arrives. Returns the exit code: 1 when the address or the artifact could not be used."""
    configure_logging(settings.log_level)
    try:
        listener = bind(settings.host, settings.port)
    except OSError as error:
        print(f"bodkin: {_why_not(error, settings)}", file=sys.stderr)
        return 1
    url = base_url(listener)
    failures: list[Exception] = []

    def on_load(failure: Exception | None) -> None:
        if failure is None:
            models = ", ".join(engines.listing())
            print(f"Ready: {models}. Try it:\n\n{curl_line(url, settings)}\n", flush=True)
        else:
            failures.append(failure)
            server.should_exit = True

    app = create_app(settings, on_load=on_load)
    engines: Engines = app.state.engines
    config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=10)
    server = uvicorn.Server(config)
    _handle_hangup(server, engines)
    print(f"Bodkin serves {settings.model} on {url}/v1 (loading the model).", flush=True)
    with listener, contextlib.suppress(KeyboardInterrupt):  # uvicorn has shut down in order, then passes Ctrl-C on
        server.run(sockets=[listener])
    for failure in failures:
        _report(failure)
    return 1 if failures else 0


def _handle_hangup(server: uvicorn.Server, engines: Engines) -> None:
    """SIGHUP lets the server look for new models at once; when its terminal was closed, it ends as any program does."""
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        return
    terminal = os.isatty(0)

    def on_hangup(number: int, frame: FrameType | None) -> None:
        if terminal and not os.isatty(0):
            server.should_exit = True
        else:
            engines.wake()

    signal.signal(signal.SIGHUP, on_hangup)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket: from now on clients may connect, even if their first answer takes until the loop runs."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    # The protocol is spelt out because asyncio turns Nagle's algorithm off only where it sees it; with Nagle, the
    # headers and the body of an answer go out 40 ms apart.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # A restart must not wait for the old connections to time out. (On Windows this option would share the port.)
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


def base_url(listener: socket.socket) -> str:
    """Where a client on this machine reaches the listener."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def curl_line(url: str, settings: Settings) -> str:
    """A request to paste into a shell. With keys configured it takes one from the variable BODKIN_API_KEY."""
    body = {
        "model": settings.model,
        "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
        "tools": [_EXAMPLE_TOOL],
    }
    parts = [f"curl {url}/v1/chat/completions", "-H 'Content-Type: application/json'"]
    if settings.api_keys:
        parts.append('-H "Authorization: Bearer $BODKIN_API_KEY"')
    parts.append(f"-d {shlex.quote(json.dumps(body))}")
    return " ".join(parts)


def configure_logging(level: str) -> None:
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr, force=True
    )
    # Start-up and shutdown chatter; its warnings and errors still show.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def _why_not(error: OSError, settings: Settings) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {settings.port} on {settings.host} is in use; choose another with --port or BODKIN_PORT."
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"not permitted to listen on port {settings.port}; choose one above 1023 with --port or BODKIN_PORT."
    return f"cannot listen on {settings.host} port {settings.port}: {error.strerror or error}."


def _report(failure: Exception) -> None:
    """A known failure is one sentence; an unknown one is a bug, and needs its traceback."""
    if isinstance(failure, ModelError | OSError):
        print(f"bodkin: the model could not be loaded: {failure}", file=sys.stderr)
    else:
        logger.error("the model could not be loaded", exc_info=failure)
