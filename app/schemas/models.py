"""`/v1/models`, and which of them are ready."""

from __future__ import annotations

from typing import Literal

from app.schemas.base import ResponseModel


class Model(ResponseModel):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(ResponseModel):
    object: Literal["list"]
    data: list[Model]


class Readiness(ResponseModel):
    """Of `/readyz`."""

    status: Literal["ready"]
    models: dict[str, str]
    """The version in service, by model: the store's (`v3`), or the beginning of the artifact's digest."""
