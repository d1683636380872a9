"""Probes for orchestrators: alive, and able to answer."""

from __future__ import annotations

from fastapi import APIRouter

from app.dependencies import EnginesDep
from app.schemas.errors import ErrorEnvelope
from app.schemas.models import Readiness

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """200 as long as the process runs."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"model": ErrorEnvelope}})
async def readyz(engines: EnginesDep) -> Readiness:
    """200 once the models that were there at start-up are loaded; says which version of each answers."""
    return Readiness(status="ready", models=engines.ready())
