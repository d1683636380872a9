"""Requests for several calls that a domain's file holds itself: `together`."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.training.domains import load, small_library, tool, write
from training.data.quality import unsupported
from training.data.scenarios.draw import example_of
from training.data.scenarios.library import Place, ScenarioError, load_domain
from training.data.scenarios.samples import print_samples
from training.data.scenarios.together import as_written
from training.data.scenarios.validate import validate

KETTLE = small_library()["kettle"]
SEEDS = range(60)


def drawn(number: int) -> list[tuple[str, list[dict[str, Any]]]]:
    """Texts of the kettle's request `number`, and the arguments of their calls."""
    examples = [e for s in SEEDS if (e := as_written(KETTLE, KETTLE.together[number], random.Random(s)))]
    assert len(examples) > 50
    for example in examples:
        assert example == example_of(
            KETTLE, list(example.messages), list(KETTLE.together[number].calls), [*example.calls]
        )
        assert [c.name for c in example.calls] == [t.tool.name for t in KETTLE.together[number].calls]
    return [(e.messages[0].text, [dict(c.arguments) for c in e.calls]) for e in examples]


def test_a_number_says_whose_slot_it_is_and_none_means_all() -> None:
    for text, calls in drawn(0):
        drinks = [call["drink"] for call in calls]
        assert len(set(drinks)) == 3
        assert [text.index(d) for d in drinks] == sorted(text.index(d) for d in drinks)
        assert [set(call) for call in calls] == [{"drink", "at", "sugar"}, {"drink", "sugar"}, {"drink", "sugar"}]
        assert len({call["sugar"] for call in calls}) == 1


def test_numbers_share_a_slot_and_with_follows_them() -> None:
    kept = 0
    for text, (boil, first, second) in drawn(1):
        assert set(boil) == {"degrees", "keep_warm"}
        assert set(first) == {"drink", "at"} and set(second) == {"drink", "at", "sugar"}
        assert first["at"] == second["at"] and first["drink"] != second["drink"]
        assert second["sugar"] == "one_cube" and boil["keep_warm"] is True
        kept += "boil to" in text
    assert 10 < kept < 50  # alternatives are alternatives here, too


def test_what_is_drawn_is_said() -> None:
    for told in KETTLE.together:
        for seed in SEEDS:
            example = as_written(KETTLE, told, random.Random(seed))
            reason = example and unsupported(example)
            assert reason in (None, "boolean not said", "enum not said"), (example, reason)


def test_two_equal_calls_are_none(tmp_path: Path) -> None:
    levels = {"level": {"type": "integer", "values": [5, 6]}}
    light = tool(parameters=levels, required=[], say=["to {level}"])
    spec = {"calls": ["set_light"] * 3, "say": ["to {1.level}, {2.level} and {3.level}"]}
    domain = load(tmp_path, light, together=[spec])
    assert all(as_written(domain, domain.together[0], random.Random(s)) is None for s in SEEDS)
    [(_, problems)] = validate([tmp_path / "lights.yaml"])[1].items()
    assert any("gives two equal calls" in problem for problem in problems), problems


def test_an_end_comes_behind_its_start(tmp_path: Path) -> None:
    dates = {name: {"type": "string", "values": "date"} for name in ("start", "end")}
    stay = tool(name="stay", parameters=dates, required=["start", "end"], say=["{start} to {end}"])
    spec = {"calls": ["stay", "stay"], "say": ["from {start} until {1.end} or {2.end}"]}
    domain = load(tmp_path, stay, together=[spec])
    made = [e for s in SEEDS if (e := as_written(domain, domain.together[0], random.Random(s)))]
    assert len(made) > 5
    assert all(c.arguments["start"] < c.arguments["end"] for e in made for c in e.calls)


def test_places_of_slots() -> None:
    boil_and_brew = KETTLE.together[1]
    assert boil_and_brew.place("1,3.at") == Place(frozenset({0, 2}), "at")
    assert boil_and_brew.place("2.x.y") == Place(frozenset({1}), "x.y")
    assert boil_and_brew.place("drink") == Place(frozenset({1, 2}), "drink")
    assert boil_and_brew.place("degrees") == Place(frozenset({0}), "degrees")
    assert boil_and_brew.place("nothing").calls == frozenset()


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        ({"calls": ["set_light", "tell"]}, "together set_light, tell: no tool tell"),
        ({"calls": ["set_light"]}, "together[0].calls"),
        ({"say": []}, "together[0].say"),
        ({"say": ["{1.room} to {3.level}"]}, "'3.level' of '{1.room} to {3.level}' belongs to none of the 2 calls"),
        ({"say": ["{0.room} to {level}"]}, "'0.room' of '{0.room} to {level}' belongs to none of the 2 calls"),
        ({"say": ["{lamp} on"]}, "'lamp' of '{lamp} on' belongs to none of the 2 calls"),
        ({"say": ["{1.lamp} on"]}, "'1.lamp' of '{1.lamp} on' is no slot of the phrasings of set_light"),
        ({"say": [{"text": "{room} on", "with": {"3.level": 4}}]}, "'3.level' of '{room} on' belongs to none"),
        ({"say": ["the {1.room"]}, "a slot is {name}"),
    ],
)
def test_a_broken_request_is_refused(tmp_path: Path, broken: dict[str, Any], expected: str) -> None:
    good = {"calls": ["set_light", "set_light"], "say": ["{1.room} and {2.room} to {level}"]}
    with pytest.raises(ScenarioError) as caught:
        load_domain(write(tmp_path, together=[{**good, **broken}]))
    assert any(expected in problem for problem in caught.value.problems), caught.value.problems


@pytest.mark.parametrize(
    ("say", "expected"),
    [
        ("{1.room} and {2.room}", "'level' is a required property"),
        ("{1.room} and {2.room} (to) {level}", "has (…) without |"),
        ({"text": "{1.room} and {2.room} to {level}", "with": {"note": "{room}"}}, "may hold no slots"),
        ({"text": "{1.room} and the hall to {level}", "with": {"2.room": "x", "note": 4}}, "4 is not of type 'string'"),
        ({"text": "{1.room} and {2.room} to {level}", "with": {"2.level": 4}}, "says 2.level, and `with`"),
    ],
)
def test_a_request_whose_calls_do_not_fit_is_a_problem(tmp_path: Path, say: Any, expected: str) -> None:
    note = {"note": {"type": "string", "values": ["one"]}}
    light = tool()
    light = {**light, "parameters": {**light["parameters"], **note}, "say": [*light["say"], "{room} {level} {note}"]}
    path = write(tmp_path, light, together=[{"calls": ["set_light", "set_light"], "say": [say]}])
    [(_, problems)] = validate([path])[1].items()
    assert len(problems) == 1 and expected in problems[0], problems


def test_samples_show_them(capsys: pytest.CaptureFixture[str]) -> None:
    print_samples(KETTLE, 1, random.Random(3))
    shown = capsys.readouterr().out
    assert shown.lower().count("for the early riser") == 2
    last = json.loads(shown[shown.rindex("=>") + 2 :])
    assert [call["name"] for call in last] == ["boil_water", "brew", "brew"]
