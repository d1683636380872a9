"""Real engines behind a real socket are swapped and rolled back while clients ask without a pause."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

pytest.importorskip("torch")

import app.engines  # noqa: E402
import app.main  # noqa: E402
from app.adapters.chat_request import to_job  # noqa: E402
from app.engines import fingerprint  # noqa: E402
from app.main import create_app  # noqa: E402
from app.schemas.chat import ChatCompletionRequest  # noqa: E402
from app.settings import Settings  # noqa: E402
from model import load_engine, store  # noqa: E402
from model.manifest import read_manifest  # noqa: E402
from tests.artifact import EMAIL, TABLE, WEATHER, random_network, tokenizer  # noqa: E402
from tests.conftest import serve, wait_until  # noqa: E402
from tests.hollow import hollow_artifact  # noqa: E402
from training.export import export  # noqa: E402

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
MINE, DESK = "bodkin-26m:mytools", "bodkin-26m:desk"
TEXTS = ("Send an email to anna@example.com", "Book a table for two in Zurich", "weather in San Francisco?")
TOOLS = [
    {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": t.parameters}}
    for t in (WEATHER, EMAIL, TABLE)
]
PATIENCE = 60  # seconds; of a machine that is busy with other things


def chat(model: str, text: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    options = {"tool_choice": "required", "parallel_tool_calls": False}
    return {"model": model, "messages": messages, "tools": TOOLS, **options}


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three networks that answer differently."""
    folder = tmp_path_factory.mktemp("artifacts")
    for seed in (1, 2, 3):
        export(random_network(seed, ending=6.0), tokenizer(), folder / str(seed), int8=True, info={})
    return [folder / str(seed) for seed in (1, 2, 3)]


def fingerprint_of(artifact: Path) -> str:
    return fingerprint(read_manifest(artifact).digest)


Answers = dict[tuple[str, str], tuple[str, str]]


@pytest.fixture(scope="module")
def answers(artifacts: list[Path]) -> Answers:
    """What each artifact answers by itself: (fingerprint, text) -> (function, arguments)."""
    found: Answers = {}
    for artifact in artifacts:
        engine = load_engine(artifact, threads=1)
        for text in TEXTS:
            [call] = engine.generate(to_job(ChatCompletionRequest(**chat(MINE, text))).request).calls
            found[fingerprint_of(artifact), text] = (call.name, call.arguments)
    for text in TEXTS:
        assert len({found[fingerprint_of(artifact), text] for artifact in artifacts}) == 3
    return found


@dataclass(frozen=True)
class Answer:
    started: float
    text: str
    fingerprint: str
    call: tuple[str, str]


def ask(sdk: openai.OpenAI, model: str, text: str, stream: bool) -> Answer:
    started = time.monotonic()
    if not stream:
        whole = sdk.chat.completions.create(**chat(model, text))
        [call] = whole.choices[0].message.tool_calls or []
        assert whole.model == model and whole.system_fingerprint and call.type == "function"
        return Answer(started, text, whole.system_fingerprint, (call.function.name, call.function.arguments))
    chunks = list(sdk.chat.completions.create(**chat(model, text), stream=True))
    [fingerprint] = {chunk.system_fingerprint for chunk in chunks}
    assert {chunk.model for chunk in chunks} == {model} and fingerprint
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    pieces = [piece.function for chunk in chunks for piece in chunk.choices[0].delta.tool_calls or [] if piece.function]
    name, arguments = ("".join(getattr(piece, part) or "" for piece in pieces) for part in ("name", "arguments"))
    return Answer(started, text, fingerprint, (name, arguments))


@contextlib.contextmanager
def hammering(url: str, model: str) -> Iterator[list[Answer]]:
    """Four clients, two of them streaming, that ask until the end; any failure of theirs is raised there."""
    answers: list[Answer] = []
    failures: list[BaseException] = []
    stop = threading.Event()

    def work(number: int) -> None:
        with client(url) as sdk:
            for k in range(1_000_000):
                if stop.is_set():
                    return
                try:
                    answers.append(ask(sdk, model, TEXTS[(number + k) % 3], stream=number % 2 == 0))
                except BaseException as error:
                    failures.append(error)
                    return

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
    if failures:
        raise failures[0]
    assert not any(thread.is_alive() for thread in threads)


def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0, timeout=PATIENCE)


def more(answers: list[Answer], count: int = 6) -> None:
    """Wait until so many more have come in."""
    enough = len(answers) + count
    wait_until(lambda: len(answers) >= enough, PATIENCE)


@dataclass(frozen=True)
class Server:
    url: str
    process: subprocess.Popen[bytes]
    output: Path

    def versions(self) -> dict[str, str]:
        response = httpx.get(f"{self.url}/readyz")
        return dict(response.json()["models"]) if response.status_code == 200 else {}


@contextlib.contextmanager
def server(folder: Path, *arguments: str, **environment: Path) -> Iterator[Server]:
    """`bodkin serve` as a process of its own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BODKIN_")}
    output = folder / "output.txt"
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "serve", "--port", "0", *arguments],
            cwd=ROOT,
            env=inherited | {name: str(value) for name, value in environment.items()},
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: "Ready: " in output.read_text() or process.poll() is not None, PATIENCE)
        assert process.poll() is None, output.read_text()
        address = next(word for word in output.read_text().split() if word.startswith("http://"))
        yield Server(address.removesuffix("/v1"), process, output)
        assert process.poll() is None, output.read_text()
        assert "Traceback" not in output.read_text()
    finally:
        process.terminate()
        process.wait(PATIENCE)


@pytest.mark.slow
def test_swaps_and_rollbacks_under_load(artifacts: list[Path], answers: Answers, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    store.publish(artifacts[0], folder, "mytools")
    one, two, three = (fingerprint_of(artifact) for artifact in artifacts)
    switches: list[tuple[Callable[[], str], str]] = [
        (lambda: store.publish(artifacts[1], folder, "mytools"), two),
        (lambda: store.publish(artifacts[2], folder, "mytools"), three),
        (lambda: store.rollback(folder, "mytools"), two),
        (lambda: store.rollback(folder, "mytools"), one),
        (lambda: store.use(folder, "mytools", "v3"), three),
        (lambda: store.publish(artifacts[0], folder, "mytools"), one),
        (lambda: store.publish(artifacts[1], folder, "mytools"), two),
        (lambda: store.rollback(folder, "mytools"), one),
        (lambda: store.rollback(folder, "mytools"), three),
        (lambda: store.rollback(folder, "mytools"), two),
        (lambda: store.use(folder, "mytools", "v4"), one),
        (lambda: store.publish(artifacts[2], folder, "mytools"), three),
    ]
    periods: list[tuple[float, float, str]] = []  # from, to, the only fingerprint of requests that start in between
    with (
        server(tmp_path, BODKIN_STORE=folder, BODKIN_ARTIFACT=artifacts[0]) as running,
        client(running.url) as sdk,
        hammering(running.url, MINE) as got,
    ):
        more(got)
        confirmed, now = 0.0, one
        for k, (switch, expected) in enumerate(switches):
            periods.append((confirmed, time.monotonic(), now))
            version = switch()
            if k % 4:  # three times the server is to notice by itself
                running.process.send_signal(signal.SIGHUP)
            wait_until(lambda version=version: running.versions()[MINE] == version, PATIENCE)  # type: ignore[misc]
            confirmed, now = time.monotonic(), expected
            # A client that kept its connection through all of them, and one that is new.
            assert ask(sdk, MINE, TEXTS[0], stream=False).fingerprint == expected
            with client(running.url) as fresh:
                assert ask(fresh, MINE, TEXTS[0], stream=True).fingerprint == expected
            more(got)
        periods.append((confirmed, time.monotonic(), now))
    for answer in got:
        assert answers[answer.fingerprint, answer.text] == answer.call
    assert {answer.fingerprint for answer in got} == {one, two, three}
    for start, end, expected in periods:
        inside = {answer.fingerprint for answer in got if start < answer.started < end}
        assert inside == {expected}
    actions = [json.loads(line)["action"] for line in (folder / "mytools" / "history.jsonl").read_text().splitlines()]
    assert len(actions) == 1 + len(switches)


@pytest.mark.slow
def test_a_folder_overwritten_in_place_under_load(artifacts: list[Path], answers: Answers, tmp_path: Path) -> None:
    """The crudest way to bring a model: `cp` into the folder that is being served."""
    desk = tmp_path / "desk"
    shutil.copytree(artifacts[0], desk)
    with (
        # Another default: with equal weights, it and "desk" would share an engine, which reads the default's folder.
        server(tmp_path, "--artifact", f"desk={desk}", "--artifact", str(artifacts[2])) as running,
        hammering(running.url, DESK) as got,
    ):
        more(got)
        for file in sorted(os.listdir(desk)):
            (desk / file).write_bytes(b"half")
            running.process.send_signal(signal.SIGHUP)
            more(got)
            (desk / file).write_bytes((artifacts[1] / file).read_bytes())
            more(got)
        wait_until(lambda: got[-1].fingerprint == fingerprint_of(artifacts[1]), PATIENCE)
        more(got)
        log = running.output.read_text()
    assert all(answers[answer.fingerprint, answer.text] == answer.call for answer in got)
    assert {answer.fingerprint for answer in got} == {fingerprint_of(artifacts[0]), fingerprint_of(artifacts[1])}
    version = read_manifest(artifacts[0]).digest[:12]
    assert f"{DESK} could not be loaded, version {version} stays: " in log


def test_models_are_chosen_by_name_and_engines_do_not_pile_up(
    artifacts: list[Path], answers: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: weakref.WeakSet[Any] = weakref.WeakSet()
    build = app.main.build_engine

    def remember(*arguments: Any) -> Any:
        engine = build(*arguments)
        alive.add(engine)
        return engine

    monkeypatch.setattr(app.main, "build_engine", remember)
    monkeypatch.setattr(app.engines, "POLL_SECONDS", 0.02)
    folder = tmp_path / "store"
    store.publish(artifacts[1], folder, "mytools")
    application = create_app(Settings(artifact=artifacts[0], artifacts={"desk": artifacts[2]}, store=folder, threads=1))
    engines = application.state.engines

    def versions() -> Any:
        try:
            return engines.ready()
        except Exception:
            return {}

    with serve(application) as url, client(url) as sdk:
        wait_until(lambda: len(versions()) == 3, PATIENCE)
        names = ["bodkin-26m", DESK, MINE]
        assert [model.id for model in sdk.models.list()] == names
        assert [sdk.models.retrieve(name).id for name in names] == names
        published = int((folder / "mytools" / "v1" / "manifest.json").stat().st_mtime)
        assert sdk.models.retrieve(MINE).created == published
        for name, artifact in zip(names, (artifacts[0], artifacts[2], artifacts[1]), strict=True):
            answer = ask(sdk, name, TEXTS[0], stream=False)
            assert answer.fingerprint == fingerprint_of(artifact)
            assert answer.call == answers[answer.fingerprint, answer.text]
        with pytest.raises(openai.NotFoundError, match=f"This server serves 'bodkin-26m', '{DESK}', '{MINE}'"):
            ask(sdk, "bodkin-26m:other", TEXTS[0], stream=False)
        with hammering(url, MINE) as got:
            for k in range(1, 7):
                version = store.publish(artifacts[1] if k % 2 else artifacts[2], folder, "mytools")
                wait_until(lambda version=version: versions().get(MINE) == version, PATIENCE)  # type: ignore[misc]
                more(got, 4)
        # "mytools" ends with the weights of "desk", so with its engine.
        wait_until(lambda: len(alive) == 2, PATIENCE)
        assert engines.choose(MINE).engine is engines.choose(DESK).engine

        # Whole by its checksums, and yet no model: refused, and what there was stays.
        store.publish(hollow_artifact(tmp_path / "hollow", "noise"), folder, "mytools")
        before = versions()[MINE]
        store.publish(artifacts[1], folder, "other")
        wait_until(lambda: "bodkin-26m:other" in versions(), PATIENCE)  # so the hollow one has been looked at
        wait_until(lambda: engines._tried[MINE].version != before, PATIENCE)
        assert versions()[MINE] == before
        assert ask(sdk, MINE, TEXTS[0], stream=True).fingerprint == fingerprint_of(artifacts[2])

        shutil.rmtree(folder / "mytools")
        shutil.rmtree(folder / "other")
        wait_until(lambda: len(versions()) == 2, PATIENCE)
        with pytest.raises(openai.NotFoundError):
            ask(sdk, MINE, TEXTS[0], stream=True)
        wait_until(lambda: len(alive) == 2, PATIENCE)


def test_hanging_up_the_terminal_ends_the_server(artifacts: list[Path], tmp_path: Path) -> None:
    """SIGHUP has two meanings: look for models, and the terminal was closed. A server must not outlive its window."""
    ours, theirs = pty.openpty()
    output = tmp_path / "output.txt"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BODKIN_")}
    # Makes the terminal that of its session, and then is the server.
    start = (
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
        "os.execv(sys.executable, [sys.executable, '-m', 'app', *sys.argv[1:]])"
    )
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-c", start, "serve", "--port", "0", "--artifact", str(artifacts[0])],
            cwd=ROOT,
            env=environment | {"BODKIN_STORE": str(tmp_path / "store")},
            stdin=theirs,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    os.close(theirs)
    try:
        wait_until(lambda: "Ready: " in output.read_text() or process.poll() is not None, PATIENCE)
        store.publish(artifacts[1], tmp_path / "store", "mytools")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: f"{MINE} is now version v1" in output.read_text(), PATIENCE)
        assert process.poll() is None
        os.close(ours)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait(PATIENCE)
