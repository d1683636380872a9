"""`POST /v1/tools/check`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from app.adapters.contract import declared, response
from app.body import JSONRoute
from app.contracts import Contracts
from app.dependencies import EnginesDep, ServiceDep
from app.schemas.contract import ToolsCheck, ToolsCheckRequest
from app.schemas.errors import ErrorEnvelope
from app.streaming import ClientGoneError, unless_gone
from app.telemetry import CLIENT_CLOSED_REQUEST

router = APIRouter(tags=["tools"], route_class=JSONRoute)


@router.post(
    "/v1/tools/check",
    response_model=ToolsCheck,
    responses={"default": {"model": ErrorEnvelope, "description": "OpenAI's error body."}},
)
async def check_tools(body: ToolsCheckRequest, request: Request, engines: EnginesDep, service: ServiceDep) -> Response:
    """Say of each tool whether it can be served, and of each keyword of its schema what becomes of it. An extension of
    Bodkin's; it takes a place in the queue, but needs no model to be loaded."""
    contracts: Contracts = request.app.state.contracts
    model = request.app.state.settings.model if body.model is None else body.model
    tools = declared(body)
    log: dict[str, Any] = request.state.log
    log.update(model=model, tools=len(tools))

    def work() -> str | None:
        """In the worker thread, writing included: a report can be megabytes of JSON."""
        checked = contracts.check(model, tools)
        return None if checked is None else response(model, checked).to_json()

    try:
        text = await unless_gone(request, service.run(work))
    except ClientGoneError:
        log["disconnected"] = True
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    if text is None:
        raise engines.refusal(model)
    return Response(text, media_type="application/json")
