"""The models in service: name to engine, kept in step with the catalog while requests are answered.

A request takes what its name stands for when it arrives and keeps it to its end. So a swap is one assignment: the new
engine is loaded, verified and warm by then, and the old one is released with its last request.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import time

import anyio
import anyio.to_thread

from app.catalog import Catalog, Source, stamp
from app.errors import APIError, NotFoundError, NotReadyError
from app.version import version
from model.errors import ArtifactError, ModelError
from model.manifest import Manifest, read_manifest
from model.types import Engine, GenerationRequest, Message, Tool, ToolChoice

logger = logging.getLogger("bodkin.models")

POLL_SECONDS = 1.0
_SAY = Tool("say", "Say a word.", {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]})
WARM_UP = GenerationRequest((Message("user", "Say hello."),), (_SAY,), ToolChoice("required"), max_tokens=4)

Build = Callable[[Path, Manifest], Engine]


@dataclass(frozen=True)
class Served:
    """What a name stands for: an engine, and what clients learn about it.

    `digest` is the artifact's; `version` the store's, or the beginning of the digest; `created` the Unix time of
    publication.
    """

    engine: Engine
    digest: str
    version: str
    created: int
    fingerprint: str


def fingerprint(digest: str) -> str:
    """OpenAI's `system_fingerprint`: another one means that answers may differ, by other weights or other code."""
    return "fp_" + hashlib.sha256(f"{version()} {digest}".encode()).hexdigest()[:10]


class Engines:
    """One writer, the task that calls `look` and `load`; readers are on its event loop and need no lock.

    Args:
        default: the model that must be there for the server to be ready.
        limit: models loaded at the same time. What is loaded stays; of the rest, the first in the catalog come first.
        build: an engine of a folder whose manifest was verified; called in a thread.
    """

    def __init__(self, default: str, catalog: Catalog, limit: int, build: Build) -> None:
        self._default = default
        self._catalog = catalog
        self._limit = limit
        self._build = build
        self._wanted: Mapping[str, Source] = {}
        self._tried: dict[str, Source] = {}
        self._served: dict[str, Served] = {}
        self._left_out: list[str] = []
        self._settled = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        # Always the same thread: the C library keeps freed memory per thread, and an engine is built in what the one
        # before it left. Over 24 swaps in changing threads the process grew by 340 MB, so by 120 MB, then no more.
        self._loader = ThreadPoolExecutor(1, "bodkin-load")

    def put(self, name: str, engine: Engine) -> None:
        """Serve an engine that is there already."""
        self._served[name] = Served(engine, "", "given", int(time()), fingerprint(""))
        self._settled = True

    def choose(self, model: str) -> Served:
        """What `model` stands for now. Raises `NotFoundError`, or `NotReadyError` if it cannot answer."""
        served = self._served.get(model)
        if served is None:
            raise self.refusal(model)
        return served

    def refusal(self, model: str) -> APIError:
        """Why `model` cannot be chosen."""
        if model in self._left_out:
            return NotReadyError(
                f"The model '{model}' is not loaded: this server keeps at most {self._limit} (BODKIN_MAX_MODELS)."
            )
        if model in self._tried:
            return NotReadyError("The model could not be loaded; the server's log says why.")
        if model in self._wanted or not (self._wanted or self._served):
            return NotReadyError("The model is still being loaded; try again in a moment.")
        known = ", ".join(f"'{name}'" for name in self.listing())
        return NotFoundError(
            f"The model '{model[:100]}' does not exist. This server serves {known}.",
            param="model",
            code="model_not_found",
        )

    def listing(self) -> dict[str, int]:
        """The models that answer, or are about to, and when each was published (Unix time)."""
        coming = {
            name: source.created
            for name, source in self._wanted.items()
            if name not in self._tried and name not in self._left_out
        }
        created = coming | {name: served.created for name, served in self._served.items()}
        return {name: created[name] for name in [*self._wanted, *self._served] if name in created}

    def ready(self) -> dict[str, str]:
        """The version in service of every model. Raises `NotReadyError` until all that were there at start were tried,
        and while the default cannot answer."""
        self.choose(self._default)
        if not self._settled:
            raise NotReadyError("Models are still being loaded; try again in a moment.")
        return {name: served.version for name, served in self._served.items()}

    async def look(self) -> None:
        """Read the catalog; from now on its names are known, and those that it has lost are not."""
        self._loop = asyncio.get_running_loop()
        self._wanted = await anyio.to_thread.run_sync(self._catalog.look)
        for name in (self._tried.keys() | self._served.keys()) - self._wanted.keys():
            self._tried.pop(name, None)
            if self._served.pop(name, None) is not None:
                logger.info("%s is gone and no longer served", name)

    async def load(self) -> dict[str, Exception]:
        """Bring in what is new, one after the other. Returns what was refused, by name; what it would replace stays."""
        refused: dict[str, Exception] = {}
        left_out: list[str] = []
        for name, source in self._wanted.items():
            if self._tried.get(name) == source:
                continue
            if name not in self._served and len(self._served) >= self._limit:
                left_out.append(name)
                continue
            error = await self._take(name, source)
            if error is not None:
                refused[name] = error
            self._tried[name] = source
        if left_out and left_out != self._left_out:
            logger.warning("not loaded, because BODKIN_MAX_MODELS is %d: %s", self._limit, ", ".join(left_out))
        self._left_out = left_out
        self._settled = True
        return refused

    async def watch(self) -> None:
        """Follow the catalog for ever: every second, and when woken."""
        while True:
            with anyio.move_on_after(POLL_SECONDS):
                await self._woken.wait()
            self._woken.clear()
            try:
                await self.look()
                self.report(await self.load())
            except Exception:
                logger.exception("looking for new models failed; the next look is in %g s", POLL_SECONDS)

    def wake(self) -> None:
        """Let `watch` look now, also at what was refused before. From any thread or signal handler."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._start_over)

    def _start_over(self) -> None:
        self._tried.clear()
        self._woken.set()

    def close(self) -> None:
        """Wait for a load that is under way, and load nothing any more."""
        self._loader.shutdown()

    async def _take(self, name: str, source: Source) -> Exception | None:
        """Load and serve one; returns why that was not possible."""
        try:
            self._serve(name, await asyncio.get_running_loop().run_in_executor(self._loader, self._load, source))
        except Exception as error:
            traceback.clear_frames(error.__traceback__)  # among their variables is the engine that is no good
            return error
        return None

    def _serve(self, name: str, served: Served) -> None:
        """The swap."""
        before = self._served.get(name)
        self._served[name] = served
        if before is None or (before.version, before.digest) != (served.version, served.digest):
            logger.info("%s is now version %s (%s)", name, served.version, served.fingerprint)

    def report(self, refused: Mapping[str, Exception]) -> None:
        """Log what `load` refused."""
        for name, error in refused.items():
            served = self._served.get(name)
            stays = f"version {served.version} stays" if served else "it is not served"
            # What is known to go wrong is one sentence; anything else is a bug, and needs its traceback.
            unknown = None if isinstance(error, ModelError | OSError) else error
            logger.error("%s could not be loaded, %s: %s", name, stays, error, exc_info=unknown)

    def _load(self, source: Source) -> Served:
        """In the loader's thread."""
        manifest = read_manifest(source.folder)
        digest = manifest.digest
        engine = next((served.engine for served in self._served.values() if served.digest == digest), None)
        if engine is None:
            engine = self._build(source.folder, manifest)
            engine.generate(WARM_UP)
        if stamp(source.folder) != source.stamp:
            raise ArtifactError(f"{source.folder} was changed while it was being loaded")
        return Served(engine, digest, source.version or digest[:12], source.created, fingerprint(digest))
