from __future__ import annotations

import json
import re
from typing import Any

import pytest

from app.adapters.responses_request import LOGPROBS, ResponseJob, to_job
from app.adapters.responses_response import Head, as_input, new_key, output_items, response, response_failed
from app.schemas.responses import EarlierCall, InputMessage, ResponseRequest
from model.types import Evidence, GenerationResult, Span, TokenLogprob
from tests.app.responses import CALL, FLAT_TIME, FLAT_WEATHER, FORMAT, OUTPUT, QUESTION, ask, check_response
from tests.conftest import PARIS, ROME, result

HEAD = Head(key="0f" * 16, created=1700000000, model="bodkin-26m")
JSON_TEXT = '{"city":"Paris"}'
TOKENS = (
    TokenLogprob(b'{"city":"', 0.0, ((b'{"city":"', 0.0),)),
    TokenLogprob("ü".encode()[:1], -0.5, (("ü".encode()[:1], -0.5), (b"P", -1.5))),
)


def job(**fields: Any) -> ResponseJob:
    return to_job(ResponseRequest.model_validate(ask(**fields)), {}.get)


def whole(answer: GenerationResult, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(response(HEAD, job(**fields), answer, 1700000002).to_json())
    check_response(made)
    return made


def message(text: str, status: str = "completed", logprobs: Any = ()) -> dict[str, Any]:
    part = {"type": "output_text", "annotations": [], "logprobs": list(logprobs), "text": text}
    return {"id": f"msg_{'0f' * 16}", "type": "message", "status": status, "content": [part], "role": "assistant"}


def test_ids() -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", new_key())
    assert new_key() != new_key()
    assert HEAD.item_id(1) == f"fc_{'0f' * 16}01"
    assert len({HEAD.call_id(i) for i in range(300)}) == 300


def test_the_whole_object() -> None:
    assert whole(result(PARIS)) == {
        "id": f"resp_{'0f' * 16}",
        "object": "response",
        "created_at": 1700000000,
        "status": "completed",
        "background": False,
        "completed_at": 1700000002,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "model": "bodkin-26m",
        "output": [
            {
                "id": f"fc_{'0f' * 16}00",
                "type": "function_call",
                "status": "completed",
                "arguments": '{"city":"Paris"}',
                "call_id": f"call_{'0f' * 16}00",
                "name": "get_weather",
            }
        ],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default",
        "store": False,
        "temperature": 0.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [{**FLAT_WEATHER, "strict": True}, {**FLAT_TIME, "strict": True}],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": {
            "input_tokens": 40,
            "input_tokens_details": {"cache_write_tokens": 0, "cached_tokens": 30},
            "output_tokens": 7,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 47,
        },
        "user": None,
        "metadata": {},
        "bodkin": {"confidence": 0.93, "calls": [0.95], "evidence": []},
    }


def test_the_request_is_echoed() -> None:
    bare = {"type": "function", "name": "now", "description": None, "parameters": None, "strict": False}
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "now"}]}
    asked = {
        "instructions": "Be brief.",
        "max_output_tokens": 9,
        "max_tool_calls": 3,
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "prompt_cache_key": "k",
        "safety_identifier": "s",
        "temperature": 0.5,
        "tool_choice": allowed,
        "tools": [bare],
        "top_p": 0.9,
        "user": "u",
    }
    made = whole(result(), include=[LOGPROBS], top_logprobs=2, **asked)
    assert {name: made[name] for name in asked} == asked
    assert made["top_logprobs"] == 2
    named = {"type": "function", "name": "get_time", "something": "new"}
    assert whole(result(), tool_choice=named)["tool_choice"] == {"type": "function", "name": "get_time"}


def test_the_format_is_echoed() -> None:
    described = {**FORMAT, "description": "A place.", "strict": False}
    assert whole(result(), text={"format": described, "verbosity": "low"})["text"] == {
        "format": described,
        "verbosity": "low",
    }
    assert whole(result(), text={"format": FORMAT})["text"]["format"] == {
        **FORMAT,
        "description": None,
        "strict": True,
    }
    open_format = whole(result(), text={"format": {"type": "json_schema", "name": "any"}})["text"]["format"]
    assert open_format["schema"] == {"type": "object", "additionalProperties": True}
    made = whole(result(), input="JSON!", text={"format": {"type": "json_object"}})
    assert made["text"]["format"] == {"type": "json_object"}


def test_what_was_in_force_is_said_even_if_something_else_was_asked_for() -> None:
    made = whole(result(), store=True, truncation="auto", service_tier="priority", reasoning={"effort": "high"})
    assert (made["store"], made["truncation"], made["service_tier"]) == (False, "disabled", "default")
    assert made["reasoning"]["effort"] is None


def test_calls_have_different_ids() -> None:
    first, second = whole(result(PARIS, ROME))["output"]
    assert (first["name"], second["name"]) == ("get_weather", "get_time")
    assert first["id"] != second["id"] and first["call_id"] != second["call_id"]


@pytest.mark.parametrize(
    ("answer", "fields", "output", "status"),
    [
        (result(), {}, [message("")], "completed"),
        (result(), {"input": [QUESTION, CALL, OUTPUT]}, [message("18 °C and sunny")], "completed"),
        (result(text=JSON_TEXT), {"text": {"format": FORMAT}}, [message(JSON_TEXT)], "completed"),
        (
            result(text=JSON_TEXT),
            {"text": {"format": FORMAT}, "input": [QUESTION, CALL, OUTPUT]},
            [message(JSON_TEXT)],
            "completed",
        ),
        (
            result(text='{"ci', finish="length"),
            {"text": {"format": FORMAT}},
            [message('{"ci', "incomplete")],
            "incomplete",
        ),
        (result(text="", finish="length"), {"text": {"format": FORMAT}}, [message("", "incomplete")], "incomplete"),
        (result(finish="length"), {}, [], "incomplete"),
        (result(finish="length"), {"input": [QUESTION, CALL, OUTPUT]}, [], "incomplete"),
    ],
)
def test_answers_without_calls(answer: GenerationResult, fields: Any, output: Any, status: str) -> None:
    made = whole(answer, **fields)
    assert (made["output"], made["status"]) == (output, status)
    assert made["incomplete_details"] == (None if status == "completed" else {"reason": "max_output_tokens"})
    assert (made["completed_at"] is None) == (status == "incomplete")


def test_a_cut_call_is_no_item() -> None:
    made = whole(result(PARIS, finish="length"))
    assert [item["name"] for item in made["output"]] == ["get_weather"]
    assert made["status"] == "incomplete"


def test_logprobs_are_of_the_text() -> None:
    fields = {"text": {"format": FORMAT}, "include": [LOGPROBS], "top_logprobs": 2}
    (item,) = whole(result(text=JSON_TEXT, logprobs=TOKENS), **fields)["output"]
    first, second = item["content"][0]["logprobs"]
    assert (first["token"], first["logprob"], first["bytes"]) == ('{"city":"', 0.0, list(b'{"city":"'))
    assert second["bytes"] == [0xC3] and second["top_logprobs"][1] == {"token": "P", "logprob": -1.5, "bytes": [80]}


def test_logprobs_of_calls_have_no_place() -> None:
    fields = {"include": [LOGPROBS]}
    assert "logprobs" not in whole(result(PARIS, logprobs=TOKENS), **fields)["output"][0]
    passed_on = whole(result(logprobs=()), input=[QUESTION, CALL, OUTPUT], **fields)["output"][0]
    assert passed_on["content"][0]["logprobs"] == []


def test_evidence_names_items_of_the_input() -> None:
    evidence = ((Evidence("/city", True, Span(1, 23, 28, "Paris")),),)
    made = whole(result(PARIS, evidence=evidence), instructions="Be brief.")
    assert made["bodkin"]["evidence"] == [
        [{"path": "/city", "found": True, "source": {"message": 0, "start": 23, "end": 28, "text": "Paris"}}]
    ]
    from_instructions = ((Evidence("/city", True, Span(0, 0, 2, "Be")),),)
    made = whole(result(PARIS, evidence=from_instructions), instructions="Be brief.")
    assert made["bodkin"]["evidence"][0][0]["source"] is None


def test_a_failure() -> None:
    made = json.loads(response_failed(HEAD, job(), "It broke.").to_json())
    check_response(made)
    assert (made["status"], made["error"]) == ("failed", {"code": "server_error", "message": "It broke."})
    assert (made["output"], made["usage"]) == ([], None)


def test_items_can_be_input_again() -> None:
    items = output_items(HEAD, job(), result(PARIS, ROME))
    recalled = as_input(items)
    assert list(recalled) == [item.id for item in items]
    first = recalled[items[0].id]
    assert isinstance(first, EarlierCall)
    assert (first.name, first.arguments, first.call_id) == (PARIS.name, PARIS.arguments, HEAD.call_id(0))
    (said,) = as_input(output_items(HEAD, job(text={"format": FORMAT}), result(text=JSON_TEXT))).values()
    assert isinstance(said, InputMessage)
    assert (said.role, said.content) == ("assistant", JSON_TEXT)
