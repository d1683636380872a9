"""`/v1/embeddings`: request and response."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from app.schemas.base import RequestModel, ResponseModel, json_type

MAX_INPUTS = 2048  # OpenAI's


def _no_tokens(value: Any) -> Any:
    """Some clients send token ids of OpenAI's tokenizers. They name other words here, or none."""
    if isinstance(value, list) and any(type(item) is int or type(item) is list for item in value):
        raise PydanticCustomError(
            "token_ids",
            "these are token ids, and of another model's tokenizer; send the texts themselves "
            "(langchain-openai does with check_embedding_ctx_length=False)",
        )
    return value


Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[list[Text], Field(min_length=1, max_length=MAX_INPUTS)]
Input = Annotated[
    Annotated[Text, Tag("#string")] | Annotated[Texts, Tag("#array")],
    Discriminator(
        json_type, custom_error_type="wire_type", custom_error_message="expected a string or an array of strings"
    ),
    BeforeValidator(_no_tokens),
]


class EmbeddingsRequest(RequestModel):
    """Fields not listed here are accepted and ignored."""

    model: str
    """As for chat completions: the same model makes the calls and the vectors."""
    input: Input
    """A text, or up to 2048 of them; none empty, each within the model's limit. Token ids are refused."""
    encoding_format: Literal["float", "base64"] | None = None
    """Default `float`: arrays of numbers. `base64`: the same vectors as little-endian float32."""
    dimensions: int | None = Field(default=None, ge=1)
    """Only the model's own width (384) is served."""

    user: Any = None
    """Accepted and ignored."""


class Embedding(ResponseModel):
    object: Literal["embedding"]
    index: int
    """Of the text in `input`."""
    embedding: list[float] | str
    """A vector of unit length, in the form that `encoding_format` asked for."""


class EmbeddingsUsage(ResponseModel):
    prompt_tokens: int
    total_tokens: int


class EmbeddingsResponse(ResponseModel):
    object: Literal["list"]
    data: list[Embedding]
    """In the order of `input`."""
    model: str
    usage: EmbeddingsUsage
