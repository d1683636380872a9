"""Probes for orchestrators: alive, and able to answer."""

from __future__ import annotations

from fastapi import APIRouter

from app.dependencies import ServiceDep
from app.schemas.errors import ErrorEnvelope

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """200 as long as the process runs."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"model": ErrorEnvelope}})
async def readyz(service: ServiceDep) -> dict[str, str]:
    """200 once the model is loaded."""
    service.ready_engine()
    return {"status": "ready"}
