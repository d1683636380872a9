"""What routes ask for, each named once."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request

from app.engines import Engines
from app.items import RecentItems
from app.service import Service


# Coroutines, although nothing is awaited: FastAPI would run plain functions in a thread.
async def get_engines(request: Request) -> Engines:
    return cast(Engines, request.app.state.engines)


async def get_service(request: Request) -> Service:
    return cast(Service, request.app.state.service)


async def get_recent_items(request: Request) -> RecentItems:
    return cast(RecentItems, request.app.state.recent_items)


EnginesDep = Annotated[Engines, Depends(get_engines)]
ServiceDep = Annotated[Service, Depends(get_service)]
RecentItemsDep = Annotated[RecentItems, Depends(get_recent_items)]
