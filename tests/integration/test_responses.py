"""The Responses API with the shipped model: agent loops to their end, streams, JSON text, refused schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import openai
import pytest
from openai.types.responses import Response, ResponseFunctionToolCall

from app.main import build_engine, create_app
from app.settings import Settings
from model.manifest import read_manifest
from tests.app.responses import ask, check_event, check_response
from tests.conftest import serve

ARTIFACT = Path(__file__).resolve().parents[2] / "model" / "artifact"

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not (ARTIFACT / "manifest.json").exists(), reason="no artifact has been shipped yet"),
]

WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the current weather of a city.",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "Name of the city"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
PERSON: dict[str, Any] = {
    "type": "json_schema",
    "name": "person",
    "schema": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    },
}
QUESTION = {"role": "user", "content": "What is the weather in Paris?"}
SUNNY = "18 °C and sunny"
ROUNDS = 5


@pytest.fixture(scope="module")
def sdk() -> Iterator[openai.OpenAI]:
    engine = build_engine(ARTIFACT, read_manifest(ARTIFACT), threads=1)
    with (
        serve(create_app(Settings(), engine)) as url,
        openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client,
    ):
        yield client


def weather(**fields: Any) -> dict[str, Any]:
    return ask(**{"input": [QUESTION], "tools": [WEATHER], **fields})


def calls(response: Response) -> list[ResponseFunctionToolCall]:
    """The calls of a response, each checked against its schema."""
    found = [item for item in response.output if isinstance(item, ResponseFunctionToolCall)]
    for call in found:
        assert call.name == "get_weather"
        jsonschema.validate(json.loads(call.arguments), WEATHER["parameters"])
    return found


def test_a_call(sdk: openai.OpenAI) -> None:
    response = sdk.responses.create(**weather())
    check_response(response.to_dict())
    (call,) = calls(response)
    assert json.loads(call.arguments) == {"city": "Paris"}
    assert response.usage is not None and response.usage.input_tokens > 0 and response.usage.output_tokens > 0
    (value,) = response.bodkin["evidence"][0]
    assert (value["path"], value["found"]) == ("/city", True)
    source = value["source"]
    if source is not None:
        assert QUESTION["content"][source["start"] : source["end"]] == source["text"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("reference", [False, True])
def test_an_agent_loop_ends_with_the_tools_answer(sdk: openai.OpenAI, stream: bool, reference: bool) -> None:
    turns: list[Any] = [QUESTION]
    for turn in range(ROUNDS):
        # The model decides when it is done; at the end it has to be.
        body = weather(input=turns, tool_choice="auto" if turn < ROUNDS - 1 else "none")
        if stream:
            with sdk.responses.stream(**body) as events:
                response: Response = events.get_final_response()
        else:
            response = sdk.responses.create(**body)
        assert response.status == "completed"
        made = calls(response)
        if not made:
            break
        for call in made:
            turns.append({"type": "item_reference", "id": call.id} if reference else call.to_dict())
        turns += [{"type": "function_call_output", "call_id": call.call_id, "output": SUNNY} for call in made]
    assert turn > 0, "the first turn is a call"
    assert set(response.output_text.split("\n")) == {SUNNY}


def test_streamed_and_whole_are_the_same(sdk: openai.OpenAI) -> None:
    whole = sdk.responses.create(**weather())
    events = list(sdk.responses.create(**weather(stream=True)))
    for event in events:
        check_event(event.to_dict())
    last = events[-1]
    assert last.type == "response.completed"
    assert [call.arguments for call in calls(last.response)] == [call.arguments for call in calls(whole)]
    pieces = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    assert "".join(pieces) == calls(whole)[0].arguments
    assert last.response.bodkin == whole.bodkin


@pytest.mark.parametrize("stream", [False, True])
def test_json_text(sdk: openai.OpenAI, stream: bool) -> None:
    body = ask(
        input="Anna is 34 years old.",
        instructions="Extract the person.",
        tools=[],
        text={"format": PERSON},
        include=["message.output_text.logprobs"],
        top_logprobs=2,
    )
    if stream:
        events = list(sdk.responses.create(**body, stream=True))
        for event in events:
            check_event(event.to_dict())
        response = events[-1].response
    else:
        response = sdk.responses.create(**body)
    check_response(response.to_dict())
    jsonschema.validate(json.loads(response.output_text), PERSON["schema"])
    (message,) = response.output
    tokens = message.content[0].logprobs
    assert b"".join(bytes(token.bytes) for token in tokens).decode() == response.output_text
    assert all(token.logprob <= 0 and len(token.top_logprobs) <= 2 for token in tokens)
    for value in response.bodkin["content_evidence"]:
        assert value["source"] is None or value["source"]["message"] == 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_budget_cuts(sdk: openai.OpenAI, stream: bool) -> None:
    body = weather(tool_choice="required", max_output_tokens=1)
    if stream:
        events = list(sdk.responses.create(**body, stream=True))
        for event in events:
            check_event(event.to_dict())
        (done,) = [event.item for event in events if event.type == "response.output_item.done"]
        assert done.status == "incomplete"
        assert events[-1].type == "response.incomplete"
        response = events[-1].response
    else:
        response = sdk.responses.create(**body)
    assert (response.status, response.output) == ("incomplete", [])
    assert response.incomplete_details is not None and response.incomplete_details.reason == "max_output_tokens"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [WEATHER, {**WEATHER, "name": "f", "parameters": {"if": True}}]}, "tools[1].parameters.if"),
        (
            {"text": {"format": {**PERSON, "schema": {"type": "object", "properties": {"a": {"not": {}}}}}}},
            "text.format.schema.properties.a.not",
        ),
        ({"input": "word " * 5000}, "input"),
    ],
)
def test_what_the_model_refuses_is_named_in_the_clients_terms(
    sdk: openai.OpenAI, fields: dict[str, Any], param: str, stream: bool
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.responses.create(**weather(**fields), stream=stream)
    assert caught.value.param == param
