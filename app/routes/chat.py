"""`POST /v1/chat/completions`."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Request, Response

from app.adapters.chat_request import to_job
from app.adapters.chat_response import ChunkWriter, Envelope, completion, finish_reason, new_completion_id, rounded
from app.body import JSONRoute
from app.dependencies import EnginesDep, ServiceDep
from app.schemas.chat import ChatCompletion, ChatCompletionRequest
from app.schemas.errors import ErrorEnvelope
from app.streaming import ClientGoneError, EventStream, event_frames, unless_gone
from app.telemetry import CLIENT_CLOSED_REQUEST
from model.errors import RequestError
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
    """Answer a conversation with calls of the declared tools."""
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
        log.update(
            calls=len(result.calls),
            finish_reason=finish_reason(job, result),
            confidence=rounded(result.confidence),
            prompt_tokens=result.usage.prompt_tokens,
            completion_tokens=result.usage.completion_tokens,
        )

    generation = service.start(served.engine, job.request, live=bool(body.stream))
    try:
        if body.stream:
            log["stream"] = True
            await unless_gone(request, generation.prepared())
            include_usage = body.stream_options is not None and bool(body.stream_options.include_usage)
            writer = ChunkWriter(envelope, job, include_usage)
            return EventStream(event_frames(generation, writer.write, note, request.state.request_id))
        result = await unless_gone(request, generation.result())
    except ClientGoneError:
        generation.close()
        log["disconnected"] = True
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    except RequestError as error:
        error.param = job.client_path(error.param)
        raise
    except BaseException:
        generation.close()
        raise
    note(result)
    return Response(completion(envelope, job, result).to_json(), media_type="application/json")
