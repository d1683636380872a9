"""Puts the application together. Everything it needs is passed in; importing this module has no effects."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from fastapi import FastAPI
from fastapi.middleware import Middleware

from app.auth import AuthMiddleware
from app.catalog import Catalog
from app.contracts import Contracts
from app.engines import Engines
from app.errors import install_handlers
from app.items import RecentItems
from app.openapi import DESCRIPTION, install_openapi
from app.routes import chat, embeddings, health, models, responses, tools
from app.service import Service
from app.settings import Settings
from app.telemetry import TelemetryMiddleware
from app.version import version
from model.manifest import Manifest
from model.types import Engine

OnLoad = Callable[[Exception | None], None]


def build_engine(folder: Path, manifest: Manifest, threads: int) -> Engine:
    """The real engine. Imported here, so that a server with another engine needs no ONNX Runtime."""
    from model.engine import CACHE_BYTES, BodkinEngine

    return BodkinEngine(folder, manifest, threads, CACHE_BYTES)


def create_app(settings: Settings, engine: Engine | None = None, on_load: OnLoad | None = None) -> FastAPI:
    """The ASGI application.

    Args:
        settings: fixed for the application's life.
        engine: the only model, used as it is. Without one, those of `settings` and of the store are loaded at start-up,
            in the background, and followed from then on: the server listens meanwhile, and answers 503.
        on_load: called once all that were there have been loaded, with the error if a configured one failed.
    """
    catalog = Catalog(settings.model, settings.artifact, settings.artifacts, settings.store)
    engines = Engines(
        settings.model,
        catalog,
        settings.max_models,
        lambda folder, manifest: build_engine(folder, manifest, settings.threads),
    )
    if engine is not None:
        engines.put(settings.model, engine)

    async def follow() -> None:
        refused = await engines.load()
        failure = next((error for name, error in refused.items() if name in catalog.configured), None)
        if on_load is not None:
            # The caller decides what to say of a configured one, and whether to go on.
            refused = {name: error for name, error in refused.items() if name not in catalog.configured}
            on_load(failure)
        engines.report(refused)
        await engines.watch()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if engine is not None:
            yield
            return
        await engines.look()  # no request is told that a model does not exist because nobody has looked yet
        following = asyncio.create_task(follow())
        yield
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
        engines.close()

    app = FastAPI(
        title="Bodkin",
        summary="OpenAI's function calling, answered on this machine.",
        description=DESCRIPTION,
        version=version(),
        lifespan=lifespan,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        middleware=[Middleware(TelemetryMiddleware), Middleware(AuthMiddleware, keys=settings.api_keys)],
    )
    app.state.settings = settings
    app.state.engines = engines
    app.state.service = Service(max_concurrency=settings.max_concurrency, queue_limit=settings.queue_limit)
    app.state.recent_items = RecentItems()
    # A catalog of its own: one belongs to one thread at a time.
    app.state.contracts = Contracts(Catalog(settings.model, settings.artifact, settings.artifacts, settings.store))
    install_handlers(app)
    for module in (chat, responses, embeddings, tools, models, health):
        app.include_router(module.router)
    install_openapi(app)
    return app
