"""Restaurants-8k's loader, on rows in its format."""

from __future__ import annotations

from typing import Any

import pytest

from model.types import Message
from tests.training.conftest import Corpus, answers
from training.data.example import Example
from training.data.sources import polyai


def row(marked: str, *asked: str) -> dict[str, Any]:
    """`marked` has its slots as in "a table for <people:five>"."""
    text, labels = "", []
    for piece in marked.split("<"):
        slot, _, rest = piece.partition(":")
        value, mark, tail = rest.partition(">")
        if mark:
            span = {"startIndex": len(text), "endIndex": len(text) + len(value)}
            labels.append({"slot": slot, "valueSpan": {key: at for key, at in span.items() if at}})
            text += value + tail
        else:
            text += piece
    made: dict[str, Any] = {"userInput": {"text": text}}
    if labels:
        made["labels"] = labels
    if asked:
        made["context"] = {"requestedSlots": list(asked)}
    return made


def load(corpus: Corpus, *rows: dict[str, Any]) -> list[Example]:
    corpus(polyai.FILES[0], list(rows), lines=False)
    corpus(polyai.FILES[1], [], lines=False)
    return list(polyai.load())


def test_an_answer_to_a_question(corpus: Corpus) -> None:
    examples = load(
        corpus,
        row("<time:9:15> pm.", "time"),
        row("It is <first_name:Ann> <last_name:Bell>.", "first_name", "last_name"),
        row("<people:twenty-two of us>, on <date:May 5th>", "people", "date"),
        row("<date:Friday>", "date"),
    )
    assert answers(iter(examples)) == {
        "9:15 pm.": [("book_restaurant", {"time": "9:15 pm"})],
        "It is Ann Bell.": [("book_restaurant", {"first_name": "Ann", "last_name": "Bell"})],
        "twenty-two of us, on May 5th": [("book_restaurant", {"date": "May 5th", "party_size": 22})],
        "Friday": [("book_restaurant", {"date": "Friday"})],
    }
    questions = {example.messages[-1].text: example.messages[-2] for example in examples}
    assert questions["9:15 pm."].role == "assistant" and questions["9:15 pm."].text in polyai._QUESTIONS["time"]
    assert questions["It is Ann Bell."].text in polyai._QUESTIONS["name"]
    assert {example.group for example in examples} == {"polyai:restaurant"}


def test_booking_cancelling_changing(corpus: Corpus) -> None:
    examples = load(
        corpus,
        row("Please book <people:6 people> in at <time:noon>."),
        row("Cancel the table of <last_name:Bell> on <date:May 5th>"),
        row("Could you move my <time:8pm> booking to <time:9pm>?"),
    )
    assert all(len(example.messages) == 1 and len(example.tools) == 3 for example in examples)
    assert answers(iter(examples)) == {
        "Please book 6 people in at noon.": [("book_restaurant", {"time": "noon", "party_size": 6})],
        "Cancel the table of Bell on May 5th": [("cancel_reservation", {"date": "May 5th", "last_name": "Bell"})],
        "Could you move my 8pm booking to 9pm?": [("change_reservation", {"new_time": "9pm", "time": "8pm"})],
    }


@pytest.mark.parametrize(
    "unclear",
    [
        row("<people:me and my 2 sons>", "people"),
        row("<people:5 adults and 2 children>", "people"),
        row("<time:7>, and outside if it may be tonight", "time"),
        row("outside, please", "time"),
        row("<people:two people>"),
        row("Do you have a table for <people:two>?"),
        row("I booked a table for <time:7pm>"),
        row("I need to change my <time:7pm> table"),
        row("Book it, please"),
    ],
)
def test_what_is_dropped(corpus: Corpus, unclear: dict[str, Any]) -> None:
    assert not load(corpus, unclear)


def test_taking_leave_calls_for_nothing(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polyai, "CLOSING_CAP", 1)
    (example,) = load(corpus, row("Great, thanks. Goodbye!"), row("Thank you"))
    assert example.calls == () and example.messages[-1] in (
        Message("user", "Great, thanks. Goodbye!"),
        Message("user", "Thank you"),
    )


def test_cap(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polyai, "CAP", 2)
    assert len(load(corpus, *(row(f"<time:{hour} am>", "time") for hour in range(1, 6)))) == 2
