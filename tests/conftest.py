"""Shared fixtures: settings without the environment, an engine that plays a script, and servers around it."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from model.types import (
    ArgumentsDelta,
    CallStarted,
    Embeddings,
    Event,
    Finished,
    FinishReason,
    GenerationRequest,
    GenerationResult,
    TextDelta,
    ToolCall,
    Usage,
)

collect_ignore = ["clients"]  # they run in environments of their own: `make test-clients`

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
TIME: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_time",
        "description": "Local time of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
PARIS = ToolCall("get_weather", '{"city":"Paris"}')
ROME = ToolCall("get_time", '{"city":"Rome"}')


def result(
    *calls: ToolCall, finish: FinishReason | None = None, confidence: float | None = 0.93, **fields: Any
) -> GenerationResult:
    """An answer of these calls; `confidence` None is that of a model without calibration; `fields` are further ones."""
    return GenerationResult(
        calls=calls,
        confidences=tuple(None if confidence is None else 0.95 - 0.01 * i for i in range(len(calls))),
        confidence=confidence,
        finish_reason=finish or ("tool_calls" if calls else "stop"),
        usage=Usage(prompt_tokens=40, completion_tokens=7, cached_tokens=30),
        **fields,
    )


def events(answer: GenerationResult) -> Iterator[Event]:
    """`answer` as an engine would stream it, each call's arguments and a text in two pieces."""
    for index, call in enumerate(answer.calls):
        yield CallStarted(index, call.name)
        half = len(call.arguments) // 2
        yield ArgumentsDelta(index, call.arguments[:half])
        yield ArgumentsDelta(index, call.arguments[half:])
    if answer.text:
        half = len(answer.text) // 2
        yield TextDelta(answer.text[:half])
        yield TextDelta(answer.text[half:])
    yield Finished(answer)


class FakeEngine:
    """Plays `script(request)`; remembers what it was asked and whether its streams were closed.

    Without a script it obeys `tool_choice` and otherwise calls the first tool with `{"city":"Paris"}`; where there is
    to be no call but a text, that is the text. Its embeddings are one-hot by the text's length.
    """

    def __init__(self) -> None:
        self.requests: list[GenerationRequest] = []
        self.script: Callable[[GenerationRequest], Iterator[Event]] = self.obey
        self.refusal: Exception | None = None
        self.running = 0
        self.most_running = 0
        self.closed = 0
        self._lock = threading.Lock()

    @staticmethod
    def obey(request: GenerationRequest) -> Iterator[Event]:
        if request.tool_choice.mode == "none" or not request.tools:
            return events(result(text='{"city":"Paris"}' if request.response else None))
        name = request.tool_choice.name or request.tools[0].name
        return events(result(ToolCall(name, '{"city":"Paris"}')))

    def answer(self, *calls: ToolCall, **fields: Any) -> None:
        """From now on, always answer this."""
        self.script = lambda request: events(result(*calls, **fields))

    def prepare(self, request: GenerationRequest) -> None:
        if self.refusal is not None:
            raise self.refusal

    def stream(self, request: GenerationRequest) -> Iterator[Event]:
        self.prepare(request)
        self.requests.append(request)
        with self._lock:
            self.running += 1
            self.most_running = max(self.running, self.most_running)
        try:
            yield from self.script(request)
        finally:
            with self._lock:
                self.running -= 1
                self.closed += 1

    def generate(self, request: GenerationRequest) -> GenerationResult:
        for event in self.stream(request):
            if isinstance(event, Finished):
                return event.result
        raise AssertionError("no Finished event")

    def embed(self, texts: Sequence[str]) -> Embeddings:
        if self.refusal is not None:
            raise self.refusal
        width = 8
        vectors = tuple(tuple(float(len(text) % width == i) for i in range(width)) for text in texts)
        return Embeddings(vectors, sum(map(len, texts)))


def chat(**fields: Any) -> dict[str, Any]:
    """A good request body; `fields` replace or add."""
    body = {
        "model": "bodkin-26m",
        "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
        "tools": [WEATHER, TIME],
    }
    return {**body, **fields}


def wait_until(condition: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


@contextlib.contextmanager
def serve(app: Any) -> Iterator[str]:
    """`app` on a real socket, in a thread; yields its base URL."""
    import uvicorn

    config = uvicorn.Config(app, port=0, log_level="error", access_log=False, timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)  # one that hangs fails its test, not the whole run
    thread.start()
    try:
        wait_until(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=30)
        assert not thread.is_alive()


@pytest.fixture(scope="session", autouse=True)
def _no_store_from_outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the developer has published must not be served by tests, nor by processes that they start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("BODKIN_"):
            monkeypatch.delenv(name)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()
