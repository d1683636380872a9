"""What the loaders of corpora share: numbers and words of a text, names in other styles, spans as calls."""

from __future__ import annotations

from typing import Any

import pytest

from model.types import Message, Tool
from tests.training.conftest import Corpus
from training.data.example import Call, Example
from training.data.sources.accept import accept
from training.data.sources.grounding import locate, mentions, number, tokens
from training.data.sources.naming import restyle
from training.data.sources.spans import Parameter, Span, SpanTool, call


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Twenty-five Days, $1,200.50", ["25", "days", "1200.50"]),
        ("two hundred and fifty", ["250"]),
        ("three thousand two hundred", ["3200"]),
        ("one two", ["1", "2"]),
        ("fish and chips", ["fish", "and", "chips"]),
    ],
)
def test_tokens(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


def test_locate_keeps_the_text_s_own_writing() -> None:
    assert locate("new york", "From New  York to Newark") == "New  York"
    assert locate("york", "Yorkshire") is None
    assert locate("$630", "Send $630 to Peter.") == "$630"
    assert locate("John's", "john’s book") == "john’s"
    assert locate(" ", "a b") is None


def test_mentions_and_number() -> None:
    assert mentions("data_science", "a job in Data Science")
    assert mentions(25, "twenty five years")
    assert not mentions(5, "25 years")
    assert not mentions(True, "true")
    assert number("four stars") == 4
    assert number("three or four") is None


@pytest.mark.parametrize("name", ["FindBus", "find_bus", "findBus", "find-bus"])
def test_restyle(name: str) -> None:
    assert [restyle(name, "snake"), restyle(name, "camel"), restyle(name, "pascal")] == [
        "find_bus",
        "findBus",
        "FindBus",
    ]


def test_accept_orders_checks_and_excludes(corpus: Corpus) -> None:
    corpus("exclude.jsonl", [{"source": "x", "text": "What time is it?"}])
    properties = {"a": {"type": "string"}, "b": {"type": "integer"}}
    tool = Tool("f", "Do f.", {"type": "object", "properties": properties, "required": ["a"]})

    def example(text: str, arguments: dict[str, Any]) -> Example:
        return Example("x", "x:y", (Message("user", text),), (tool,), (Call("f", arguments),))

    kept = accept(
        [
            example("what TIME is it", {"a": "x"}),
            example("missing", {"b": 1}),
            example("wrong type", {"a": "x", "b": "1"}),
            example("unknown", {"a": "x", "c": 1}),
            example("good", {"b": 1, "a": "x"}),
        ],
        None,
    )
    assert [(each.messages[0].text, list(each.calls[0].arguments)) for each in kept] == [("good", ["a", "b"])]


def test_span_tool_refuses_what_it_cannot_express() -> None:
    tool = SpanTool("go", "Go.", (Parameter("to", "Where.", ("place",), required=True),), ignore=frozenset({"polite"}))
    text = "please go to Paris in France by car"
    polite, paris, france, car = (
        Span("polite", 0, 6),
        Span("place", 13, 18),
        Span("place", 22, 28),
        Span("mode", 32, 35),
    )
    assert call(tool, text, [polite, paris, france], "snake") == Call("go", {"to": "Paris in France"})
    assert call(tool, text, [paris, car], "snake") is None
    assert call(tool, text, [], "snake") is None
    assert call(tool, "to Rome, then Paris", [Span("place", 3, 7), Span("place", 14, 19)], "snake") is None
