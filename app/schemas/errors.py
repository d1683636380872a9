"""OpenAI's error body."""

from __future__ import annotations

from app.schemas.base import ResponseModel


class ErrorBody(ResponseModel):
    message: str
    """What is wrong and what to change."""
    type: str
    """The family: `invalid_request_error`, `requests` (too many), `server_error`."""
    param: str | None
    """Where in the request, such as `tools[2].function.parameters`."""
    code: str | None
    """What exactly, for programs."""


class ErrorEnvelope(ResponseModel):
    error: ErrorBody
