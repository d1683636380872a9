from __future__ import annotations

import json
import time
from typing import Any

import pytest
from pydantic import BaseModel, Field

from app.adapters.response_format import ANY_OBJECT, Cut, client_span, json_mode, mentions_json, response_tool
from model.types import Message, Role, Span, Tool


class Address(BaseModel):
    city: str


class Person(BaseModel):
    """A person."""

    name: str = Field(description="First name")
    address: Address


PERSON = Person.model_json_schema()
POINT = {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}}, "required": ["x"]}
ANY = Tool("response", "", ANY_OBJECT)


def found(text: str, role: Role = "user") -> Tool:
    tool = json_mode([Message(role, text)]).response
    assert tool is not None
    return tool


def ai_sdk(schema: Any) -> str:
    """@ai-sdk/openai-compatible."""
    return (
        f"JSON schema:\n{json.dumps(schema, separators=(',', ':'))}\n"
        "You MUST answer with a JSON object that matches the JSON schema above."
    )


def instructor(schema: Any) -> str:
    """instructor.Mode.JSON: indented, in a system message."""
    return (
        "\n        As a genius expert, your task is to understand the content and provide\n"
        "        the parsed objects in json that match the following json_schema:\n\n\n"
        f"        {json.dumps(schema, indent=2, ensure_ascii=False)}\n\n"
        "        Make sure to return an instance of the JSON, not the schema itself\n"
    )


def langchain(schema: Any) -> str:
    """PydanticOutputParser: without `type` and `title`, behind an example that is a schema as well."""
    reduced = {key: value for key, value in schema.items() if key not in ("type", "title")}
    return (
        "The output should be formatted as a JSON instance that conforms to the JSON schema below.\n\nAs an example, "
        'for the schema {"properties": {"foo": {"title": "Foo", "description": "a list of strings", "type": "array", '
        '"items": {"type": "string"}}}, "required": ["foo"]}\nthe object {"foo": ["bar", "baz"]} is a well-formatted '
        'instance of the schema. The object {"properties": {"foo": ["bar", "baz"]}} is not well-formatted.\n\n'
        f"Here is the output schema:\n```\n{json.dumps(reduced)}\n```"
    )


@pytest.mark.parametrize("schema", [PERSON, POINT])
@pytest.mark.parametrize("write", [ai_sdk, instructor])
def test_what_clients_write(write: Any, schema: dict[str, Any]) -> None:
    answer = json_mode([Message("system", write(schema)), Message("user", "Ann lives in Rome.")])
    assert answer.response == Tool(schema.get("title", "response"), schema.get("description", ""), schema)
    before, after = write("SCHEMA").split('"SCHEMA"')
    assert answer.messages == (Message("system", before + after), Message("user", "Ann lives in Rome."))


def test_the_last_schema_counts_and_others_stay() -> None:
    answer = json_mode([Message("user", langchain(PERSON))])
    assert answer.response == Tool(
        "response", "A person.", {k: v for k, v in PERSON.items() if k not in ("type", "title")}
    )
    assert '"foo": {"title"' in answer.messages[0].text
    assert answer.messages[0].text.endswith("Here is the output schema:\n```\n\n```")


def test_the_same_schema_is_cut_wherever_it_stands() -> None:
    text = json.dumps(POINT)
    answer = json_mode([Message("system", f"a{text}b{text}c"), Message("user", "JSON!"), Message("user", f"{text}d")])
    assert [message.text for message in answer.messages] == ["abc", "JSON!", "d"]
    size = len(text)
    assert answer.cuts == (Cut(0, 1, 1 + size), Cut(0, 2 + size, 2 + 2 * size), Cut(2, 0, size))


@pytest.mark.parametrize(
    "text",
    [
        "Answer in JSON.",
        'Like {"name": "Ann"}',
        'Like {"properties": {"foo": ["bar"]}}',
        'Like {"type": "Feature", "properties": {"name": {"type": "x"}}}',
        'Like {"type": "object", "properties": {}}',
        'Like {"type": "object", "properties": {"a": {"value": 5}}}',
        'Like {"type": "object", "properties": {"a": {"type": "string"}',
        "{" * 50,
        '{"$defs": {"A": {}}}',
        '{"type": "array", "items": {"type": "integer"}}',
    ],
)
def test_what_is_no_schema_of_an_object(text: str) -> None:
    answer = json_mode([Message("user", text)])
    assert (answer.response, answer.messages, answer.cuts) == (ANY, (Message("user", text),), ())


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "object", "properties": {"a": {"type": "string"}}, "if": {}}',
        '{"type": "object", "properties": {"a": {"type": "string", "default": NaN}}}',
        '{"type": "object", "properties": {"a": {"type": "string", "default": "\\ud800"}}}',
        '{"type": "object", "properties": {"a": {"type": "text"}}}',
    ],
)
def test_what_cannot_be_enforced_is_left_to_the_model(text: str) -> None:
    assert found(text) == ANY
    assert found(f"{json.dumps(POINT)} {text}").parameters == POINT


@pytest.mark.parametrize("role", ["assistant", "tool"])
def test_answers_ask_for_nothing(role: Role) -> None:
    assert found(json.dumps(POINT), role) == ANY


def test_references() -> None:
    schema = {"$defs": {"P": POINT}, "$ref": "#/$defs/P"}
    assert found(f"json: {json.dumps(schema)}").parameters == schema


def test_braces_around_it() -> None:
    assert found(f"function() {{ return 5 }} {{ {json.dumps(POINT)} }} {{{{").parameters == POINT


BAD_SCHEMA = '{"properties":{"a":{"type":"text"}}}'


@pytest.mark.parametrize(
    "texts",
    [
        ['{"a":' * 200_000],
        ["{" * 1_000_000],
        ['{"a":"' + "x" * 1_000_000],
        ['{"a' * 300_000],
        ['{"a":' * 200] * 1_000,
        [BAD_SCHEMA * 25_000],
    ],
)
def test_the_search_has_an_end(texts: list[str]) -> None:
    begin = time.monotonic()
    assert json_mode([Message("user", text) for text in texts]).response == ANY
    assert time.monotonic() - begin < 20, "quadratic: it would be hours"


def test_only_the_last_few_schemas_are_tried() -> None:
    assert found(json.dumps(POINT) + BAD_SCHEMA * 7).parameters == POINT
    assert found(json.dumps(POINT) + BAD_SCHEMA * 8) == ANY


@pytest.mark.parametrize(
    ("texts", "does"), [(["a", "in JSON"], True), (["jSoN"], True), (["son"], False), ([""], False)]
)
def test_mentions_json(texts: list[str], does: bool) -> None:
    assert mentions_json([Message("user", text) for text in texts]) is does


def test_response_tool() -> None:
    assert response_tool("a", None, None) == Tool("a", "", ANY_OBJECT)
    assert response_tool("a", "", {"description": 5}) == Tool("a", "", {"description": 5})


CUTS = (Cut(0, 5, 15), Cut(0, 20, 30), Cut(2, 0, 10))


@pytest.mark.parametrize(
    ("message", "start", "end", "moved"),
    [
        (0, 0, 5, (0, 5)),
        (0, 5, 10, (15, 20)),
        (0, 6, 8, (16, 18)),
        (0, 10, 12, (30, 32)),
        (0, 4, 6, None),
        (0, 9, 11, None),
        (1, 0, 50, (0, 50)),
        (2, 0, 3, (10, 13)),
    ],
)
def test_client_span(message: int, start: int, end: int, moved: tuple[int, int] | None) -> None:
    span = client_span(Span(message, start, end, "x"), CUTS)
    assert (span and (span.start, span.end)) == moved


def test_spans_point_at_the_clients_text() -> None:
    text = f"I am Ann. {json.dumps(POINT)} I am 7. {json.dumps(POINT)} I live in Rome."
    answer = json_mode([Message("user", text)])
    for word in ("Ann", "7", "Rome"):
        start = answer.messages[0].text.index(word)
        span = client_span(Span(0, start, start + len(word), word), answer.cuts)
        assert span is not None and text[span.start : span.end] == word
