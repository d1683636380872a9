"""What routes that generate have in common: wait, unless the client leaves; answer in one piece, or as a stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence

from fastapi import Request, Response

from app.schemas.base import ResponseModel
from app.service import Generation
from app.streaming import ClientGoneError, EventStream, unless_gone
from app.telemetry import CLIENT_CLOSED_REQUEST
from model.errors import RequestError
from model.types import GenerationResult


async def answer(
    request: Request,
    generation: Generation,
    *,
    client_path: Callable[[str | None], str | None],
    frames: Callable[[], AsyncGenerator[str, None]] | None,
    whole: Callable[[Sequence[GenerationResult]], ResponseModel],
) -> Response:
    """The HTTP response for `generation`, which is closed on every way out.

    Args:
        client_path: from an engine's path to a parameter to the client's.
        frames: the stream's, which close the generation themselves; None if the client wants no stream. What can be
            refused is refused before they begin.
        whole: the body made of the answers to all requests of the generation.
    """
    log = request.state.log
    try:
        if frames is not None:
            log["stream"] = True
            await unless_gone(request, generation.prepared())
            return EventStream(frames())
        results = await unless_gone(request, generation.results())
    except ClientGoneError:
        generation.close()
        log["disconnected"] = True
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    except RequestError as error:
        error.param = client_path(error.param)
        raise
    except BaseException:
        generation.close()
        raise
    return Response(whole(results).to_json(), media_type="application/json")
