"""Home Assistant's loader, on rows in its format."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.training.conftest import Corpus, answers
from training.data.sources import home_assistant
from training.data.sources.home_assistant_tools import TOOLS

Answer = tuple[str, dict[str, Any]]


def row(text: str, intent: str, context: dict[str, Any] | None = None, **slots: Any) -> dict[str, Any]:
    return {"text": text, "intent": intent, "slots": slots, "context": context or {}, "response": None, "file": "x"}


def load(corpus: Corpus, *rows: dict[str, Any]) -> dict[str, list[Answer]]:
    corpus(home_assistant.FILE, list(rows))
    return answers(home_assistant.load())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            row("Switch the attic lights on", "HassTurnOn", area="Attic", domain="light"),
            ("turn_on", {"device_type": "light", "area": "attic"}),
        ),
        # The light is part of a name, and not all lights are meant.
        (row("turn off Hall Light", "HassTurnOff", name="Hall light"), ("turn_off", {"device": "Hall Light"})),
        (
            row("open the blinds", "HassTurnOn", {"area": "Den"}, domain="cover", device_class="blind", area="Den"),
            ("open_cover", {"cover_type": "blind"}),
        ),
        (row("unlock the side gate", "HassTurnOff", name="Side Gate"), ("unlock_doors", {"device": "side gate"})),
        (
            row("start movie night", "HassTurnOn", domain="scene", name="Movie Night"),
            ("activate_scene", {"scene": "movie night"}),
        ),
        (
            row("are all attic windows shut?", "HassGetState", domain="cover", device_class="window", area="Attic"),
            ("check_covers", {"cover_type": "window", "state": "closed", "area": "attic"}),
        ),
        (
            row("is the tank leaking", "HassGetState", domain="binary_sensor", device_class="moisture", name="Tank"),
            ("check_sensor", {"sensor_type": "moisture", "device": "tank"}),
        ),
        (
            row("how humid is the Bath sensor", "HassGetState", domain="sensor", device_class="x", name="bath sensor"),
            ("read_sensor", {"sensor": "Bath sensor"}),
        ),
        (
            row("take 4 minutes off the 4 hour timer", "HassDecreaseTimer", minutes=4, start_hours=4),
            ("shorten_timer", {"remove": 4, "hours": 4}),
        ),
        (
            row("a 90 second timer for eggs", "HassStartTimer", seconds=90, name=["eggs ", "eggs"]),
            ("start_timer", {"seconds": 90, "name": "eggs"}),
        ),
        (
            row("play the tv show Dark", "HassMediaSearchAndPlay", search_query="Dark", media_class="tv_show"),
            ("play_media", {"query": "Dark", "media_type": "tv_show"}),
        ),
    ],
)
def test_calls(corpus: Corpus, given: dict[str, Any], expected: Answer) -> None:
    assert load(corpus, given) == {given["text"]: [expected]}


@pytest.mark.parametrize(
    "unsaid",
    [
        row("set a timer for half an hour", "HassStartTimer", minutes=30),
        row("lights as bright as can be", "HassLightSet", brightness=100),
        row("turn it on", "HassTurnOn", name="Hall Light"),
        row("turn the lights on", "HassTurnOn", {"area": "Attic"}, domain="light", area="Den"),
        row("turn the lights on in 5 minutes", "HassStartTimer", minutes=5, conversation_command="lights on"),
        row("a sentence of a new kind", "HassUnheardOf"),
    ],
)
def test_what_is_dropped(corpus: Corpus, unsaid: dict[str, Any]) -> None:
    if "conversation_command" in unsaid["slots"]:
        unsaid["slots"]["conversation_command"] = "turn the lights on"  # said, but no parameter takes it
    assert load(corpus, unsaid) == {}


def test_small_talk_repetitions_and_cap(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home_assistant, "CAP", 2)
    lamps = [row(f"turn on lamp {i}", "HassTurnOn", name=f"Lamp {i}") for i in range(4)]
    made = load(corpus, row("never mind", "HassNevermind"), row("Never mind", "HassNevermind"), *lamps)
    assert made.pop("never mind", made.pop("Never mind", None)) == []
    assert len(made) == 2


def test_every_tool_has_a_valid_schema() -> None:
    names: list[str] = []
    for tools in TOOLS.values():
        for tool in (tool for each in tools.values() for tool in each):
            names.append(tool.name)
            for styled in tool.styled.values():
                Draft202012Validator.check_schema(styled.parameters)
                assert styled.description
    assert len(names) == len(set(names))
