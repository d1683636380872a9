"""An embeddings request as texts, and vectors as its response. Read but without effect: `user`, and unknown fields."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import UnsupportedError
from app.schemas.embeddings import Embedding, EmbeddingsRequest, EmbeddingsResponse, EmbeddingsUsage
from model.types import Embeddings


@dataclass(frozen=True)
class EmbeddingsJob:
    """The texts, and what the answer's shape depends on besides their vectors."""

    model: str
    texts: tuple[str, ...]
    single: bool
    """The client sent one text, not an array of them."""
    base64: bool
    dimensions: int | None

    def client_path(self, param: str | None) -> str | None:
        """An engine's path (`input[0]`) in the terms of what the client sent."""
        return re.sub(r"^input\[0]", "input", param) if param and self.single else param


def to_job(body: EmbeddingsRequest) -> EmbeddingsJob:
    single = isinstance(body.input, str)
    return EmbeddingsJob(
        model=body.model,
        texts=(body.input,) if isinstance(body.input, str) else tuple(body.input),
        single=single,
        base64=body.encoding_format == "base64",
        dimensions=body.dimensions,
    )


def response(job: EmbeddingsJob, made: Embeddings) -> EmbeddingsResponse:
    """Raises `UnsupportedError` if the client wants vectors of another width than the model's."""
    width = len(made.vectors[0])
    if job.dimensions not in (None, width):
        # Cutting a vector short is sound only for models that were trained for it.
        raise UnsupportedError(
            f"The vectors of '{job.model}' have {width} dimensions; leave 'dimensions' out, or send {width}.",
            param="dimensions",
            code="unsupported_value",
        )
    data = [
        Embedding(object="embedding", index=index, embedding=_base64(vector) if job.base64 else list(vector))
        for index, vector in enumerate(made.vectors)
    ]
    usage = EmbeddingsUsage(prompt_tokens=made.tokens, total_tokens=made.tokens)
    return EmbeddingsResponse(object="list", data=data, model=job.model, usage=usage)


def _base64(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
