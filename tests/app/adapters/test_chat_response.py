from __future__ import annotations

import itertools
import json
import math
import re
from typing import Any

import pytest

from app.adapters.chat_request import ChatJob, to_job
from app.adapters.chat_response import ChunkWriter, Envelope, completion, new_call_id, new_completion_id
from app.schemas.chat import ChatCompletionRequest
from model.types import (
    ArgumentsDelta,
    CallStarted,
    Event,
    Evidence,
    Finished,
    GenerationResult,
    Span,
    TextDelta,
    TokenLogprob,
    ToolCall,
)
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
JSON: dict[str, Any] = {
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "place", "schema": {"type": "object", "properties": {"city": {"type": "string"}}}},
    }
}
JSON_TEXT = '{"city":"Paris"}'


def job(**fields: Any) -> ChatJob:
    return to_job(ChatCompletionRequest.model_validate(chat(**fields)))


def whole(*answers: GenerationResult, **fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(completion(ENVELOPE, job(**fields), answers).to_json())
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
        "bodkin": {"confidence": 0.93, "calls": [0.95], "evidence": []},
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
        (result(text=JSON_TEXT), JSON, JSON_TEXT, "stop"),
        (result(text=JSON_TEXT), JSON | {"tools": None}, JSON_TEXT, "stop"),
        (result(text=JSON_TEXT), JSON | {"messages": AFTER_A_TOOL}, JSON_TEXT, "stop"),
        (result(PARIS), JSON, None, "tool_calls"),
        (result(PARIS), JSON | {"tool_choice": FORCED}, None, "stop"),
        (result(text='{"city":"Pa', finish="length"), JSON, '{"city":"Pa', "length"),
        (result(text="", finish="length"), JSON, "", "length"),
        (result(finish="length"), JSON | {"messages": AFTER_A_TOOL}, "", "length"),
        (result(text=JSON_TEXT), JSON | {"stop": "Paris"}, '{"city":"', "stop"),
        (result(text=JSON_TEXT), JSON | {"stop": ["x", "s"]}, '{"city":"Pari', "stop"),
        (result(text=JSON_TEXT), JSON | {"stop": "{"}, "", "stop"),
        (result(text=JSON_TEXT), JSON | {"stop": "x"}, JSON_TEXT, "stop"),
        (result(text=JSON_TEXT[:-1], finish="length"), JSON | {"stop": "ris"}, '{"city":"Pa', "stop"),
        (result(), {"messages": AFTER_A_TOOL, "stop": "n"}, "su", "stop"),
        (result(), {"messages": AFTER_A_TOOL, "stop": "s"}, "", "stop"),
        (result(PARIS), {"stop": "city"}, None, "tool_calls"),
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
    expected[-1]["bodkin"] = {"confidence": 0.93, "calls": [0.95, 0.94], "evidence": []}
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


def test_chunks_of_a_text() -> None:
    written = chunks(events(result(text=JSON_TEXT)), **JSON)
    assert [chunk["choices"][0]["delta"] for chunk in written] == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": '{"city":'},
        {"content": '"Paris"}'},
        {},
    ]


def test_several_choices() -> None:
    body = whole(result(PARIS), result(), result(PARIS, ROME), n=3)
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert [choice["finish_reason"] for choice in body["choices"]] == ["tool_calls", "stop", "tool_calls"]
    ids = [call["id"] for choice in body["choices"] for call in choice["message"].get("tool_calls", [])]
    assert len(set(ids)) == 3
    assert [choice["bodkin"]["calls"] for choice in body["choices"]] == [[0.95], [], [0.95, 0.94]]
    assert body["bodkin"] == body["choices"][0]["bodkin"]
    assert body["usage"] == {**USAGE, "completion_tokens": 21, "total_tokens": 61}, "the prompt is read once"


def test_several_choices_in_a_stream() -> None:
    answers = [result(PARIS), result(text=JSON_TEXT), result()]
    stream = itertools.chain.from_iterable(events(answer) for answer in answers)
    *written, last = chunks(stream, include_usage=True, n=3, **JSON | {"messages": AFTER_A_TOOL})
    assert last["choices"] == []
    assert (last["usage"]["prompt_tokens"], last["usage"]["completion_tokens"]) == (40, 21)
    by_choice = itertools.groupby((chunk["choices"][0] for chunk in written), key=lambda choice: choice["index"])
    for (index, group), reason in zip(by_choice, ["tool_calls", "stop", "stop"], strict=True):
        choices = list(group)
        assert choices[0]["delta"]["role"] == "assistant"
        assert all("role" not in choice["delta"] for choice in choices[1:])
        assert [choice["finish_reason"] for choice in choices] == [None] * (len(choices) - 1) + [reason], index
    finishing = [chunk for chunk in written if chunk["choices"][0]["finish_reason"]]
    assert [chunk["bodkin"]["calls"] for chunk in finishing] == [[0.95], [], []]
    assert all("bodkin" not in chunk for chunk in written if chunk not in finishing)


def test_a_stop_sequence_is_looked_for_in_each_choice() -> None:
    answers = [result(text=JSON_TEXT), result(text='{"city":"Lyon"}')]
    stream = itertools.chain.from_iterable(events(answer) for answer in answers)
    texts = ["", ""]
    for chunk in chunks(stream, n=2, stop="o", **JSON):
        choice = chunk["choices"][0]
        texts[choice["index"]] += choice["delta"].get("content", "")
    assert texts == [JSON_TEXT, '{"city":"Ly']
    assert [c["message"]["content"] for c in whole(*answers, n=2, stop="o", **JSON)["choices"]] == texts


A = TokenLogprob(b'{"city":"', 0.0)
B = TokenLogprob(b"Z\xc3", -0.25, ((b"Z\xc3", -0.25), (b"P", -2.5)))
C = TokenLogprob(b"\xbc", -math.inf, ((b"\xbc", -math.inf),))
D = TokenLogprob(b'"}', -0.5)
WIRE_A = {"token": '{"city":"', "logprob": 0.0, "bytes": list(b'{"city":"'), "top_logprobs": []}
WIRE_B = {
    "token": "Z\ufffd",
    "logprob": -0.25,
    "bytes": [90, 0xC3],
    "top_logprobs": [
        {"token": "Z\ufffd", "logprob": -0.25, "bytes": [90, 0xC3]},
        {"token": "P", "logprob": -2.5, "bytes": [80]},
    ],
}
WIRE_C = {
    "token": "\ufffd",
    "logprob": -9999.0,
    "bytes": [0xBC],
    "top_logprobs": [{"token": "\ufffd", "logprob": -9999.0, "bytes": [0xBC]}],
}
WIRE_D = {"token": '"}', "logprob": -0.5, "bytes": list(b'"}'), "top_logprobs": []}
ASKED = {"logprobs": True, "top_logprobs": 2}
ZUERICH = ToolCall("get_weather", '{"city":"Zü"}')


def test_logprobs() -> None:
    answer = result(ZUERICH, logprobs=(A, B, C, D))
    expected = {"content": [WIRE_A, WIRE_B, WIRE_C, WIRE_D], "refusal": None}
    assert whole(answer, **ASKED)["choices"][0]["logprobs"] == expected
    stream: list[Event] = [
        CallStarted(0, "get_weather"),
        ArgumentsDelta(0, '{"city":"', (A,)),
        ArgumentsDelta(0, "Zü", (B, C)),
        ArgumentsDelta(0, '"}', (D,)),
        Finished(answer),
    ]
    got = [chunk["choices"][0]["logprobs"] for chunk in chunks(stream, **ASKED)]
    assert [logprobs and logprobs["content"] for logprobs in got] == [
        [],
        None,
        [WIRE_A],
        [WIRE_B, WIRE_C],
        [WIRE_D],
        None,
    ]


def test_logprobs_of_a_text_and_of_one_that_was_cut() -> None:
    answer = result(text='{"city":"Zü"}', logprobs=(A, B, C, D))
    stream: list[Event] = [
        TextDelta('{"city":"', (A,)),
        TextDelta("Zü", (B, C)),
        TextDelta('"}', (D,)),
        Finished(answer),
    ]
    everything = [WIRE_A, WIRE_B, WIRE_C, WIRE_D]
    for stop, tokens in ((None, everything), ("ü", everything[:2]), ('"}', everything[:3]), ("{", [])):
        fields: dict[str, Any] = {**JSON, **ASKED, "stop": stop}
        assert whole(answer, **fields)["choices"][0]["logprobs"]["content"] == tokens
        got = [chunk["choices"][0]["logprobs"] for chunk in chunks(stream, **fields)]
        assert [token for logprobs in got if logprobs for token in logprobs["content"]] == tokens


def test_what_no_model_wrote_has_no_logprobs() -> None:
    fields: dict[str, Any] = {**ASKED, "messages": AFTER_A_TOOL}
    choice = whole(result(logprobs=()), **fields)["choices"][0]
    assert (choice["message"]["content"], choice["logprobs"]) == ("sunny", {"content": [], "refusal": None})
    got = [chunk["choices"][0]["logprobs"] for chunk in chunks(events(result(logprobs=())), **fields)]
    assert got == [{"content": [], "refusal": None}, None, None]


def test_evidence() -> None:
    span = Span(0, 23, 28, "Paris")
    answer = result(PARIS, ROME, evidence=((Evidence("/city", True, span),), (Evidence("/city", False, None),)))
    expected = [
        [
            {
                "path": "/city",
                "found": True,
                "source": {"message": 0, "start": 23, "end": 28, "text": "Paris"},
            }
        ],
        [{"path": "/city", "found": False, "source": None}],
    ]
    assert whole(answer)["bodkin"]["evidence"] == expected
    assert "content_evidence" not in whole(answer)["bodkin"]
    assert chunks(events(answer))[-1]["bodkin"]["evidence"] == expected
    assert chat()["messages"][0]["content"][23:28] == "Paris"


def test_evidence_of_a_text_points_into_the_message_as_it_was_sent() -> None:
    schema = '{"type":"object","properties":{"city":{"type":"string"}}}'
    text = f"JSON {schema}: I am in Paris."
    start = text.replace(schema, "").index("Paris")
    answer = result(text=JSON_TEXT, text_evidence=(Evidence("/city", True, Span(0, start, start + 5, "Paris")),))
    fields = {"messages": [{"role": "user", "content": text}], "response_format": {"type": "json_object"}}
    for body in (whole(answer, **fields), chunks(events(answer), **fields)[-1]):
        assert body["bodkin"]["evidence"] == []
        (value,) = body["bodkin"]["content_evidence"]
        source = value["source"]
        assert text[source["start"] : source["end"]] == "Paris"
    assert "content_evidence" not in whole(answer, stop="Paris", **fields)["bodkin"], "what was cut is no JSON"
