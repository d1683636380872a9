"""What routes ask for, each named once."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request

from app.service import Service
from app.settings import Settings


# Coroutines, although nothing is awaited: FastAPI would run plain functions in a thread.
async def get_settings(request: Request) -> Settings:
    return cast(Settings, request.app.state.settings)


async def get_service(request: Request) -> Service:
    return cast(Service, request.app.state.service)


SettingsDep = Annotated[Settings, Depends(get_settings)]
ServiceDep = Annotated[Service, Depends(get_service)]
