"""Puts the application together. Everything it needs is passed in; importing this module has no effects."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable

from fastapi import FastAPI
from fastapi.middleware import Middleware

from app.auth import AuthMiddleware
from app.errors import install_handlers
from app.routes import chat, health, models
from app.service import Service
from app.settings import Settings
from app.telemetry import TelemetryMiddleware
from app.version import version
from model.types import Engine

logger = logging.getLogger("bodkin.server")

OnLoad = Callable[[Exception | None], None]


def build_engine(settings: Settings) -> Engine:
    """The real engine. Imported here, so that a server with another engine needs no ONNX Runtime."""
    from model import load_engine

    return load_engine(settings.artifact, threads=settings.threads)


def create_app(settings: Settings, engine: Engine | None = None, on_load: OnLoad | None = None) -> FastAPI:
    """The ASGI application.

    Args:
        settings: fixed for the application's life.
        engine: used as it is. Without one, the engine of `settings.artifact` is loaded at start-up, in the background:
            the server listens meanwhile, and answers 503.
        on_load: called once loading has ended, with the error if it failed.
    """
    service = Service(max_concurrency=settings.max_concurrency, queue_limit=settings.queue_limit)
    if engine is not None:
        service.use(engine)

    async def load() -> None:
        failure: Exception | None = None
        try:
            await service.load(lambda: build_engine(settings))
        except Exception as error:
            failure = error
        if on_load is not None:
            on_load(failure)
        elif failure is not None:
            logger.error("the model could not be loaded", exc_info=failure)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if engine is not None:
            yield
            return
        loading = asyncio.create_task(load())
        yield
        loading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await loading

    app = FastAPI(
        title="Bodkin",
        summary="OpenAI's function calling, answered on this machine.",
        version=version(),
        lifespan=lifespan,
        redirect_slashes=False,
        middleware=[Middleware(TelemetryMiddleware), Middleware(AuthMiddleware, keys=settings.api_keys)],
    )
    app.state.settings = settings
    app.state.service = service
    app.state.created = int(time.time())
    app.state.fingerprint = "fp_" + hashlib.sha256(f"{version()} {settings.model}".encode()).hexdigest()[:10]
    install_handlers(app)
    for module in (chat, models, health):
        app.include_router(module.router)
    return app
