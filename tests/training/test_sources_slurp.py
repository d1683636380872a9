"""SLURP's loader, on rows in its format."""

from __future__ import annotations

from typing import Any

from tests.training.conftest import Corpus, answers
from training.data.sources import hwu64, slurp


def row(scenario: str, action: str, annotation: str) -> dict[str, Any]:
    # The upstream intent of these rows is not trusted; a wrong one must not matter.
    return {"sentence_annotation": annotation, "scenario": scenario, "action": action, "intent": "x_y", "entities": []}


def test_slurp(corpus: Corpus) -> None:
    known = {"answerid": "1", "scenario": "alarm", "intent": "set", "answer_annotation": "wake me at [time : six]"}
    corpus(hwu64.FILE, [known])
    corpus(
        slurp.FILES[0],
        [
            row("alarm", "set", "Wake me at [time : six]"),
            row("alarm", "set", "wake me at [time : seven] on [date : sunday]"),
            row("general", "quirky", "i want two tickets to the opera"),
            row("general", "joke", "tell me a joke"),
            row("play", "music", "play it once more"),
            row("play", "music", "[artist_name : muse]"),
            row("lists", "query", "what was it again"),
            row("lists", "query", "which lists are there"),
            row("cooking", "query", "is it done already"),
        ],
    )
    corpus(
        slurp.FILES[1],
        [
            row("alarm", "set", "wake me at [time : seven] on [date : sunday]"),
            row("play", "music", "play something by [artist_name : muse]"),
        ],
    )
    examples = list(slurp.load())
    assert answers(iter(examples)) == {
        "wake me at seven on sunday": [("set_alarm", {"time": "seven", "date": "sunday"})],
        "tell me a joke": [],
        "which lists are there": [("show_list", {})],
        "play something by muse": [("play_music", {"artist": "muse"})],
    }
    # HWU64's groups, since its tools are called: a split must hold out both or neither.
    assert [(example.source, example.group) for example in examples] == [
        ("slurp", "hwu64:alarm"),
        ("slurp", "hwu64:general"),
        ("slurp", "hwu64:lists"),
        ("slurp", "hwu64:play"),
    ]
    assert {example.group for example in hwu64.load()} == {"hwu64:alarm"}
