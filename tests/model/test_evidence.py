"""Evidence: spans are exact, they follow the copy attention, and the shipped model copies from where it says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.engine import BodkinEngine
from model.evidence import Witness
from model.leaves import leaves
from model.prompt import RESULT_OPENS, dumps, encode_messages, is_plain_result
from model.types import Evidence, GenerationRequest, Message, Span, Tool, ToolCall, ToolChoice
from tests.artifact import tool, user
from tests.model.test_tokenizer import NASTY, TOKENIZER

Vector = npt.NDArray[np.float32]
NOWHERE = ""


class Written:
    """`text` written token by token, with attention to the pieces of the conversation that `sources` name by a path."""

    def __init__(self, messages: Sequence[Message], text: str, sources: dict[str, Span | str]) -> None:
        self.messages = messages
        self.ids = np.array(encode_messages(messages, TOKENIZER).ids, np.int64)
        self.text = text
        tokens = TOKENIZER.encode(text)
        self.sizes = [int(TOKENIZER.sizes[token]) for token in tokens]
        ends = np.cumsum(self.sizes)
        self.copied: list[Vector | None] = [None] * len(tokens)
        for leaf in leaves(text):
            if leaf.path not in sources:
                continue
            start, end = (len(text[:at].encode()) for at in (leaf.start, leaf.end))
            for k, (size, last) in enumerate(zip(self.sizes, ends, strict=True)):
                if last - size < end and last > start:
                    self.copied[k] = self.attention(sources[leaf.path])

    def attention(self, source: Span | str) -> Vector:
        """[C], spread over the tokens of `source`: a span, or the first message's text with these words."""
        found = np.zeros(len(self.ids), np.float32)
        if source == NOWHERE:
            return found
        if isinstance(source, str):
            i = next(i for i, m in enumerate(self.messages) if source in m.text)
            start = self.messages[i].text.index(source)
            source = Span(i, start, start + len(source), source)
        at = 0
        for i, message in enumerate(self.messages):
            opening = len(TOKENIZER.encode(RESULT_OPENS)) if is_plain_result(message) else 0
            at += 1 + opening
            last = 0
            for token in TOKENIZER.encode(message.text):
                last, first = last + int(TOKENIZER.sizes[token]), last
                here = len(message.text[: source.start].encode()), len(message.text[: source.end].encode())
                found[at] = i == source.message and first < here[1] and last > here[0]
                at += 1
            at += len(encode_messages([message], TOKENIZER).ids) - 1 - opening - len(TOKENIZER.encode(message.text))
        return found / max(found.sum(), 1.0)

    def evidence(self) -> tuple[Evidence, ...]:
        witness = Witness(self.messages, self.ids, TOKENIZER.sizes)
        return witness.evidence(self.text, self.sizes, self.copied)


def one(messages: Sequence[Message] | str, value: Any, source: Span | str | None) -> Evidence:
    """Evidence of `value` when it was copied from `source`; None: it was forced."""
    messages = user(messages) if isinstance(messages, str) else messages
    sources = {} if source is None else {"/x": source}
    [found] = Written(messages, dumps({"x": value}), sources).evidence()
    assert found.path == "/x"
    return found


def span_of(evidence: Evidence) -> str | None:
    return evidence.source and evidence.source.text


def test_what_was_copied_has_its_place() -> None:
    text = "What's the weather in San Francisco in celsius?"
    assert one(text, "San Francisco", "San Francisco") == Evidence(
        "/x", True, Span(0, text.index("San"), text.index("San") + 13, "San Francisco")
    )


def test_of_several_places_the_one_that_was_read_is_the_source() -> None:
    messages = (Message("system", "Paris time"), Message("user", "From Paris to Rome, then to Paris"))
    for span in (Span(0, 0, 5, "Paris"), Span(1, 5, 10, "Paris"), Span(1, 28, 33, "Paris")):
        assert one(messages, "Paris", span) == Evidence("/x", True, span)


def test_what_the_model_wrote_by_itself_has_no_source() -> None:
    assert one("Is it hot in Tokyo?", "celsius", NOWHERE) == Evidence("/x", False, None)
    assert one("Is it hot in Tokyo?", "celsius", "hot") == Evidence("/x", False, None)
    assert one("In celsius, Tokyo", "celsius", NOWHERE) == Evidence("/x", True, None)
    assert one("In celsius, Tokyo", "celsius", "Tokyo") == Evidence("/x", True, None)


def test_what_was_forced_was_not_copied() -> None:
    assert one("In celsius, Tokyo", "celsius", None) == Evidence("/x", True, None)
    assert one("In Tokyo", "celsius", None) == Evidence("/x", False, None)


def test_tokens_that_were_forced_within_a_value_do_not_break_it() -> None:
    written = Written(user("give me celsius please"), '{"x":"celsius"}', {"/x": "celsius"})
    chosen = [k for k, attention in enumerate(written.copied) if attention is not None]
    assert len(chosen) > 1
    for k in chosen[1:]:
        written.copied[k] = None
    assert [span_of(e) for e in written.evidence()] == ["celsius"]


@pytest.mark.parametrize(
    ("text", "value", "source", "found"),
    [
        ("weather in paris please", "Paris", "paris", "paris"),
        ("Send 1,500 dollars", 1500, "1,500", "1,500"),
        ("a table for four people", 4, "four", "four"),
        ("in the living room", "living_room", "living room", "living room"),
        ("wake me at 5pm", "5 pm", "5pm", "5pm"),
        ("is it true?", True, "true", "true"),
    ],
)
def test_another_spelling_is_found(text: str, value: Any, source: str, found: str) -> None:
    assert one(text, value, source) == Evidence(
        "/x", True, Span(0, text.index(found), text.index(found) + len(found), found)
    )


@pytest.mark.parametrize(
    ("text", "value", "source", "found"),
    [
        ("we are vegetarians", "vegetarian", "vegetarians", "vegetarians"),  # whole words
        ("with John Smith from sales", "John Smith, sales", "John Smith", "John Smith"),
        ("on November 27, 2026", "2026-11-27", "2026", None),  # too little of it
        ("meet at 7:30 pm", "19:30", "7:30", None),
        ("write to example.com", "anna@example.com", "example.com", "example.com"),
        ("tomorrow at noon", "2026-11-27", "tomorrow", None),
        ("seventeen", 71, "seventeen", None),
    ],
)
def test_what_was_put_together_has_its_longest_piece(text: str, value: Any, source: str, found: str | None) -> None:
    evidence = one(text, value, source)
    assert (evidence.found, span_of(evidence)) == (False, found)


@pytest.mark.parametrize("value", ["", [], {}, None, False])
def test_values_that_nobody_says(value: Any) -> None:
    assert one("Turn it off", value, "off") == Evidence("/x", False, None)


def test_every_value_has_its_pointer() -> None:
    text = dumps({"a/b": [{"~": "Rome"}, []], "c": {"d": 3, "e": "Rome"}})
    written = Written(user("3 days in Rome"), text, {"/a~1b/0/~0": "Rome", "/c/d": "3"})
    assert [(e.path, e.found, span_of(e)) for e in written.evidence()] == [
        ("/a~1b/0/~0", True, "Rome"),
        ("/a~1b/1", False, None),
        ("/c/d", True, "3"),
        ("/c/e", True, None),
    ]


def test_only_texts_are_sources_not_earlier_calls() -> None:
    turns = (
        Message("user", "Weather there? "),
        Message("assistant", "Looking up ", (ToolCall("get", '{"city":"Oslo"}'), ToolCall("get", '{"n":1}'))),
        Message("assistant", "", (ToolCall("get", '{"city":"Oslo"}'),)),
        Message("tool", "It rains.", name="get"),
        Message("user", "And in Rome?"),
    )
    assert one(turns, "Oslo", NOWHERE) == Evidence("/x", False, None)
    assert one(turns, "Rome", "Rome") == Evidence("/x", True, Span(4, 7, 11, "Rome"))
    assert one(turns, "rains", "rains") == Evidence("/x", True, Span(3, 3, 8, "rains"))
    assert one(turns, "Looking up", "Looking up") == Evidence("/x", True, Span(1, 0, 10, "Looking up"))


@pytest.mark.parametrize("text", ["Zürich — été", "東京の天気 in Zürich", "👩‍👩‍👧 Zürich 👍", "\ufeffZürich\u2028"])
def test_positions_are_characters_not_bytes(text: str) -> None:
    assert one(text, "Zürich" if "Z" in text else "東京", "Zürich") == Evidence(
        "/x", True, Span(0, text.index("Z"), text.index("Z") + 6, "Zürich")
    )


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(st.sampled_from(["system", "user", "assistant", "tool"]), NASTY), min_size=1, max_size=3),
    st.data(),
)
def test_a_span_is_always_exact(turns: Any, data: st.DataObject) -> None:
    """Whatever is attended to, and whatever is written."""
    calls = (ToolCall("get", '{"city":"Oslo"}'),)
    messages = [Message(role, text, calls if role == "assistant" else ()) for role, text in turns]
    message = data.draw(st.integers(0, len(messages) - 1))
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(messages[message].text))] * 2)))
    span = Span(message, start, end, messages[message].text[start:end])
    value = data.draw(st.just(span.text) | NASTY)
    evidence = one(messages, value, span)
    if evidence.source is not None:
        source = evidence.source
        assert messages[source.message].text[source.start : source.end] == source.text != ""
    if value.strip() and value in f" {messages[message].text} ".split(" "):
        assert evidence.found


def test_a_cut_text_has_evidence_of_what_is_whole() -> None:
    written = Written(user("Rome and Oslo"), '{"a":"Rome","b":"Os', {"/a": "Rome"})
    witness = Witness(written.messages, written.ids, TOKENIZER.sizes)
    [found] = witness.evidence(written.text, written.sizes, written.copied, cut=True)
    assert (found.path, found.found) == ("/a", True)


# The shipped model --------------------------------------------------------------------------------------------------

WEATHER = tool(
    "get_weather",
    "Current weather of a city.",
    ("city",),
    city={"type": "string", "description": "Name of the city"},
    unit={"enum": ["celsius", "fahrenheit"]},
)
TABLE = tool(
    "book_table",
    "Reserve seats in a restaurant.",
    ("guests", "restaurant", "date"),
    guests={"type": "integer"},
    restaurant={"type": "string"},
    date={"type": "string"},
)
MONEY = tool("send_money", "Transfer money.", ("amount", "to"), amount={"type": "number"}, to={"type": "string"})


@pytest.mark.parametrize(
    ("text", "called", "path", "source"),
    [
        ("What's the weather in San Francisco in celsius?", WEATHER, "/city", "San Francisco"),
        ("weather in paris please", WEATHER, "/city", "paris"),
        ("Wie ist das Wetter in Zürich?", WEATHER, "/city", "Zürich"),
        ("What is the weather in Montréal?", WEATHER, "/city", "Montréal"),
        ("Book a table for four at La Piazza tomorrow", TABLE, "/guests", "four"),
        ("Book a table for four at La Piazza tomorrow", TABLE, "/restaurant", "La Piazza"),
        ("Book a table for four at La Piazza tomorrow", TABLE, "/date", "tomorrow"),
        ("Send 1,500 dollars to Anna Smith", MONEY, "/amount", "1,500"),
        ("Send 1,500 dollars to Anna Smith", MONEY, "/to", "Anna Smith"),
    ],
)
def test_the_shipped_model_copies_from_where_it_says(
    text: str, called: Tool, path: str, source: str, shipped: BodkinEngine
) -> None:
    result = shipped.generate(
        GenerationRequest(
            (Message("system", "You book, pay and look things up."), *user(text)),
            (called,),
            ToolChoice("required"),
            parallel_tool_calls=False,
        )
    )
    [evidence] = result.evidence
    by_path = {e.path: e for e in evidence}
    start = text.index(source)
    assert by_path[path] == Evidence(path, True, Span(1, start, start + len(source), source))
    assert [e.path for e in evidence] == [f"/{key}" for key in json.loads(result.calls[0].arguments)]


def test_the_shipped_model_admits_what_it_made_up(shipped: BodkinEngine) -> None:
    request = GenerationRequest(user("Is it hot in Tokyo?"), (WEATHER,), ToolChoice("required"))
    evidence = {e.path: e for call in shipped.generate(request).evidence for e in call}
    assert evidence["/city"].source == Span(0, 13, 18, "Tokyo")
    assert evidence["/unit"] == Evidence("/unit", False, None)


def test_there_is_evidence_for_every_call(shipped: BodkinEngine) -> None:
    request = GenerationRequest(user("How is the weather in Paris and Rome?"), (WEATHER,))
    result = shipped.generate(request)
    assert len(result.evidence) == len(result.calls) > 1
    assert {span_of(e) for call in result.evidence for e in call} >= {"Paris", "Rome"}
