"""MetaTool's loader, on a table in its format."""

from __future__ import annotations

import csv
import io

import pytest

from tests.training.conftest import Corpus, answers
from training.data.example import Example
from training.data.sources import metatool

PLUGINS = {
    "TideTool": "Tide tables of any harbour,  with heights.",
    "Knots&Co": "Learn how to tie knots.",
    "boat_insurer": "Insurance of boats, from quotes to claims.",
    "BoatFinder": "Find boats for rent.",
}


def load(corpus: Corpus, *rows: tuple[str, str]) -> list[Example]:
    table = io.StringIO()
    csv.writer(table).writerows([("Query", "Tool"), *rows])
    corpus(metatool.PLUGINS, PLUGINS, lines=False)
    corpus(metatool.QUERIES, table.getvalue())
    return list(metatool.load())


@pytest.fixture(autouse=True)
def _four_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metatool, "MIN_EVIDENCE", 1.0)  # of four plugins, none is as rare as one of 200


def test_the_plugin_is_called_without_arguments(corpus: Corpus) -> None:
    examples = load(
        corpus,
        ("How high is the tide at the harbour, please?", "TideTool"),
        ("I'd love to learn a few knots", "Knots&Co"),
        ("Which insurance quote for boats is cheapest?", "boat_insurer"),
    )
    assert answers(iter(examples)) == {
        "How high is the tide at the harbour, please?": [("tide_tool", {})],
        "I'd love to learn a few knots": [("knots_co", {})],
        "Which insurance quote for boats is cheapest?": [("boat_insurer", {})],
    }
    assert {example.group for example in examples} == {"metatool:plugins"}
    tools = {tool.name.lower().replace("_", ""): tool for example in examples for tool in example.tools}
    tide = tools["tidetool"]
    assert tide.description == "Tide tables of any harbour, with heights."
    assert tide.parameters == {"type": "object", "properties": {}, "required": []}


def test_others_on_offer_could_not_be_meant(corpus: Corpus) -> None:
    (example,) = load(corpus, ("Which insurance quote for boats is cheapest?", "boat_insurer"))
    # BoatFinder shares a word with the request.
    descriptions = {tool.description for tool in example.tools}
    assert len(descriptions) == 3 and PLUGINS["BoatFinder"] not in descriptions


@pytest.mark.parametrize(
    ("query", "plugin"),
    [
        ("Which insurance quote for boats is cheapest?", "BoatFinder"),  # speaks for another plugin
        ("What shall we do on the sea today?", "BoatFinder"),  # speaks for none
        ("Tell me the tide at the [harbour] please", "TideTool"),
        ("Can ChatGPT learn to tie knots for me?", "Knots&Co"),
        ("Sure, here is how to tie the knots you wish to learn", "Knots&Co"),
        ("Harbour tide tables?", "TideTool"),
        ("Harbour tide tables " + "and heights " * 20, "TideTool"),
        ("How high is the tide at the harbour, please?", "MoonTool"),  # has no description
    ],
)
def test_what_is_dropped(corpus: Corpus, query: str, plugin: str) -> None:
    assert not load(corpus, (query, plugin))


def test_repetitions_and_cap(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metatool, "CAP", 2)
    asked = [(f"The harbour tide tables of {day}, please", "TideTool") for day in ("today", "Friday", "Monday")]
    assert len(load(corpus, *asked)) == 2
    assert len(load(corpus, asked[0], asked[0])) == 1
