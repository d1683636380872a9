"""Reading domains: what a file means, and everything that keeps one from being read."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest

from tests.training.domains import LEVEL, ROOM, SAY, SMALL_LIBRARY, load, small_library, tool, write
from training.data.scenarios.draw import request
from training.data.scenarios.library import (
    FOLDER,
    ScenarioError,
    common_lists,
    domain_files,
    load_domain,
    load_library,
    resolve,
    step_of,
)

SEEDS = range(60)


def refusal(path: Path) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        load_domain(path)
    assert caught.value.path == path
    assert str(caught.value) == "\n".join(f"{path.name}: {problem}" for problem in caught.value.problems)
    return caught.value.problems


def drawn(folder: Path, scalars: str) -> set[Any]:
    """The values that a list written as `scalars` in YAML holds."""
    path = folder / "one.yaml"
    path.write_text(
        f"domain: one\nabout: One\ntools:\n  - name: f\n    parameters: {{x: {{values: [{scalars}]}}}}\n"
        "    required: [x]\n    say: ['{x}']\n"
    )
    [made] = load_domain(path).tools
    return {made.draws["x"](random.Random(seed)).value for seed in SEEDS}


def test_a_domain_is_its_tools_and_their_phrasings() -> None:
    kettle = small_library()["kettle"]
    assert (kettle.name, kettle.about) == ("kettle", "A kettle that listens")
    assert [t.tool.name for t in kettle.tools] == ["boil_water", "brew"]
    boil, brew = kettle.tools
    assert (len(boil.say), len(boil.missing), len(boil.then)) == (8, 2, 2)
    assert boil.say[-1].implied == {"keep_warm": True}
    assert boil.missing[0].ask is None and boil.missing[1].ask == "To what temperature?"
    assert set(boil.returns) == {"status", "degrees"}
    assert set(brew.draws) == {"drink", "at", "sugar"}
    [chain] = kettle.chains
    assert (chain.first, chain.second, chain.passed) == (boil, brew, {"at": "ready_at"})


def test_the_schema_is_what_was_declared_without_our_values() -> None:
    brew, berth = small_library()["kettle"].tools[1], small_library()["dock"].tools[0]
    assert brew.tool.parameters == {
        "type": "object",
        "properties": {
            "drink": {"type": "string"},
            "at": {"type": "string", "description": "24-hour HH:MM"},
            "sugar": {"type": "string", "enum": ["none", "one_cube", "two_cubes"]},
        },
        "required": ["drink"],
    }
    assert berth.tool.parameters["properties"]["berth"]["properties"]["place"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 40,
    }


def test_values_go_from_nested_schemas_and_date_time_formats_go_too(tmp_path: Path) -> None:
    inner = {"type": "object", "properties": {"at": {"type": "string", "format": "date-time", "values": "datetime"}}}
    made = tool(parameters={"room": ROOM, "level": LEVEL, "plan": {"type": "array", "items": inner}})
    plan = load(tmp_path, made).tools[0].tool.parameters["properties"]["plan"]
    assert plan == {"type": "array", "items": {"type": "object", "properties": {"at": {"type": "string"}}}}


@pytest.mark.parametrize(
    ("scalars", "expected"),
    [
        ("on, off, yes, no, Yes, y", {"on", "off", "yes", "no", "Yes", "y"}),
        ("19:30, 7:05:10", {"19:30", "7:05:10"}),
        ("2026-03-14, 2026-03-14T19:30:00", {"2026-03-14", "2026-03-14T19:30:00"}),
        ("0x1F, 0b11, 1.2.3, .inf", {"0x1F", "0b11", "1.2.3", ".inf"}),
        ("007, 01234", {"007", "01234"}),
        ('"12", "true"', {"12", "true"}),
        ("12, -3", {12, -3}),
        ("1.5, -0.25, 1e3", {1.5, -0.25, 1000.0}),
        ("true, False", {True, False}),
    ],
)
def test_scalars_are_those_of_yaml_1_2(tmp_path: Path, scalars: str, expected: set[Any]) -> None:
    values = drawn(tmp_path, scalars)
    assert values == expected
    assert {type(v) for v in values} == {type(v) for v in expected}


def test_an_unquoted_on_in_a_mapping_stays_text(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(
        "domain: one\nabout: One\ntools:\n  - name: f\n    parameters: {x: {type: boolean, values: {true: [on], "
        "false: off}}}\n    required: [x]\n    say: ['{x}']\n"
    )
    [made] = load_domain(path).tools
    said = {(d.value, d.text) for seed in SEEDS for d in [made.draws["x"](random.Random(seed))]}
    assert said == {(True, "on"), (False, "off")}


def test_own_lists_build_on_earlier_ones_and_hide_common_ones(tmp_path: Path) -> None:
    values = {"city": ["Atlantis"], "place": "city"}
    made = tool(parameters={"room": {"type": "string", "values": "place"}, "level": LEVEL})
    domain = load(tmp_path, made, values=values)
    assert request(domain.tools[0], domain.tools[0].say[1], random.Random(0))[1]["room"] == "Atlantis"


def test_slots_are_taken_from_enums_bounds_arrays_and_objects(tmp_path: Path) -> None:
    parameters = {
        "mode": {"type": "string", "enum": ["eco_mode", "off"]},
        "power": {"type": "number", "minimum": 0.5, "maximum": 1.5},
        "rooms": {"type": "array", "items": {"type": "string"}, "values": ["a", "b", "c", "d"]},
        "at": {"type": "object", "properties": {"floor": {"type": "integer", "minimum": 2, "maximum": 2}}},
    }
    domain = load(tmp_path, tool(parameters=parameters, required=[], say=["{mode} {power} {rooms} {at.floor}"]))
    for seed in SEEDS:
        [made] = domain.tools
        values = {slot: draw(random.Random(seed)) for slot, draw in made.draws.items()}
        assert (values["mode"].value, values["mode"].text) in {("eco_mode", "eco mode"), ("off", "off")}
        assert 0.5 <= values["power"].value <= 1.5
        assert 1 <= len(values["rooms"].value) <= 3 and set(values["rooms"].value) <= set("abcd")
        assert values["at.floor"].value == 2


@pytest.mark.parametrize(
    ("bounds", "shortest", "longest"),
    [((2, 2), 2, 2), ((4, None), 4, 4), ((None, 1), 1, 1), ((4, 5), 4, 5), ((None, 6), 1, 6), ((3, 50), 3, 9)],
)
def test_a_list_is_as_long_as_its_schema_says(
    tmp_path: Path, bounds: tuple[int | None, int | None], shortest: int, longest: int
) -> None:
    declared = {"type": "array", "items": {"type": "string", "values": list("abcdefghij")}}
    declared |= {k: v for k, v in zip(("minItems", "maxItems"), bounds, strict=True) if v is not None}
    [made] = load(tmp_path, tool(parameters={"x": declared}, required=["x"], say=["{x}"])).tools
    found = {len(made.draws["x"](random.Random(seed)).value) for seed in SEEDS}
    assert (min(found), max(found)) == (shortest, longest)


def test_lists_of_numbers_are_longer(tmp_path: Path) -> None:
    numbers = {"type": "array", "items": {"type": "number"}, "values": "digits 10..99"}
    [made] = load(tmp_path, tool(parameters={"x": numbers}, required=["x"], say=["{x}"])).tools
    assert {len(made.draws["x"](random.Random(seed)).value) for seed in SEEDS} == {1, 2, 3, 4, 5, 6, 7}


def test_a_slot_of_its_own_goes_before_a_parameter_of_that_name(tmp_path: Path) -> None:
    [made] = load(tmp_path, tool(slots={"room": ["cellar"]})).tools
    assert made.draws["room"](random.Random(0)).value == "cellar"


@pytest.mark.parametrize(
    ("broken", "place", "cause"),
    [
        ({"say": ["dim the {room"]}, "set_light.say", "a slot is {name}: 'dim the {room'"),
        ({"say": ["(dim|set the {room}"]}, "set_light.say", "')' is missing"),
        ({"then": ["[again"]}, "set_light.then", "']' is missing"),
        ({"missing": ["light)"]}, "set_light.missing", "')' without its partner"),
        ({"missing": [{"text": "light", "ask": "Where?", "answer": "{roo"}]}, "set_light.missing", "a slot is {name}"),
        ({"say": ["{lamp}"]}, "set_light.say: slot {lamp} in '{lamp}'", "no such parameter, nor is it under `slots`"),
        ({"say": ["{room.lamp}"]}, "set_light.say: slot {room.lamp}", "no such parameter"),
        ({"missing": [{"text": "a", "ask": "b", "answer": "{z}"}]}, "set_light.missing: slot {z} in '{z}'", "no such"),
        ({"slots": {"lamp": "lampp"}, "say": ["{lamp}"]}, "slot {lamp} in '{lamp}'", "no generator 'lampp'"),
        ({"slots": {"lamp": []}, "say": ["{lamp}"]}, "slot {lamp}", "a list of values holds texts and numbers: []"),
        ({"slots": {"lamp": [["a"]]}, "say": ["{lamp}"]}, "slot {lamp}", "a list of values holds texts and numbers"),
        ({"slots": {"lamp": ["a", "code T-%#"]}, "say": ["{lamp}"]}, "slot {lamp}", "the name of a generator"),
        ({"slots": {"lamp": ["integer 1..5"]}, "say": ["{lamp}"]}, "slot {lamp}", "the name of a generator: 'integer"),
        ({"slots": {"lamp": {}}, "say": ["{lamp}"]}, "slot {lamp}", "a mapping goes from a value to the ways"),
        ({"slots": {"lamp": {"a": []}}, "say": ["{lamp}"]}, "slot {lamp}", "a mapping goes from a value to the ways"),
        ({"slots": {"lamp": 3}, "say": ["{lamp}"]}, "slot {lamp}", "neither a list, nor a mapping"),
        ({"slots": {"lamp": "integer"}, "say": ["{lamp}"]}, "slot {lamp}", "integer needs a range such as 1..500"),
        ({"slots": {"n": "integer 9..1"}, "say": ["{n}"]}, "slot {n}", "integer 9..1: the range is empty"),
        ({"slots": {"n": "integer 1..2.5"}, "say": ["{n}"]}, "slot {n}", "whole numbers only"),
        ({"parameters": {"room": {"type": "string"}, "level": LEVEL}}, "slot {room}", "type string needs `values`"),
        ({"parameters": {"room": ROOM, "level": {"type": "integer", "minimum": 1}}}, "{level}", "needs `values`"),
        ({"parameters": {"room": {"type": "array"}, "level": LEVEL}}, "slot {room}", "needs `values`"),
        ({"missing": [{"text": "light", "ask": "Where?"}]}, "set_light.missing", "`ask` and `answer` go together"),
        ({"missing": [{"text": "light", "answer": "{room}"}]}, "set_light.missing", "`ask` and `answer` go together"),
        ({"returns": {"id": "nonsense"}}, "set_light.returns.id", "no generator 'nonsense'"),
    ],
)
def test_a_refusal_names_tool_place_and_cause(tmp_path: Path, broken: dict[str, Any], place: str, cause: str) -> None:
    problems = refusal(write(tmp_path, tool(**broken)))
    assert any(place in problem and cause in problem for problem in problems), problems
    assert all(problem.startswith("set_light") for problem in problems), problems


@pytest.mark.parametrize(
    ("broken", "place", "cause"),
    [
        ({"say": None}, "say", "Input should be a valid list"),
        ({"name": "set light"}, "name", "String should match pattern"),
        ({"says": ["light"]}, "says", "Extra inputs are not permitted"),
        ({"say": [{"txt": "light"}]}, "say[0].text", "Field required"),
        ({"required": "room"}, "required", "Input should be a valid list"),
        ({"missing": [{"text": "light", "question": "Where?"}]}, "missing[0].question", "Extra inputs"),
        ({"parameters": {"room": "string"}}, "parameters.room", "Input should be a valid dictionary"),
    ],
)
def test_a_refusal_of_the_form_names_tool_place_and_cause(
    tmp_path: Path, broken: dict[str, Any], place: str, cause: str
) -> None:
    problems = refusal(write(tmp_path, REPORT, tool(**broken)))
    assert any(problem.startswith("tools[1]") and place in problem and cause in problem for problem in problems)
    assert all(str(broken.get("name", "set_light")) in problem for problem in problems), problems


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    broken = tool(say=["{a}", "{b}", "(c"], then=["{d}"])
    assert len(refusal(write(tmp_path, broken, tool(name="other", say=["{e}"])))) == 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("domain: [unclosed", "not YAML: while parsing"),
        ("domain: x\nabout: y", "tools: Field required"),
        ("domain: x\nabout: y\ntools: []\nextra: 1", "extra: Extra inputs are not permitted"),
        ("", "Input should be a valid dictionary"),
        ("just text", "Input should be a valid dictionary"),
    ],
)
def test_a_file_that_is_no_domain_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    problems = refusal(path)
    assert any(expected in problem for problem in problems), problems
    assert all("\n" not in problem for problem in problems)
    assert not any(problem.startswith(":") for problem in problems)


def test_a_broken_list_of_the_file_is_named(tmp_path: Path) -> None:
    problems = refusal(write(tmp_path, values={"lamp": "lampp", "good": ["a"]}))
    assert problems == ["values.lamp: no generator 'lampp'"]


def test_a_tool_declared_twice_is_refused(tmp_path: Path) -> None:
    assert refusal(write(tmp_path, tool(), tool())) == ["declared twice: set_light"]


REPORT = tool(name="report", parameters={"id": {"type": "string", "values": "code L-##"}}, say=["report {id}"])
REPORT["required"] = ["id"]
CHAIN = {
    "steps": ["set_light", "report"],
    "returns": {"id": "code L-##"},
    "pass": {"id": "id"},
    "say": ["set the {set_light.room} to {set_light.level} and report it"],
}


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        ({"steps": ["set_light", "tell"]}, "chain set_light -> tell: no tool tell"),
        ({"pass": {"id": "number"}}, "id takes number, which the first step does not return"),
        ({"pass": {"number": "id"}}, "report has no parameter number"),
        ({"returns": {"id": "nonsense"}}, "returns.id: no generator 'nonsense'"),
        ({"say": ["light the {room}"]}, "slot {room} in 'light the {room}' is no slot of the steps' own phrasings"),
        ({"say": ["the {set_light.lamp}"]}, "slot {set_light.lamp} in"),
        ({"say": ["the [{set_light.room}"]}, "']' is missing"),
    ],
)
def test_a_broken_chain_is_refused(tmp_path: Path, broken: dict[str, Any], expected: str) -> None:
    problems = refusal(write(tmp_path, tool(), REPORT, chains=[{**CHAIN, **broken}]))
    assert any(expected in problem for problem in problems), problems
    assert all(problem.startswith("chain set_light -> ") for problem in problems)


def test_a_chain_has_two_steps(tmp_path: Path) -> None:
    problems = refusal(write(tmp_path, tool(), REPORT, chains=[{**CHAIN, "steps": ["set_light"]}]))
    assert problems[0].startswith("chains[0].steps")


def test_a_slot_of_a_chain_finds_its_step_though_names_hold_dots() -> None:
    assert step_of("find.item", ["find", "send"]) == ("find", "item")
    assert step_of("mail.send.to.name", ["mail.find", "mail.send"]) == ("mail.send", "to.name")
    assert step_of("finder.item", ["find"]) is None


def test_the_library_is_read_in_order_of_name_and_without_its_common_lists() -> None:
    assert (
        [p.stem for p in domain_files(SMALL_LIBRARY)]
        == ["dock", "kettle"]
        == [d.name for d in load_library(SMALL_LIBRARY)]
    )
    assert "_common" not in {p.stem for p in domain_files()}


def test_common_lists_are_expanded_down_to_plain_text() -> None:
    lists = common_lists()
    assert {"message", "note", "task", "chat", "today"} <= lists.keys()
    for name, draw in lists.items():
        for seed in range(15):
            made = draw(random.Random(seed))
            assert isinstance(made.value, str) and made.value == made.text, name
            assert made.value == made.value.strip() != "", name
            assert not re.search(r"[{}\[\]|]|  ", made.value), (name, made.value)


def test_every_generator_of_the_readme_exists() -> None:
    table = (FOLDER / "README.md").read_text(encoding="utf-8").partition("| generator |")[2].partition("\n\n")[0]
    specs = [spec for row in table.splitlines() for spec in re.findall(r"`([^`]+)`", row.split("|")[1])]
    assert {"integer 1..500", "datetime", "city", "airport", "code INV-####", "event"} <= set(specs)
    for spec in specs:
        assert resolve(spec, common_lists())(random.Random(0)).text


def test_phrasings_of_the_good_domain_are_what_was_written(tmp_path: Path) -> None:
    [made] = load(tmp_path).tools
    assert [w.phrasing.source for w in made.say] == list(SAY)
