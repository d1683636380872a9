from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from app.adapters.responses_events import EventWriter
from app.adapters.responses_request import LOGPROBS, to_job
from app.adapters.responses_response import Head, response
from app.errors import InternalError
from app.schemas.response_events import StreamEvent
from app.schemas.responses import ResponseRequest
from model.types import ArgumentsDelta, CallStarted, Event, Finished, GenerationResult, TextDelta, TokenLogprob
from tests.app.responses import CALL, FORMAT, OUTPUT, QUESTION, ask, check_event
from tests.conftest import PARIS, ROME, events, result

HEAD = Head(key="0f" * 16, created=1700000000, model="bodkin-26m")
CALL_NAMES = [
    "response.output_item.added",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.output_item.done",
]
TEXT_NAMES = [
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
]
JSON_TEXT = '{"city":"Paris"}'
AFTER_A_TOOL = [QUESTION, CALL, OUTPUT]


def writer(**fields: Any) -> EventWriter:
    return EventWriter(HEAD, to_job(ResponseRequest.model_validate(ask(**fields)), {}.get), lambda: 1700000002.9)


def wire(written: Iterator[StreamEvent]) -> list[dict[str, Any]]:
    """As they are sent, each checked against OpenAI's types."""
    sent = [json.loads(event.to_json()) for event in written]
    for event in sent:
        check_event(event)
    return sent


def stream(played: Sequence[Event] | Iterator[Event], **fields: Any) -> list[dict[str, Any]]:
    """All events of an answer. Their numbers, and the order in which items and parts open and close, are right."""
    writing = writer(**fields)
    sent = wire(writing.begin())
    for event in played:
        sent += wire(writing.write(event))
    assert [event["sequence_number"] for event in sent] == list(range(len(sent)))
    check_order(sent)
    return sent


def check_order(sent: list[dict[str, Any]]) -> None:
    """Every piece belongs to the item that is open, and adds up to what the item is said to be when it is done."""
    item: dict[str, Any] | None = None
    text = ""
    count = 0
    for event in sent:
        kind = event["type"]
        if kind == "response.output_item.added":
            assert item is None
            item, text = event["item"], ""
            assert item["status"] == "in_progress" and event["output_index"] == count
        elif kind == "response.output_item.done":
            assert item is not None and event["output_index"] == count
            assert (event["item"]["id"], event["item"].get("call_id")) == (item["id"], item.get("call_id"))
            done = event["item"].get("arguments")
            assert text == (event["item"]["content"][0]["text"] if done is None else done)
            item, count = None, count + 1
        elif "item_id" in event:
            assert item is not None and (event["item_id"], event["output_index"]) == (item["id"], count)
            text += event.get("delta", "")
            if kind.endswith("text.done") or kind.endswith("arguments.done"):
                assert text == event.get("text", event.get("arguments"))
    assert item is None, "the last item is closed"


def names(sent: list[dict[str, Any]]) -> list[str]:
    """Without those that every stream has."""
    found = [event["type"] for event in sent]
    assert found[:2] == ["response.created", "response.in_progress"]
    return found[2:]


def test_calls() -> None:
    sent = stream(events(result(PARIS, ROME)))
    assert names(sent) == [*CALL_NAMES, *CALL_NAMES, "response.completed"]
    added = sent[2]
    assert added["item"] == {
        "id": f"fc_{'0f' * 16}00",
        "type": "function_call",
        "status": "in_progress",
        "arguments": "",
        "call_id": f"call_{'0f' * 16}00",
        "name": "get_weather",
    }
    assert [event["output_index"] for event in sent[2:-1]] == [0] * 5 + [1] * 5
    done = sent[-2]
    assert done["item"]["status"] == "completed"
    assert done["item"]["arguments"] == ROME.arguments


def test_it_begins_with_the_response_as_it_is() -> None:
    sent = stream(events(result(PARIS)), metadata={"a": "b"})
    for event in sent[:2]:
        begun = event["response"]
        assert (begun["status"], begun["output"], begun["usage"]) == ("in_progress", [], None)
        assert begun["completed_at"] is None and "bodkin" not in begun
        assert begun["metadata"] == {"a": "b"}


@pytest.mark.parametrize(
    ("answer", "fields"),
    [
        (result(PARIS, ROME), {}),
        (result(PARIS), {"tool_choice": "required"}),
        (result(), {}),
        (result(), {"input": AFTER_A_TOOL}),
        (result(text=JSON_TEXT), {"text": {"format": FORMAT}}),
        (result(text='{"ci', finish="length"), {"text": {"format": FORMAT}}),
        (result(text="", finish="length"), {"text": {"format": FORMAT}}),
        (result(finish="length"), {}),
        (result(PARIS, finish="length"), {}),
        (result(PARIS, confidence=None), {}),
    ],
)
def test_the_last_event_has_the_whole_answer(answer: GenerationResult, fields: Any) -> None:
    last = stream(events(answer), **fields)[-1]
    job = to_job(ResponseRequest.model_validate(ask(**fields)), {}.get)
    assert last["response"] == json.loads(response(HEAD, job, answer, 1700000002).to_json())
    assert last["type"] == f"response.{last['response']['status']}"


def test_a_json_text() -> None:
    sent = stream(events(result(text=JSON_TEXT)), text={"format": FORMAT})
    delta = TEXT_NAMES.index("response.output_text.delta")
    assert names(sent) == [
        *TEXT_NAMES[:delta],
        *TEXT_NAMES[delta : delta + 1] * 2,
        *TEXT_NAMES[3:],
        "response.completed",
    ]
    assert sent[2]["item"]["content"] == []
    assert sent[3]["part"] == {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}
    assert "".join(event["delta"] for event in sent[4:6]) == JSON_TEXT


def test_tool_results_are_one_piece() -> None:
    sent = stream(events(result()), input=AFTER_A_TOOL)
    assert names(sent) == [*TEXT_NAMES, "response.completed"]
    assert sent[4]["delta"] == "18 °C and sunny"


def test_nothing_to_say_is_an_empty_message() -> None:
    sent = stream(events(result()))
    assert names(sent) == [name for name in TEXT_NAMES if not name.endswith("delta")] + ["response.completed"]
    assert sent[-1]["response"]["output"][0]["content"][0]["text"] == ""


def test_a_cut_call_ends_incomplete() -> None:
    cut = [
        *list(events(result(PARIS)))[:-1],
        CallStarted(1, "get_time"),
        ArgumentsDelta(1, '{"ci'),
        Finished(result(PARIS, finish="length")),
    ]
    sent = stream(cut)
    assert names(sent) == [
        *CALL_NAMES,
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.output_item.done",
        "response.incomplete",
    ]
    assert sent[-2]["item"]["status"] == "incomplete"
    assert [item["name"] for item in sent[-1]["response"]["output"]] == ["get_weather"]


def test_a_budget_that_ends_between_calls_cuts_none() -> None:
    sent = stream(events(result(PARIS, finish="length")))
    assert sent[-2]["item"]["status"] == "completed"
    assert sent[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def test_pieces_without_text_are_not_sent() -> None:
    played = [CallStarted(0, "get_weather"), ArgumentsDelta(0, ""), ArgumentsDelta(0, "{}"), Finished(result())]
    deltas = [e for e in stream([*played[:3], Finished(result(type(PARIS)("get_weather", "{}")))]) if "delta" in e]
    assert [event["delta"] for event in deltas] == ["{}"]


def test_logprobs_go_with_their_pieces() -> None:
    tokens = (TokenLogprob(b'{"city":"', 0.0), TokenLogprob(b"P", -0.5, ((b"P", -0.5), (b"R", -1.0))))
    answer = result(text='{"city":"P', finish="length", logprobs=tokens)
    played = [TextDelta('{"city":"', tokens[:1]), TextDelta("P", tokens[1:]), Finished(answer)]
    sent = stream(played, text={"format": FORMAT}, include=[LOGPROBS], top_logprobs=2)
    first, second = [event for event in sent if event["type"].endswith("text.delta")]
    assert first["logprobs"] == [{"token": '{"city":"', "logprob": 0.0, "top_logprobs": []}]
    top = [{"token": "P", "logprob": -0.5}, {"token": "R", "logprob": -1.0}]
    assert second["logprobs"] == [{"token": "P", "logprob": -0.5, "top_logprobs": top}]
    (done,) = [event for event in sent if event["type"].endswith("text.done")]
    assert done["logprobs"] == first["logprobs"] + second["logprobs"]
    assert len(sent[-2]["item"]["content"][0]["logprobs"]) == 2


def test_a_failure_is_said_in_both_forms_and_ends_the_response() -> None:
    writing = writer()
    list(writing.begin())
    list(writing.write(CallStarted(0, "get_weather")))
    error, failed = wire(writing.fail(InternalError("req_1").body().error))
    message = "The server had an error while processing your request (request id req_1)."
    assert error == {
        "type": "error",
        "sequence_number": 3,
        "code": "server_error",
        "message": message,
        "param": None,
        "error": {"message": message, "type": "server_error", "param": None, "code": None},
    }
    assert (failed["type"], failed["sequence_number"]) == ("response.failed", 4)
    assert failed["response"]["error"] == {"code": "server_error", "message": message}


def test_the_judge_sees_what_is_missing_and_what_is_too_much() -> None:
    for event in stream(events(result(PARIS))) + stream(events(result(text=JSON_TEXT)), text={"format": FORMAT}):
        for field in event:
            with pytest.raises((ValueError, KeyError)):
                check_event({name: value for name, value in event.items() if name != field})
        with pytest.raises(AssertionError):
            check_event({**event, "something": 1})
        for field in ("response", "item", "part"):
            if field in event:
                with pytest.raises(AssertionError):
                    check_event({**event, field: {**event[field], "something": 1}})
