"""The shipped model behind /v1/chat/completions, asked by the official client: what must hold whatever it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import jsonschema
import openai
import pytest
from pydantic import BaseModel

from app.main import create_app
from app.settings import Settings
from tests.conftest import serve

ARTIFACT = Path(__file__).resolve().parents[2] / "model" / "artifact"

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not (ARTIFACT / "manifest.json").exists(), reason="no artifact has been shipped yet"),
]


class Person(BaseModel):
    """A person's details."""

    name: str
    age: int


class Ticket(BaseModel):
    """A request for repair."""

    title: str
    priority: Literal["low", "high"]
    people: list[Person]


class GetWeather(BaseModel):
    """Get the current weather in a city."""

    city: str


WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather in a city",
        "parameters": {
            "type": "object",
            "required": ["city"],
            "properties": {"city": {"type": "string", "description": "Name of the city"}},
        },
    },
}
EMAIL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "send_email",
        "description": "Send an email",
        "parameters": {
            "type": "object",
            "required": ["to", "subject"],
            "properties": {"to": {"type": "string"}, "subject": {"type": "string"}},
        },
    },
}
PERSON: Any = {"type": "json_schema", "json_schema": {"name": "Person", "schema": Person.model_json_schema()}}
ABOUT_ANN = "Ann is 31 years old."


def asked(text: str = "What's the weather in Zürich?", **fields: Any) -> dict[str, Any]:
    return {"model": "bodkin-26m", "messages": [{"role": "user", "content": text}], **fields}


@pytest.fixture(scope="module")
def sdk() -> Iterator[openai.OpenAI]:
    from model.engine import load_engine

    with (
        serve(create_app(Settings(), load_engine(ARTIFACT, threads=1))) as url,
        openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client,
    ):
        yield client


def test_parse_a_model(sdk: openai.OpenAI) -> None:
    completion = sdk.chat.completions.parse(**asked(ABOUT_ANN), response_format=Person)
    assert completion.choices[0].message.parsed == Person(name="Ann", age=31)
    assert completion.choices[0].finish_reason == "stop"


def test_parse_a_nested_model(sdk: openai.OpenAI) -> None:
    text = "Open a ticket of high priority: printer is broken. Ann (31) and Bob (22) are concerned."
    completion = sdk.chat.completions.parse(**asked(text), response_format=Ticket)
    assert isinstance(completion.choices[0].message.parsed, Ticket), "valid, that is; right is another matter"


def test_parse_a_call(sdk: openai.OpenAI) -> None:
    tools = [openai.pydantic_function_tool(GetWeather, name="get_weather")]
    completion = sdk.chat.completions.parse(**asked(tools=tools, tool_choice="required"))
    (call, *_) = completion.choices[0].message.tool_calls or []
    assert call.function.parsed_arguments == GetWeather(city="Zürich")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "integer"}, "minItems": 1},
        {"enum": ["positive", "negative"]},
        {"type": "number"},
        {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
        None,
    ],
)
def test_what_is_written_is_valid(sdk: openai.OpenAI, schema: Any) -> None:
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    completion = sdk.chat.completions.create(**asked(ABOUT_ANN, response_format=wanted))
    assert completion.choices[0].finish_reason == "stop"
    value = json.loads(completion.choices[0].message.content or "")
    jsonschema.validate(value, {"type": "object"} if schema is None else schema)


def test_json_mode_with_the_schema_in_a_message(sdk: openai.OpenAI) -> None:
    schema = json.dumps(Person.model_json_schema())
    system = f"JSON schema:\n{schema}\nYou MUST answer with a JSON object that matches the JSON schema above."
    body = asked(response_format={"type": "json_object"})
    body["messages"] = [{"role": "system", "content": system}, {"role": "user", "content": ABOUT_ANN}]
    content = sdk.chat.completions.create(**body).choices[0].message.content
    assert Person.model_validate_json(content or "") == Person(name="Ann", age=31)


def test_a_long_schema_in_a_message_is_not_read_as_text(sdk: openai.OpenAI) -> None:
    """As text it would be more than the model reads."""
    schema = Person.model_json_schema()
    schema["$defs"] = {f"Unused{i}": Ticket.model_json_schema()["properties"] for i in range(20)}
    text = f"Answer in JSON:\n{json.dumps(schema, indent=2)}\n{ABOUT_ANN}"
    content = sdk.chat.completions.create(**asked(text, response_format={"type": "json_object"}))
    assert Person.model_validate_json(content.choices[0].message.content or "")


def test_calls_and_json_together(sdk: openai.OpenAI) -> None:
    fields: dict[str, Any] = {"tools": [WEATHER, EMAIL], "response_format": PERSON}
    assert sdk.chat.completions.create(**asked(**fields)).choices[0].message.tool_calls
    message = sdk.chat.completions.create(**asked(ABOUT_ANN, tool_choice="none", **fields)).choices[0].message
    assert Person.model_validate_json(message.content or "")
    assert not message.tool_calls


def test_only_allowed_tools_are_called(sdk: openai.OpenAI) -> None:
    only = [{"type": "function", "function": {"name": "send_email"}}]
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": only}}
    completion = sdk.chat.completions.create(**asked(tools=[WEATHER, EMAIL], tool_choice=choice))
    names = [call.function.name for call in completion.choices[0].message.tool_calls or [] if call.type == "function"]
    assert names and set(names) == {"send_email"}


@pytest.mark.parametrize("fields", [{"tools": [WEATHER], "tool_choice": "required"}, {"response_format": PERSON}])
def test_streamed_and_whole_are_the_same(sdk: openai.OpenAI, fields: dict[str, Any]) -> None:
    body = asked(f"{ABOUT_ANN} She lives in Zürich.", logprobs=True, top_logprobs=2, **fields)
    whole = sdk.chat.completions.create(**body)
    with sdk.chat.completions.stream(**body, stream_options={"include_usage": True}) as stream:
        for _ in stream:
            pass
        streamed = stream.get_final_completion()
    ours, theirs = (completion.choices[0].model_dump() for completion in (whole, streamed))
    assert ours["logprobs"] == theirs["logprobs"]
    assert ours["finish_reason"] == theirs["finish_reason"]
    assert ours["message"]["content"] == theirs["message"]["content"]
    assert whole.usage is not None and streamed.usage is not None
    assert whole.usage.completion_tokens == streamed.usage.completion_tokens
    calls = [
        [(call["function"]["name"], call["function"]["arguments"]) for call in choice["message"]["tool_calls"] or []]
        for choice in (ours, theirs)
    ]
    assert calls[0] == calls[1]
    text = ours["message"]["content"] or "".join(arguments for _, arguments in calls[0])
    tokens = ours["logprobs"]["content"]
    assert b"".join(bytes(token["bytes"]) for token in tokens).decode() == text
    assert all(token["logprob"] <= 0 and len(token["top_logprobs"]) <= 2 for token in tokens)


def test_evidence_points_at_the_request(sdk: openai.OpenAI) -> None:
    body = asked(tools=[WEATHER], tool_choice="required")
    completion: Any = sdk.chat.completions.create(**body)
    (value, *_) = completion.bodkin["evidence"][0]
    assert (value["path"], value["found"], value["source"]["text"]) == ("/city", True, "Zürich")
    source = value["source"]
    assert body["messages"][source["message"]]["content"][source["start"] : source["end"]] == "Zürich"


def test_choices_are_sampled_by_their_seeds(sdk: openai.OpenAI) -> None:
    body = asked(ABOUT_ANN, response_format=PERSON, temperature=2, seed=5, n=4)
    completion = sdk.chat.completions.create(**body)
    texts = [choice.message.content for choice in completion.choices]
    assert len(set(texts)) > 1
    assert [choice.message.content for choice in sdk.chat.completions.create(**body).choices] == texts
    third = sdk.chat.completions.create(**(body | {"seed": 7, "n": 1}))
    assert third.choices[0].message.content == texts[2]


def test_a_stop_sequence_ends_the_text(sdk: openai.OpenAI) -> None:
    whole = sdk.chat.completions.create(**asked(ABOUT_ANN, response_format=PERSON)).choices[0].message.content or ""
    for stream in (False, True):
        answer: Any = sdk.chat.completions.create(
            **asked(ABOUT_ANN, response_format=PERSON, stop=["nn", "31"], stream=stream)
        )
        if stream:
            text = "".join(chunk.choices[0].delta.content or "" for chunk in answer)
        else:
            text = answer.choices[0].message.content
        assert text == whole[: whole.index("nn")]


def test_a_text_that_the_budget_cuts(sdk: openai.OpenAI) -> None:
    whole = sdk.chat.completions.create(**asked(ABOUT_ANN, response_format=PERSON)).choices[0].message.content or ""
    cut = sdk.chat.completions.create(**asked(ABOUT_ANN, response_format=PERSON, max_tokens=8)).choices[0]
    assert cut.finish_reason == "length"
    assert whole.startswith(cut.message.content or "") and cut.message.content != whole


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"if": {}}}}},
            "response_format.json_schema.schema.if",
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "a", "schema": {"type": "array", "items": {"if": {}}}},
                }
            },
            "response_format.json_schema.schema.items.if",
        ),
        (
            {
                "tools": [WEATHER, {"type": "function", "function": {"name": "f", "parameters": {"if": {}}}}],
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
                },
            },
            "tools[1].function.parameters.if",
        ),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_name_the_place_in_what_was_sent(
    sdk: openai.OpenAI, fields: dict[str, Any], param: str, stream: bool
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(**asked(stream=stream, **fields))
    assert caught.value.param == param
