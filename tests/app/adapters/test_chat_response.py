from __future__ import annotations

import json
import re
from typing import Any

import pytest

from app.adapters.chat_request import ChatJob, to_job
from app.adapters.chat_response import ChunkWriter, Envelope, completion, new_call_id, new_completion_id
from app.schemas.chat import ChatCompletionRequest
from model.types import ArgumentsDelta, CallStarted, Event, Finished, GenerationResult
from tests.conftest import PARIS, ROME, WEATHER, chat, events, result

ENVELOPE = Envelope(id="chatcmpl-1", created=1700000000, model="bodkin-26m", system_fingerprint="fp_1")
USAGE = {
    "prompt_tokens": 40,
    "completion_tokens": 7,
    "total_tokens": 47,
    "prompt_tokens_details": {"cached_tokens": 30, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
AFTER_A_TOOL = [
    {"role": "user", "content": "?"},
    {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f"}}]},
    {"role": "tool", "tool_call_id": "1", "content": "sunny"},
]
FORCED = {"type": "function", "function": {"name": "get_weather"}}
LEGACY: dict[str, Any] = {"tools": None, "functions": [WEATHER["function"]]}


def job(**fields: Any) -> ChatJob:
    return to_job(ChatCompletionRequest.model_validate(chat(**fields)))


def whole(answer: GenerationResult, **fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(completion(ENVELOPE, job(**fields), answer).to_json())
    return body


def chunks(stream: Any, include_usage: bool = False, **fields: Any) -> list[dict[str, Any]]:
    writer = ChunkWriter(ENVELOPE, job(**fields), include_usage)
    return [json.loads(chunk.to_json()) for event in stream for chunk in writer.write(event)]


def test_ids() -> None:
    assert re.fullmatch(r"chatcmpl-[0-9a-f]{32}", new_completion_id())
    assert re.fullmatch(r"call_[0-9a-f]{24}", new_call_id())


def test_completion_with_a_call() -> None:
    body = whole(result(PARIS))
    call_id = body["choices"][0]["message"]["tool_calls"][0]["id"]
    assert body == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "bodkin-26m",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": None,
                    "refusal": None,
                    "annotations": [],
                    "tool_calls": [
                        {
                            "id": call_id,
                            "type": "function",
                            "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'},
                        }
                    ],
                },
                "logprobs": None,
                "finish_reason": "tool_calls",
            }
        ],
        "usage": USAGE,
        "service_tier": "default",
        "system_fingerprint": "fp_1",
        "bodkin": {"confidence": 0.93, "calls": [0.95]},
    }


def test_completion_without_a_call() -> None:
    choice = whole(result())["choices"][0]
    assert choice == {
        "index": 0,
        "message": {"role": "assistant", "content": "", "refusal": None, "annotations": []},
        "logprobs": None,
        "finish_reason": "stop",
    }


def test_calls_have_different_ids() -> None:
    calls = whole(result(PARIS, ROME))["choices"][0]["message"]["tool_calls"]
    assert [call["function"]["name"] for call in calls] == ["get_weather", "get_time"]
    assert calls[0]["id"] != calls[1]["id"]


@pytest.mark.parametrize(
    ("answer", "fields", "content", "reason"),
    [
        (result(PARIS), {}, None, "tool_calls"),
        (result(PARIS), {"tool_choice": "required"}, None, "tool_calls"),
        (result(PARIS), {"tool_choice": FORCED}, None, "stop"),
        (result(PARIS, finish="length"), {}, None, "length"),
        (result(finish="length"), {}, "", "length"),
        (result(finish="length"), {"tool_choice": FORCED}, "", "length"),
        (result(), {}, "", "stop"),
        (result(), {"messages": AFTER_A_TOOL}, "sunny", "stop"),
        (result(finish="length"), {"messages": AFTER_A_TOOL}, "", "length"),
        (result(PARIS), {"messages": AFTER_A_TOOL}, None, "tool_calls"),
        (result(PARIS), LEGACY, None, "function_call"),
        (result(PARIS), LEGACY | {"function_call": {"name": "get_weather"}}, None, "stop"),
    ],
)
def test_content_and_finish_reason_are_the_same_whole_and_streamed(
    answer: GenerationResult, fields: dict[str, Any], content: str | None, reason: str
) -> None:
    choice = whole(answer, **fields)["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == (content, reason)

    deltas = [chunk["choices"][0]["delta"] for chunk in chunks(events(answer), **fields)]
    texts = [delta["content"] for delta in deltas if "content" in delta]
    assert (None if texts == [None] else "".join(texts)) == content
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks(events(answer), **fields)]
    assert [r for r in reasons if r is not None] == [reason], "exactly one finish chunk"


def test_legacy_completion() -> None:
    message = whole(result(PARIS), **LEGACY)["choices"][0]["message"]
    assert message["function_call"] == {"name": "get_weather", "arguments": '{"city":"Paris"}'}
    assert "tool_calls" not in message


def test_chunks_of_two_calls() -> None:
    written = chunks(events(result(PARIS, ROME)))
    ids = [c["choices"][0]["delta"]["tool_calls"][0]["id"] for c in (written[1], written[4])]
    deltas = [
        {"role": "assistant", "content": None, "refusal": None},
        {
            "tool_calls": [
                {"index": 0, "id": ids[0], "type": "function", "function": {"name": "get_weather", "arguments": ""}}
            ]
        },
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"Paris"}'}}]},
        {
            "tool_calls": [
                {"index": 1, "id": ids[1], "type": "function", "function": {"name": "get_time", "arguments": ""}}
            ]
        },
        {"tool_calls": [{"index": 1, "function": {"arguments": '{"city"'}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": ':"Rome"}'}}]},
        {},
    ]
    common = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "bodkin-26m",
        "service_tier": "default",
        "system_fingerprint": "fp_1",
    }
    expected: list[dict[str, Any]] = [
        {**common, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}]}
        for delta in deltas
    ]
    expected[-1]["choices"][0]["finish_reason"] = "tool_calls"
    expected[-1]["bodkin"] = {"confidence": 0.93, "calls": [0.95, 0.94]}
    assert written == expected
    assert ids[0] != ids[1]


def test_chunks_without_a_call() -> None:
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks(events(result()))]
    assert deltas == [{"role": "assistant", "content": "", "refusal": None}, {}]


def test_chunks_after_a_tool_carry_its_text() -> None:
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks(events(result()), messages=AFTER_A_TOOL)]
    assert deltas == [{"role": "assistant", "content": "", "refusal": None}, {"content": "sunny"}, {}]


def test_chunks_of_a_call_that_was_cut() -> None:
    cut: list[Event] = [
        CallStarted(0, "get_weather"),
        ArgumentsDelta(0, '{"ci'),
        Finished(result(finish="length")),
    ]
    written = chunks(cut)
    assert written[-1]["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}


def test_usage_is_null_until_its_own_last_chunk() -> None:
    *others, last = chunks(events(result(PARIS)), include_usage=True)
    assert all(chunk["usage"] is None for chunk in others)
    assert last["choices"] == []
    assert last["usage"] == USAGE
    assert all("usage" not in chunk for chunk in chunks(events(result(PARIS))))


def test_legacy_chunks() -> None:
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks(events(result(PARIS)), **LEGACY)]
    assert deltas == [
        {"role": "assistant", "content": None, "refusal": None},
        {"function_call": {"name": "get_weather", "arguments": ""}},
        {"function_call": {"arguments": '{"city":'}},
        {"function_call": {"arguments": '"Paris"}'}},
        {},
    ]
