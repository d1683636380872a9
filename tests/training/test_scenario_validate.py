"""Validation of domains: what it refuses, and that the library as shipped has nothing to refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.training.domains import LEVEL, ROOM, SAY, SMALL_LIBRARY, tool, write
from training.data.scenarios.library import domain_files
from training.data.scenarios.validate import FEWEST_PHRASINGS, validate


def problems(path: Path) -> list[str]:
    """The problems of one file, each of which must be the file's own."""
    _, found = validate([path])
    assert set(found) <= {path}
    return found.get(path, [])


def test_a_good_domain_has_no_problems(tmp_path: Path) -> None:
    domains, found = validate([write(tmp_path)])
    assert ([d.name for d in domains], found) == (["lights"], {})


def test_the_small_library_has_no_problems() -> None:
    domains, found = validate(domain_files(SMALL_LIBRARY))
    assert ([d.name for d in domains], found) == (["dock", "kettle"], {})


@pytest.mark.slow
def test_the_shipped_library_is_large_and_without_problems() -> None:
    domains, found = validate(domain_files())
    assert not found, "\n".join(f"{path.name}: {problem}" for path, each in found.items() for problem in each)
    tools = [t for d in domains for t in d.tools]
    assert len(domains) >= 100
    assert len(tools) >= 1_500
    assert min(len(t.say) for t in tools) >= FEWEST_PHRASINGS >= 8


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        pytest.param(
            {"say": ["dim the {room}", *SAY]},
            "set_light: 'dim the {room}' says no level",
            id="a phrasing without a required slot",
        ),
        pytest.param(
            {"say": ["dim the {room} [to {level}]", *SAY]},
            "set_light: 'dim the {room} [to {level}]' says no level",
            id="a required slot in an optional part",
        ),
        pytest.param(
            {"say": ["dim the {room} (to {level}|a little)", *SAY]},
            "set_light: 'dim the {room} (to {level}|a little)' says no level",
            id="a required slot in one alternative only",
        ),
        pytest.param(
            {"say": list(SAY[:7])},
            "set_light: 7 phrasings, 8 are wanted",
            id="too few phrasings",
        ),
        pytest.param(
            {"required": ["room", "level", "colour"]},
            "set_light: required colour is no parameter",
            id="a required parameter that is not declared",
        ),
        pytest.param(
            {"parameters": {"room": ROOM, "level": LEVEL, "fade": {"type": "boolean"}}},
            "set_light: no phrasing ever says fade",
            id="a parameter that nobody says",
        ),
        pytest.param(
            {"parameters": {"room": ROOM, "level": {**LEVEL, "type": "percentage", "values": "integer 1..9"}}},
            "set_light: 'percentage' is not valid under any of the given schemas",
            id="a schema of an unknown type",
        ),
        pytest.param(
            {"parameters": {"room": ROOM, "level": {**LEVEL, "minimum": "low", "values": "integer 1..9"}}},
            "set_light: 'low' is not of type 'number'",
            id="a schema with a text for a bound",
        ),
        pytest.param(
            {"parameters": {"room": {**ROOM, "pattern": "(unclosed"}, "level": LEVEL}},
            "set_light: ",
            id="a schema that the grammar cannot take",
        ),
        pytest.param(
            {"missing": ["dim the {room} to {level}, please"]},
            "set_light: 'dim the {room} to {level}, please' is under `missing` and lacks nothing required",
            id="nothing is missing",
        ),
        pytest.param(
            {"parameters": {"room": ROOM, "level": {**LEVEL, "values": "integer 101..200"}}},
            "is greater than the maximum of 100",
            id="a value outside its schema",
        ),
        pytest.param(
            {"say": [*SAY, {"text": "{room} {level}", "with": {"fade": True}}]},
            ": no parameter fade",
            id="an implied argument that is no parameter",
        ),
        pytest.param(
            {"say": [*SAY, {"text": "the {level} light in the {room}", "with": {"room": "hall"}}]},
            "'the {level} light in the {room}' says {room}, and `with` another value for it",
            id="a value that is said and fixed",
        ),
        pytest.param(
            {"say": [*SAY, {"text": "the {level} light", "with": {"room": 3}}]},
            "3 is not of type 'string'",
            id="an implied argument that does not fit",
        ),
        pytest.param(
            {"say": [*SAY, {"text": "light at {level}", "with": {"room": "{floor}"}}]},
            "set_light: `with` uses {floor}, which 'light at {level}' does not always say",
            id="an implied argument built from an absent slot",
        ),
        pytest.param(
            {"say": [*SAY, {"text": "{level} [in the {room}]", "with": {"room": "{room} light"}}]},
            "set_light: `with` uses {room}, which '{level} [in the {room}]' does not always say",
            id="an implied argument built from a slot that may be absent",
        ),
        pytest.param(
            {"then": [{"text": "and there", "with": {"room": "the {room}"}}]},
            "set_light: `with` uses {room}, which 'and there' does not always say",
            id="an absent slot in a later turn",
        ),
        pytest.param(
            {"missing": [{"text": "light, please", "with": {"room": "the {room}"}}]},
            "set_light: `with` uses {room}, which 'light, please' does not always say",
            id="an absent slot in a request that lacks a value",
        ),
        pytest.param(
            {"then": [{"text": "and a colour", "with": {"colour": "red"}}]},
            ": no parameter colour",
            id="a later turn whose call does not fit",
        ),
        pytest.param(
            {"missing": [{"text": "some light", "ask": "How bright?", "answer": "{level}"}]},
            "'room' is a required property",
            id="an answer after which a value is still missing",
        ),
    ],
)
def test_a_broken_tool_is_refused(tmp_path: Path, broken: dict[str, Any], expected: str) -> None:
    found = problems(write(tmp_path, tool(**broken)))
    assert any(expected in problem for problem in found), found
    assert all("set_light" in problem for problem in found), found


def test_a_call_that_does_not_fit_is_shown_with_its_request(tmp_path: Path) -> None:
    [problem, *_] = problems(
        write(tmp_path, tool(parameters={"room": ROOM, "level": {**LEVEL, "values": "digits 500..500"}}))
    )
    assert "to 500' gives {'room': '" in problem and "'level': 500}: 500 is greater than the maximum" in problem


def test_a_phrasing_said_twice_by_one_tool_is_refused(tmp_path: Path) -> None:
    [problem] = problems(write(tmp_path, tool(say=[*SAY, SAY[3]])))
    assert problem == f"set_light: {SAY[3]!r} is also said in lights.set_light"


def test_a_long_phrasing_said_by_two_tools_is_refused_whatever_its_slots_and_capitals(tmp_path: Path) -> None:
    other = tool(
        name="paint",
        parameters={"wall": ROOM, "percent": LEVEL},
        required=["wall", "percent"],
        say=[f"{i}: {s}".replace("{room}", "{wall}").replace("{level}", "{percent}") for i, s in enumerate(SAY[1:])],
    )
    other["say"].append("IT IS DARK in the {wall}! I would like {percent} percent")
    [problem] = problems(write(tmp_path, tool(), other))
    assert problem.startswith("paint: 'IT IS DARK") and problem.endswith("is also said in lights.set_light")


def test_a_short_phrasing_may_be_said_by_two_tools(tmp_path: Path) -> None:
    other = tool(name="dim", say=[SAY[1], *(f"{s} right now at once" for s in SAY)])
    assert problems(write(tmp_path, tool(), other)) == []


def test_a_phrasing_of_another_file_is_refused(tmp_path: Path) -> None:
    one, other = write(tmp_path), write(tmp_path, name="lamps")
    _, found = validate([one, other])
    assert list(found) == [other]
    assert found[other] == [f"set_light: {s!r} is also said in lights.set_light" for s in (SAY[3],)]


def test_the_domain_is_named_like_its_file(tmp_path: Path) -> None:
    assert problems(write(tmp_path, domain="lamps")) == ["domain: 'lamps' is not the file's name"]


def test_a_file_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    good, bad = write(tmp_path), write(tmp_path, tool(say=["{room"]), name="bad")
    domains, found = validate([bad, good])
    assert [d.name for d in domains] == ["lights"]
    assert list(found) == [bad]


CHAIN = {
    "steps": ["set_light", "report"],
    "returns": {"id": "code L-##"},
    "pass": {"id": "id"},
    "say": ["set the {set_light.room} to {set_light.level} and report it"],
}
REPORT = tool(
    name="report",
    parameters={"id": {"type": "string", "pattern": "^L-[0-9]{2}$", "values": "code L-##"}},
    required=["id"],
    say=[f"report {{id}} {word}" for word in "now soon today please quickly twice again once".split()],
)


def test_a_good_chain_has_no_problems(tmp_path: Path) -> None:
    assert problems(write(tmp_path, tool(), REPORT, chains=[CHAIN])) == []


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        pytest.param(
            {"say": ["set the {set_light.room} and report it"]}, "'level' is a required property", id="first call"
        ),
        pytest.param({"returns": {"id": "code ##"}}, "does not match '^L-[0-9]{2}$'", id="second call"),
        pytest.param({"pass": {}}, "'id' is a required property", id="nothing passed on"),
    ],
)
def test_a_chain_whose_calls_do_not_fit_is_refused(tmp_path: Path, broken: dict[str, Any], expected: str) -> None:
    [problem] = problems(write(tmp_path, tool(), REPORT, chains=[{**CHAIN, **broken}]))
    assert problem.startswith("chain set_light -> report: ") and problem.endswith(expected)


def test_an_implied_argument_of_a_chain_names_its_step(tmp_path: Path) -> None:
    """`room` alone would be dropped without a word."""
    say = [{"text": "light of {set_light.level}, and report it", "with": {"room": "hall", "set_light.room": "hall"}}]
    found = problems(write(tmp_path, tool(), REPORT, chains=[{**CHAIN, "say": say}]))
    assert any("chain set_light -> report" in problem and "room" in problem for problem in found), found
