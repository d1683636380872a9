"""`POST /v1/chat/completions`."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from app.adapters.bodkin import rounded
from app.adapters.chat_request import to_job
from app.adapters.chat_response import ChunkWriter, Envelope, completion, finish_reason, new_completion_id
from app.answer import answer
from app.body import JSONRoute
from app.dependencies import EnginesDep, ServiceDep
from app.schemas.chat import ChatCompletion, ChatCompletionRequest
from app.schemas.errors import ErrorEnvelope
from app.streaming import event_frames
from model.types import GenerationResult

router = APIRouter(tags=["chat"], route_class=JSONRoute)


@router.post(
    "/v1/chat/completions",
    response_model=ChatCompletion,
    responses={
        200: {"content": {"text/event-stream": {}}, "description": "The completion; its chunks with `stream`."},
        "default": {"model": ErrorEnvelope, "description": "OpenAI's error body."},
    },
)
async def create_chat_completion(
    body: ChatCompletionRequest, request: Request, engines: EnginesDep, service: ServiceDep
) -> Response:
    """Answer a conversation with calls of the declared tools, or with JSON by a schema."""
    served = engines.choose(body.model)  # and no other from here on: the name may stand for another in a moment
    job = to_job(body)
    envelope = Envelope(
        id=new_completion_id(),
        created=int(time.time()),
        model=body.model,
        system_fingerprint=served.fingerprint,
    )
    log: dict[str, Any] = request.state.log
    log.update(model=body.model, version=served.version)

    def note(result: GenerationResult) -> None:
        """The first choice, and what all have cost."""
        if "calls" not in log:
            log.update(
                calls=len(result.calls),
                finish_reason=finish_reason(job, result),
                confidence=rounded(result.confidence),
                prompt_tokens=result.usage.prompt_tokens,
                completion_tokens=0,
            )
        log["completion_tokens"] += result.usage.completion_tokens

    def frames() -> AsyncGenerator[str, None]:
        include_usage = body.stream_options is not None and bool(body.stream_options.include_usage)
        writer = ChunkWriter(envelope, job, include_usage)
        return event_frames(generation, writer.write, note, request.state.request_id)

    def whole(results: Sequence[GenerationResult]) -> ChatCompletion:
        for result in results:
            note(result)
        return completion(envelope, job, results)

    generation = service.start(served.engine, *job.requests, live=bool(body.stream))
    return await answer(
        request, generation, client_path=job.client_path, frames=frames if body.stream else None, whole=whole
    )
