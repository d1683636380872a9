"""API-Bank's loader, on rows in its format."""

from __future__ import annotations

from typing import Any

import pytest

from model.types import Message, ToolCall
from tests.training.conftest import Corpus
from training.data.example import Call, Example
from training.data.sources import api_bank

FERRY = (
    "{'name': 'FerryFinder', 'description': 'Find ferries.', 'input_parameters': {'port': {'type': 'str', "
    "'description': 'The port.'}, 'cars': {'type': int, 'description': 'How many cars.'}, "
    "'stops': {'type': 'List[str]', 'description': 'Stops.'}}, 'output_parameters': {}}"
)
FARE = (
    "{'name': 'FerryFare', 'description': 'Price of a ferry.', "
    "'input_parameters': {'ferry': {'type': 'str', 'description': 'Its name.'}}}"
)
TAX = "{'name': 'TaxCalculator', 'description': 'Tax.', 'input_parameters': {'salary': {'type': 'float'}}}"
USER = "Find a ferry from Port City, via Oban and Mull, for two cars."
SEARCH = "API-Request: [ToolSearcher(keywords='boats')]->"
FOUND = "API-Request: [FerryFinder(port=Port, cars='2', stops=['Oban', 'Mull'])]->{'ferry': 'Aurora', 'price': 80.0}"


@pytest.fixture(autouse=True)
def _one_style(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_bank, "_STYLES", ("snake",))


def row(output: str, *lines: str, user: str = USER, time: str = "TIME: 2031-05-05 10:00:00") -> dict[str, Any]:
    head = '{"apiCode": "ToolSearcher", "description": "Searches for tools.", "parameters": {}}'
    ask = "Generate AI Response: " if output.startswith("AI") else "Generate API Request: "
    return {"instruction": "", "input": "\n".join([head, f"User: {user}{time}", *lines, ask]), "output": output}


def load(corpus: Corpus, *rows: dict[str, Any]) -> list[Example]:
    corpus(api_bank.FILE, list(rows), lines=False)
    return list(api_bank.load())


def test_the_search_is_taken_out(corpus: Corpus) -> None:
    call = FOUND.split("->")[0]
    first, reply, further = load(
        corpus,
        row(call, SEARCH + FERRY),
        row("AI: The Aurora.", SEARCH + FERRY, FOUND),
        row("API-Request: [FerryFare(ferry='Aurora')]", SEARCH + FERRY, FOUND, SEARCH + FARE),
        row("API-Request: [ToolSearcher(keywords='boats')]"),
        row("API-Request: [ToolSearcher(keywords='prices')]", SEARCH + FERRY, FOUND),
    )
    expected = Call("ferry_finder", {"port": "Port City", "cars": 2, "stops": ["Oban", "Mull"]})
    assert first.messages == (Message("user", USER),) and first.calls == (expected,)
    assert first.tools[0].parameters == {
        "type": "object",
        "properties": {
            "port": {"type": "string", "description": "The port."},
            "cars": {"type": "integer", "description": "How many cars."},
            "stops": {"type": "array", "items": {"type": "string"}, "description": "Stops."},
        },
        "required": ["port", "cars", "stops"],
    }
    called = ToolCall("ferry_finder", '{"port":"Port City","cars":2,"stops":["Oban","Mull"]}')
    result = Message("tool", '{"ferry":"Aurora","price":80.0}', name="ferry_finder")
    assert reply.messages == (Message("user", USER), Message("assistant", "", (called,)), result)
    assert reply.calls == () and reply.group == "api_bank:FerryFinder"
    # The value is from the result of the first call.
    assert further.messages == reply.messages and further.calls == (Call("ferry_fare", {"ferry": "Aurora"}),)
    assert [tool.name for tool in further.tools] == ["ferry_finder", "ferry_fare"]
    assert further.group == "api_bank:FerryFare"


def test_what_is_dropped(corpus: Corpus) -> None:
    assert not load(
        corpus,
        row("API-Request: [FerryFinder(port='Leith')]", SEARCH + FERRY),  # said nowhere
        row("API-Request: [FerryFinder(cars=3)]", SEARCH + FERRY),
        row("API-Request: [FerryFinder(colour='two')]", SEARCH + FERRY),  # no such parameter
        row("API-Request: [FerryFinder(cars=2)]", SEARCH + FERRY[:90]),  # a description that was cut off
        row("API-Request: [TaxCalculator(salary=80)]", SEARCH + FERRY, FOUND, SEARCH + TAX),  # no tax was asked for
        row("AI: Nothing was found."),
    )


def test_a_parameter_that_is_left_out_somewhere_is_optional(corpus: Corpus) -> None:
    full, short = load(
        corpus,
        row("API-Request: [FerryFinder(port=Port City, cars=2)]", SEARCH + FERRY),
        row("API-Request: [FerryFinder(port='Port City')]", SEARCH + FERRY),
    )
    assert full.tools[0].parameters["required"] == short.tools[0].parameters["required"] == ["port"]


def test_repetitions(corpus: Corpus) -> None:
    call = FOUND.split("->")[0]
    assert len(load(corpus, row(call, SEARCH + FERRY), row(call, SEARCH + FERRY, time=" TIME: 2032-01-01"))) == 1
