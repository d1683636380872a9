"""`POST /v1/responses`, and the addresses under which OpenAI keeps responses: nothing is kept here."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from app.adapters.bodkin import rounded
from app.adapters.responses_events import EventWriter
from app.adapters.responses_request import to_job
from app.adapters.responses_response import Head, as_input, new_key, output_items, response
from app.answer import answer
from app.body import JSONRoute
from app.dependencies import EnginesDep, RecentItemsDep, ServiceDep
from app.errors import NotFoundError
from app.schemas.errors import ErrorEnvelope
from app.schemas.response_object import ResponseObject
from app.schemas.responses import ResponseRequest
from app.streaming import named_frames
from model.types import GenerationResult

router = APIRouter(tags=["responses"], route_class=JSONRoute)
kept = APIRouter(include_in_schema=False)


@router.post(
    "/v1/responses",
    response_model=ResponseObject,
    responses={
        200: {"content": {"text/event-stream": {}}, "description": "The response; its events with `stream`."},
        "default": {"model": ErrorEnvelope, "description": "OpenAI's error body."},
    },
)
async def create_response(
    body: ResponseRequest, request: Request, engines: EnginesDep, service: ServiceDep, recent: RecentItemsDep
) -> Response:
    """Answer a conversation with calls of the declared tools, or with JSON by a schema."""
    served = engines.choose(body.model)  # and no other from here on: the name may stand for another in a moment
    job = to_job(body, recent.get)
    head = Head(key=new_key(), created=int(time.time()), model=body.model)
    log: dict[str, Any] = request.state.log
    log.update(model=body.model, version=served.version)

    def note(result: GenerationResult) -> None:
        """Called before the client has the answer, which it may refer to as soon as it has it."""
        if body.store is not False:
            recent.remember(as_input(output_items(head, job, result)))
        log.update(
            calls=len(result.calls),
            finish_reason=result.finish_reason,
            confidence=rounded(result.confidence),
            prompt_tokens=result.usage.prompt_tokens,
            completion_tokens=result.usage.completion_tokens,
        )

    def frames() -> AsyncGenerator[str, None]:
        return named_frames(generation, EventWriter(head, job, time.time), note, request.state.request_id)

    def whole(results: Sequence[GenerationResult]) -> ResponseObject:
        note(results[0])
        return response(head, job, results[0], int(time.time()))

    generation = service.start(served.engine, job.request, live=bool(body.stream))
    return await answer(
        request, generation, client_path=job.client_path, frames=frames if body.stream else None, whole=whole
    )


@kept.api_route("/v1/responses/{response_id}", methods=["GET", "DELETE"])
@kept.get("/v1/responses/{response_id}/input_items")
@kept.post("/v1/responses/{response_id}/cancel")
async def kept_response(response_id: str) -> None:
    raise NotFoundError(
        f"Response with id '{response_id[:100]}' not found: Bodkin keeps no responses.", code="response_not_found"
    )


router.include_router(kept)
