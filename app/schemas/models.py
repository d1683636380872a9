"""`/v1/models`."""

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
