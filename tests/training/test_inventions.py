"""Reading the requests that a model made up."""

from __future__ import annotations

import json
from typing import Any

import pytest

from model.types import Message, Tool, ToolCall
from training.teacher.inventions import FORM, InventedRequest, conversations

PAY = Tool("pay", "", {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]})


def read(*requests: Any) -> tuple[tuple[Message, ...], ...]:
    return conversations(json.dumps(requests), [PAY])


def texts(text: str) -> list[str]:
    return [messages[-1].text for messages in conversations(text, [PAY])]


def test_the_whole_elements_of_a_list_that_was_cut_are_kept() -> None:
    assert texts('[{"text":"a"},\n {"text":"b"},{"text":"c') == ["a", "b"]
    assert texts('```json\n[{"text":"a"} , {"text":"b"}]\n```') == ["a", "b"]
    assert texts("[]") == texts("") == texts("no list") == texts("[") == []


@pytest.mark.parametrize(
    "request_",
    [
        {"text": " "},
        {"words": "a"},
        "a",
        7,
        {"text": "a", "earlier": [{"role": "assistant", "text": "Hi."}]},
        {"text": "a", "earlier": [{"role": "robot", "text": "Hi."}]},
        {
            "text": "a",
            "earlier": [{"role": "user"}, {"role": "assistant", "calls": [{"name": "p", "arguments": "{}"}]}],
        },
        {
            "text": "a",
            "earlier": [{"role": "user"}, {"role": "assistant", "calls": [{"name": "pay", "arguments": "{"}]}],
        },
        {
            "text": "a",
            "earlier": [{"role": "user"}, {"role": "assistant", "calls": [{"name": "pay", "arguments": "{}"}]}],
        },
        {
            "text": "a",
            "earlier": [{"role": "user"}, {"role": "assistant", "calls": [{"name": "pay", "arguments": "[]"}]}],
        },
    ],
)
def test_one_that_cannot_be_used_is_left_out_and_the_others_stay(request_: Any) -> None:
    assert read({"text": "a"}, request_, {"text": "b"}) == ((Message("user", "a"),), (Message("user", "b"),))


def test_calls_are_read_like_the_teachers_own() -> None:
    earlier = [
        {"role": "user", "text": "Pay"},
        {"role": "assistant", "calls": [{"name": "pay", "arguments": '{"sum":2.0}'}]},
    ]
    (messages,) = read({"earlier": earlier, "text": "Again"})
    assert messages[1] == Message("assistant", "", (ToolCall("pay", '{"sum":2}'),))


def test_the_form_speaks_of_every_field() -> None:
    fields = [*InventedRequest.model_fields, "calls", "arguments", "name"]
    assert all(f'"{field}"' in FORM for field in fields)
