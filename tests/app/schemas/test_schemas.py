"""The wire formats have the official client's fields. (What becomes of them in /docs: tests/app/test_openapi.py.)"""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

from app.schemas import chat
from app.schemas.base import json_type


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (chat.ChatCompletion, ChatCompletion),
        (chat.ChatCompletionChunk, ChatCompletionChunk),
    ],
)
def test_fields_are_those_of_the_official_client(ours: type[BaseModel], theirs: type[BaseModel]) -> None:
    extensions = {"bodkin"}
    assert set(ours.model_fields) - extensions <= set(theirs.model_fields)
    required = {name for name, field in theirs.model_fields.items() if field.is_required()}
    assert required <= set(ours.model_fields)


@pytest.mark.parametrize(
    ("value", "tag"), [("a", "#string"), ([], "#array"), ({}, "#object"), (None, None), (1, None), (True, None)]
)
def test_json_type(value: Any, tag: str | None) -> None:
    assert json_type(value) == tag
