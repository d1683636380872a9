"""Names and engines in step with the disk. The artifacts are hollow and the engines fakes; the real ones meet in
tests/integration/test_hot_swap.py."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

import app.engines
from app.catalog import Catalog
from app.engines import WARM_UP, Engines, fingerprint
from app.errors import NotFoundError, NotReadyError
from app.service import Service
from model import store
from model.errors import ArtifactError
from model.manifest import Manifest, add_info, read_manifest
from model.types import Engine, GenerationRequest, GenerationResult, Message, Tool
from tests.app.test_service import Gate
from tests.conftest import PARIS, FakeEngine
from tests.hollow import hollow_artifact

REQUEST = GenerationRequest(messages=(Message("user", "?"),), tools=(Tool("get_weather"),))
MINE = "bodkin-26m:mytools"


async def ask(engine: Engine) -> GenerationResult:
    return await Service(max_concurrency=1, queue_limit=1).start(engine, REQUEST, live=False).result()


class World:
    """A default artifact, a store, and what was built."""

    def __init__(self, folder: Path, limit: int = 8, **artifacts: Path) -> None:
        self.folder = folder
        self.store = folder / "store"
        self.shipped = hollow_artifact(folder / "shipped", "shipped")
        self.built: list[Path] = []
        self.alive: weakref.WeakSet[FakeEngine] = weakref.WeakSet()
        self.before_build: Callable[[Path], Any] = lambda folder: None
        catalog = Catalog("bodkin-26m", self.shipped, artifacts, self.store)
        self.engines = Engines("bodkin-26m", catalog, limit, self.build)

    def build(self, folder: Path, manifest: Manifest) -> FakeEngine:
        self.before_build(folder)
        self.built.append(folder)
        engine = FakeEngine()
        self.alive.add(engine)
        return engine

    def artifact(self, weights: str) -> Path:
        return hollow_artifact(self.folder / "artifacts" / weights, weights)

    def publish(self, weights: str, name: str = "mytools") -> str:
        return store.publish(self.artifact(weights), self.store, name)

    async def follow(self) -> dict[str, str]:
        """One round of what `watch` does; returns the refusals."""
        await self.engines.look()
        refused = await self.engines.load()
        self.engines.report(refused)
        return {name: str(error) for name, error in refused.items()}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_every_name_gets_the_engine_of_its_folder(world: World) -> None:
    world.publish("a", "one")
    world.publish("b", "two")
    assert await world.follow() == {}
    engines = world.engines
    assert world.built == [world.shipped, world.store / "one" / "v1", world.store / "two" / "v1"]
    chosen = [engines.choose(name) for name in ("bodkin-26m", "bodkin-26m:one", "bodkin-26m:two")]
    assert len({id(served.engine) for served in chosen}) == len({served.fingerprint for served in chosen}) == 3
    assert [served.version for served in chosen] == [read_manifest(world.shipped).digest[:12], "v1", "v1"]
    assert chosen[1].created == int((world.store / "one" / "v1" / "manifest.json").stat().st_mtime)
    assert engines.ready() == {
        "bodkin-26m": chosen[0].version,
        "bodkin-26m:one": "v1",
        "bodkin-26m:two": "v1",
    }
    assert list(engines.listing()) == ["bodkin-26m", "bodkin-26m:one", "bodkin-26m:two"]
    assert all(isinstance(served.engine, FakeEngine) and served.engine.requests == [WARM_UP] for served in chosen)


async def test_nothing_is_built_twice(world: World) -> None:
    world.publish("a")
    for _ in range(3):
        await world.follow()
    assert len(world.built) == 2


async def test_an_unknown_name_lists_what_there_is(world: World) -> None:
    world.publish("a")
    await world.follow()
    with pytest.raises(NotFoundError, match="'gpt-9' does not exist. This server serves 'bodkin-26m', '.*:mytools'"):
        world.engines.choose("gpt-9")


async def test_before_they_are_loaded_names_are_known_but_not_ready(world: World) -> None:
    world.publish("a")
    for name in (MINE, "gpt-9"):  # nobody has looked yet, so nobody knows
        with pytest.raises(NotReadyError, match="still being loaded"):
            world.engines.choose(name)
    await world.engines.look()
    with pytest.raises(NotReadyError, match="still being loaded"):
        world.engines.choose(MINE)
    with pytest.raises(NotFoundError):
        world.engines.choose("gpt-9")
    assert list(world.engines.listing()) == ["bodkin-26m", MINE]


async def test_the_default_answers_while_others_are_being_loaded(world: World) -> None:
    world.publish("a")
    go_on = threading.Event()
    world.before_build = lambda folder: folder == world.shipped or go_on.wait(30)
    await world.engines.look()
    loading = asyncio.create_task(world.engines.load())
    with anyio.fail_after(30):
        while len(world.built) < 1 or "bodkin-26m" not in world.engines._served:
            await asyncio.sleep(0.005)
    assert world.engines.choose("bodkin-26m")
    with pytest.raises(NotReadyError, match="Models are still being loaded"):
        world.engines.ready()
    go_on.set()
    await loading
    assert MINE in world.engines.ready()


async def test_a_swap_and_back(world: World) -> None:
    world.publish("a")
    await world.follow()
    first = world.engines.choose(MINE)
    assert world.publish("b") == "v2"
    await world.follow()
    second = world.engines.choose(MINE)
    assert (first.version, second.version) == ("v1", "v2")
    assert first.engine is not second.engine
    assert first.fingerprint != second.fingerprint
    store.rollback(world.store, "mytools")
    await world.follow()
    third = world.engines.choose(MINE)
    assert (third.version, third.fingerprint, third.created) == ("v1", first.fingerprint, first.created)


async def test_what_is_replaced_lives_as_long_as_its_last_request(world: World) -> None:
    world.publish("a")
    await world.follow()
    old = weakref.ref(world.engines.choose(MINE).engine)
    gate = Gate()
    world.engines.choose(MINE).engine.script = gate  # type: ignore[attr-defined]
    generation = Service(max_concurrency=1, queue_limit=1).start(world.engines.choose(MINE).engine, REQUEST, live=False)
    world.publish("b")
    await world.follow()
    assert world.engines.choose(MINE).version == "v2"
    assert await ask(world.engines.choose(MINE).engine)
    assert old() is not None
    gate.open.set()
    assert (await generation.result()).calls == (PARIS,)
    with anyio.fail_after(30):
        while old() is not None:
            await asyncio.sleep(0.005)
    assert len(world.alive) == 2


async def test_engines_do_not_pile_up(world: World) -> None:
    for k in range(6):
        world.publish(f"weights {k}")
        await world.follow()
        assert await ask(world.engines.choose(MINE).engine)
    for _ in range(4):
        store.rollback(world.store, "mytools")
        await world.follow()
    with anyio.fail_after(30):
        while len(world.alive) > 2:
            await asyncio.sleep(0.005)
    assert len(world.built) == 1 + 6 + 4


async def test_one_engine_for_the_same_weights(world: World, tmp_path: Path) -> None:
    store.publish(world.shipped, world.store, "copy")
    world.publish("a", "one")
    world.publish("a", "two")
    await world.follow()
    engines = world.engines
    assert engines.choose("bodkin-26m:copy").engine is engines.choose("bodkin-26m").engine
    assert engines.choose("bodkin-26m:one").engine is engines.choose("bodkin-26m:two").engine
    assert engines.choose("bodkin-26m:one").fingerprint == engines.choose("bodkin-26m:two").fingerprint
    assert len(world.built) == 2
    # Scores are for people: noting them is no reason to load the weights again.
    add_info(world.shipped, {"scores": {}})
    assert await world.follow() == {}
    assert len(world.built) == 2


async def test_a_broken_version_is_refused_and_the_old_one_stays(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.publish("a")
    await world.follow()
    first = world.engines.choose(MINE)
    world.publish("b")
    damaged = world.store / "mytools" / "v2" / "decoder.onnx"
    damaged.write_bytes(b"rot")
    refused = await world.follow()
    assert refused == {MINE: f"{damaged} is damaged: its sha256 is not the manifest's"}
    assert world.engines.choose(MINE) is first
    assert world.engines.ready()[MINE] == "v1"
    assert f"{MINE} could not be loaded, version v1 stays: {damaged} is damaged" in caplog.text
    assert "Traceback" not in caplog.text
    assert await world.follow() == {}  # said once
    world.publish("c")
    assert await world.follow() == {}
    assert world.engines.choose(MINE).version == "v3"


async def test_an_engine_that_cannot_generate_is_refused(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.publish("a")
    await world.follow()
    world.publish("b")

    class Broken(FakeEngine):
        def generate(self, request: GenerationRequest) -> GenerationResult:
            raise ValueError("shapes do not fit")

    tried: weakref.WeakSet[Broken] = weakref.WeakSet()

    def build(folder: Path, manifest: Manifest) -> Broken:
        engine = Broken()
        tried.add(engine)
        return engine

    world.engines._build = build
    assert await world.follow() == {MINE: "shapes do not fit"}
    assert len(tried) == 0  # not kept by the error either
    assert world.engines.choose(MINE).version == "v1"
    assert "Traceback" in caplog.text


async def test_a_refusal_keeps_no_engine_that_was_loaded_beside_it(world: World) -> None:
    """An exception holds the frames that it went through, and those their variables."""
    for name in ("one", "two", "three"):
        world.publish(name, name)
    (world.store / "three" / "v1" / "decoder.onnx").write_bytes(b"rot")  # between the others, by name
    refused = await world.follow()
    assert list(refused) == ["bodkin-26m:three"]
    for name in ("one", "two"):
        shutil.rmtree(world.store / name)
    await world.follow()
    assert len(world.alive) == 1


async def test_what_was_never_loaded_says_so(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.publish("a")
    (world.store / "mytools" / "v1" / "manifest.json").write_text("{}")
    assert MINE in await world.follow()
    assert f"{MINE} could not be loaded, it is not served" in caplog.text
    with pytest.raises(NotReadyError, match="could not be loaded; the server's log says why"):
        world.engines.choose(MINE)
    assert list(world.engines.listing()) == list(world.engines.ready()) == ["bodkin-26m"]


async def test_a_name_that_vanished_is_unloaded(world: World) -> None:
    world.publish("a")
    await world.follow()
    engine = weakref.ref(world.engines.choose(MINE).engine)
    shutil.rmtree(world.store / "mytools")
    await world.follow()
    with pytest.raises(NotFoundError):
        world.engines.choose(MINE)
    assert engine() is None
    world.publish("a")
    await world.follow()
    assert world.engines.choose(MINE).version == "v1"


async def test_a_configured_folder_that_vanished_stays_until_it_is_back(tmp_path: Path) -> None:
    """`bodkin export` replaces a folder by two renames; in between there is none."""
    mine = hollow_artifact(tmp_path / "mine", "a")
    world = World(tmp_path, mytools=mine)
    await world.follow()
    first = world.engines.choose(MINE)
    mine.rename(tmp_path / "aside")
    assert list(await world.follow()) == [MINE]
    assert world.engines.choose(MINE) is first
    hollow_artifact(mine, "b")
    assert await world.follow() == {}
    assert world.engines.choose(MINE).version == read_manifest(mine).digest[:12]
    assert world.engines.choose(MINE).fingerprint != first.fingerprint


async def test_a_folder_that_is_written_file_by_file_is_taken_when_it_is_whole(world: World, tmp_path: Path) -> None:
    await world.follow()
    first = world.engines.choose("bodkin-26m")
    new = hollow_artifact(tmp_path / "new", "new")
    for name in sorted(os.listdir(new)):
        assert world.engines.choose("bodkin-26m") is first
        shutil.copyfile(new / name, world.shipped / name)
        await world.follow()
    assert world.engines.choose("bodkin-26m").fingerprint == fingerprint(read_manifest(new).digest)


async def test_a_folder_that_changes_while_it_is_loaded_is_looked_at_again(world: World, tmp_path: Path) -> None:
    await world.follow()
    first = world.engines.choose("bodkin-26m")

    def meddle(folder: Path) -> None:
        hollow_artifact(world.shipped, "c")

    hollow_artifact(world.shipped, "b")
    world.before_build = meddle
    assert await world.follow() == {"bodkin-26m": f"{world.shipped} was changed while it was being loaded"}
    assert world.engines.choose("bodkin-26m") is first
    world.before_build = lambda folder: None
    assert await world.follow() == {}
    digest = read_manifest(hollow_artifact(tmp_path / "c", "c")).digest
    assert world.engines.choose("bodkin-26m").fingerprint == fingerprint(digest)


async def test_the_limit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = World(tmp_path, limit=2)
    world.publish("b", "beta")
    world.publish("c", "gamma")
    await world.follow()
    assert list(world.engines.ready()) == list(world.engines.listing()) == ["bodkin-26m", "bodkin-26m:beta"]
    with pytest.raises(NotReadyError, match=r"'bodkin-26m:gamma' is not loaded: .* at most 2 \(BODKIN_MAX_MODELS\)"):
        world.engines.choose("bodkin-26m:gamma")
    assert "because BODKIN_MAX_MODELS is 2: bodkin-26m:gamma" in caplog.text
    # What is loaded stays and can be swapped; who comes first in the alphabet does not push it out.
    world.publish("a", "alpha")
    world.publish("b2", "beta")
    caplog.clear()
    await world.follow()
    await world.follow()
    assert world.engines.ready()["bodkin-26m:beta"] == "v2"
    assert caplog.text.count("BODKIN_MAX_MODELS") == 1
    shutil.rmtree(world.store / "beta")
    await world.follow()
    assert list(world.engines.ready()) == ["bodkin-26m", "bodkin-26m:alpha"]


async def watched(engines: Engines, condition: Callable[[], bool]) -> None:
    watching = asyncio.create_task(engines.watch())
    try:
        with anyio.fail_after(60):
            while not condition():
                await asyncio.sleep(0.005)
    finally:
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching


async def test_watching(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.engines, "POLL_SECONDS", 0.01)
    await world.follow()
    world.publish("a")
    await watched(world.engines, lambda: MINE in world.engines.ready())


async def test_watching_survives_what_it_does_not_expect(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(app.engines, "POLL_SECONDS", 0.01)
    await world.follow()
    look, failures = world.engines._catalog.look, 2

    def at_first_not() -> Any:
        nonlocal failures
        if failures:
            failures -= 1
            raise RuntimeError("a bug")
        return look()

    monkeypatch.setattr(world.engines._catalog, "look", at_first_not)
    world.publish("a")
    await watched(world.engines, lambda: MINE in world.engines.ready())
    assert caplog.text.count("looking for new models failed") == 2


async def test_woken_from_another_thread_it_looks_at_once_and_at_everything(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.engines, "POLL_SECONDS", 3600)
    world.engines.wake()  # before the first look there is nothing to do
    failing = True

    def fail(folder: Path) -> None:
        if failing and folder != world.shipped:
            raise MemoryError

    world.before_build = fail
    world.publish("a")
    assert MINE in await world.follow()
    assert await world.follow() == {}  # the same files are not tried again for themselves
    failing = False
    threading.Thread(target=world.engines.wake).start()
    await watched(world.engines, lambda: MINE in world.engines.ready())
    assert len(world.built) == 2  # what was fine is not built again


async def test_given_engines(world: World) -> None:
    engine = FakeEngine()
    world.engines.put("mine", engine)
    assert world.engines.choose("mine").engine is engine
    assert list(world.engines.listing()) == ["mine"]
    with pytest.raises(NotFoundError, match="This server serves 'mine'"):
        world.engines.choose("bodkin-26m")


def test_fingerprints() -> None:
    assert fingerprint("a") != fingerprint("b")
    assert fingerprint("a") == fingerprint("a")
    assert len(fingerprint("a")) == 13


async def test_a_refused_default_is_not_ready(world: World) -> None:
    (world.shipped / "tokenizer.json").unlink()
    with pytest.raises(ArtifactError, match="tokenizer.json is missing"):
        await world.engines.look()
        raise (await world.engines.load())["bodkin-26m"]
    with pytest.raises(NotReadyError, match="could not be loaded"):
        world.engines.ready()
