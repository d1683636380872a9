"""What all request and response models share."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class RequestModel(BaseModel):
    """A part of a request. Types are exact ("1" is no integer), unknown fields are kept, null means absent."""

    model_config = ConfigDict(strict=True, extra="allow", use_attribute_docstrings=True)


class ResponseModel(BaseModel):
    """A part of a response. Only the fields that were set are written, so that null and absent stay two things."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    def to_json(self) -> str:
        return self.model_dump_json(exclude_unset=True)


def json_type(value: Any) -> str | None:
    """Tag of a union member by the JSON type of `value`.

    Tags begin with `#`: pydantic puts them into an error's location, where no field name of ours looks like that, so
    they can be taken out again.
    """
    if isinstance(value, str):
        return "#string"
    if isinstance(value, list):
        return "#array"
    if isinstance(value, dict | BaseModel):
        return "#object"
    return None


def object_type(value: Any) -> str | None:
    """Tag of a union member by the `type` that an object says it is, with `#` as above; None if it does not say."""
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return None if kind is None else f"#{kind}"
