"""Answers as JSON text: the schema that a client asks for, as the tool that stands for it.

In JSON mode (`json_object`) the API has no place for a schema, so clients write it into a message: the Vercel AI SDK
and instructor do, and LangChain's parsers. It is looked for there and enforced as if it had been sent as a
`json_schema`; what the model reads is the message without it, because a schema is long and the limit is short.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from model.errors import SchemaError
from model.schema import normalise
from model.types import Message, Span, Tool

ANY_OBJECT: Mapping[str, Any] = {"type": "object", "additionalProperties": True}

_DEFAULT_NAME = "response"
_ROLES = ("system", "user")  # whoever asks; a schema in a tool's result, or in an answer, asks for nothing
_OBJECT = re.compile(r'\{\s*"')
# A text may consist of beginnings of objects. Each is read, maybe to the end of the text, before it turns out to be
# none, and Python counts the lines before the error. So many characters, and so many times all texts, may be wasted.
_PATIENCE = (1_000_000, 16)
_TRIED = 8  # schemas, before there is none that can be enforced
_KEYWORDS = frozenset(
    "type $ref enum const anyOf oneOf allOf properties items description title default format pattern".split()
)


@dataclass(frozen=True)
class Cut:
    """Characters `start` to `end` of a message's text that the model does not read."""

    message: int
    start: int
    end: int


@dataclass(frozen=True)
class Answer:
    """What is asked for: JSON text by this schema (None: no text), and the messages as the model reads them."""

    response: Tool | None
    messages: tuple[Message, ...]
    cuts: tuple[Cut, ...] = ()
    """What the messages lack of those that the client sent, in the order of the text."""


def response_tool(name: str, description: str | None, schema: Mapping[str, Any] | None) -> Tool:
    """The tool whose arguments are the answer. Without a schema, any object is one."""
    schema = ANY_OBJECT if schema is None else schema
    described = description or schema.get("description")
    return Tool(name, described if isinstance(described, str) else "", schema)


def mentions_json(messages: Sequence[Message]) -> bool:
    """OpenAI's condition for JSON mode: without the word, a model may write white space for ever."""
    return any("json" in message.text.lower() for message in messages)


def json_mode(messages: Sequence[Message]) -> Answer:
    """Look for a schema in the messages of `system` and `user`; the last one counts, and is cut out wherever it stands.

    One that cannot be enforced is left where it is, and any object admitted: that is all that JSON mode promises.
    """
    asking = [(i, message.text) for i, message in enumerate(messages) if message.role in _ROLES]
    patience = [_PATIENCE[0] + _PATIENCE[1] * sum(len(text) for _, text in asking)]
    found = [(Cut(i, start, end), schema) for i, text in asking for start, end, schema in _schemas(text, patience)]
    for _, schema in reversed(found[-_TRIED:]):
        if _enforceable(schema):
            cuts = tuple(cut for cut, other in found if other == schema)
            title = schema.get("title")
            name = title if isinstance(title, str) and title else _DEFAULT_NAME
            return Answer(response_tool(name, None, schema), _without(messages, cuts), cuts)
    return Answer(response_tool(_DEFAULT_NAME, None, None), tuple(messages))


def client_span(span: Span, cuts: Sequence[Cut]) -> Span | None:
    """Where `span` lies in the text that the client sent; None when something was cut out of its middle."""
    start, end = span.start, span.end
    for cut in cuts:
        if cut.message != span.message or end <= cut.start:
            continue
        if start < cut.start:
            return None
        start, end = start + cut.end - cut.start, end + cut.end - cut.start
    return replace(span, start=start, end=end)


def _without(messages: Sequence[Message], cuts: Sequence[Cut]) -> tuple[Message, ...]:
    texts = [message.text for message in messages]
    for cut in reversed(cuts):
        texts[cut.message] = texts[cut.message][: cut.start] + texts[cut.message][cut.end :]
    return tuple(replace(message, text=text) for message, text in zip(messages, texts, strict=True))


def _schemas(text: str, patience: list[int]) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """The JSON objects in `text`, outermost ones, that are schemas of objects: start, end, value.

    `patience[0]` characters may still be read in vain; it is reduced by those that were.
    """
    decoder = json.JSONDecoder()
    end = 0
    while patience[0] > 0 and (begin := _OBJECT.search(text, end)):
        start = begin.start()
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            end = start + 1
            patience[0] -= getattr(error, "pos", len(text))
        else:
            if _is_schema(value):
                yield start, end, value


def _is_schema(value: Any) -> bool:
    """Whether it says what an object looks like. Data may have a field `properties`, too, but not of schemas."""
    if not isinstance(value, dict) or value.get("type", "object") != "object":
        return False
    properties = value.get("properties")
    if properties is None:
        return isinstance(value.get("$defs"), dict) and isinstance(value.get("$ref"), str)
    return (
        isinstance(properties, dict)
        and bool(properties)
        and all(isinstance(p, dict) and (not p or not _KEYWORDS.isdisjoint(p)) for p in properties.values())
    )


def _enforceable(schema: Mapping[str, Any]) -> bool:
    try:
        normalise(schema, _DEFAULT_NAME)
    except SchemaError:
        return False
    return True
