"""`POST /v1/embeddings`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from app.adapters.embeddings import response, to_job
from app.body import JSONRoute
from app.dependencies import EnginesDep, ServiceDep
from app.schemas.embeddings import EmbeddingsRequest, EmbeddingsResponse
from app.schemas.errors import ErrorEnvelope
from app.streaming import ClientGoneError, unless_gone
from app.telemetry import CLIENT_CLOSED_REQUEST
from model.errors import RequestError

router = APIRouter(tags=["embeddings"], route_class=JSONRoute)


@router.post(
    "/v1/embeddings",
    response_model=EmbeddingsResponse,
    responses={"default": {"model": ErrorEnvelope, "description": "OpenAI's error body."}},
)
async def create_embeddings(
    body: EmbeddingsRequest, request: Request, engines: EnginesDep, service: ServiceDep
) -> Response:
    """Vectors of texts: the nearer two of them (dot product), the more alike what the texts are about."""
    served = engines.choose(body.model)
    job = to_job(body)
    log: dict[str, Any] = request.state.log
    log.update(model=body.model, version=served.version, texts=len(job.texts))

    def work() -> tuple[str, int]:
        """In the worker thread, writing included: thousands of vectors are megabytes of JSON."""
        made = served.engine.embed(job.texts)
        return response(job, made).to_json(), made.tokens

    try:
        text, tokens = await unless_gone(request, service.run(work))
    except ClientGoneError:
        log["disconnected"] = True
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    except RequestError as error:
        error.param = job.client_path(error.param)
        raise
    log["prompt_tokens"] = tokens
    return Response(text, media_type="application/json")
