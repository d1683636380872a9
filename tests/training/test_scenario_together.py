"""Several calls told in one breath: in their order, each with all of its values and none of the others'."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.training.domains import load, small_library, tool
from training.data.example import Example
from training.data.quality import unsupported
from training.data.scenarios.library import FOLDER, Domain, ScenarioTool, load_domain
from training.data.scenarios.together import sharing, told_together

LIBRARY = small_library()
KETTLE, DOCK = LIBRARY["kettle"], LIBRARY["dock"]
BOIL, BREW = KETTLE.tools
SEEDS = range(80)
Make = Callable[[Domain, ScenarioTool, random.Random], Example | None]


def test_calls_told_together_are_told_in_their_order() -> None:
    """Which of the values differ is one slot, or all from a preposition on."""
    made = [e for s in range(300) for t in (BOIL, BREW) if (e := told_together(KETTLE, t, random.Random(s)))]
    assert len(made) > 200
    counts, shapes, ordered = set(), set(), Counter({"drink": 0, "degrees": 0})
    for example in made:
        text, calls = example.messages[0].text, example.calls
        assert len(example.messages) == 1 and example.tools[0].name == calls[0].name
        counts.add(len(calls))
        assert {c.name for c in calls} == {calls[0].name}
        assert len({json.dumps(c.arguments) for c in calls}) == len(calls)
        assert len({tuple(c.arguments) for c in calls}) == 1
        differing = [p for p in calls[0].arguments if len({c.arguments[p] for c in calls}) > 1]
        assert differing
        shapes.add(" and to " in text)
        for name in set(differing) & {"drink", "degrees"}:
            values = [str(c.arguments[name]) for c in calls]
            assert name != "drink" or all(v in text for v in values)
            if len(set(values)) == len(calls) and all(v in text for v in values):  # numbers may be said in words
                assert sorted(values, key=text.index) == values, (text, calls)
                ordered[name] += 1
    assert counts == {2, 3, 4, 5} and shapes == {False, True} and min(ordered.values()) > 30


def test_what_is_not_listed_is_the_same_in_every_call() -> None:
    [reserve, _] = DOCK.tools
    listed, again = set(), set()
    for seed in range(200):
        if example := told_together(DOCK, reserve, random.Random(seed)):
            text, calls = example.messages[0].text, example.calls
            boats = list(dict.fromkeys(c.arguments["boat"] for c in calls))
            assert all(boat in text for boat in boats)
            assert len(boats) in (1, len(calls))
            others = {json.dumps({**c.arguments, "boat": ""}) for c in calls}
            if len(boats) > 1 and len(others) == 1:
                assert [text.index(b) for b in boats] == sorted(text.index(b) for b in boats)
                listed.add(text)
            elif len(boats) > 1:  # all was said again
                assert [text.index(b) for b in boats] == sorted(text.index(b) for b in boats)
                again.add(text)
    assert len(listed) > 20 and len(again) > 10


RANGE = {
    "room": {"type": "string", "values": ["kitchen", "hall", "study", "garage", "attic"]},
    "low": {"type": "integer", "values": "integer 1..40"},
    "high": {"type": "integer", "values": "integer 50..90"},
}


@pytest.mark.parametrize(
    "phrasing",
    [
        "keep it between {low} and {high}",
        "a {low}",
        "either {low} or {high} please",
        "{low}, {high}",
    ],
)
def test_what_would_not_read_as_a_list_is_none(phrasing: str, tmp_path: Path) -> None:
    limits = {name: RANGE[name] for name in ("low", "high")}
    domain = load(tmp_path, tool(name="limit", parameters=limits, required=[], say=[phrasing]))
    assert all(told_together(domain, domain.tools[0], random.Random(s)) is None for s in SEEDS)


def test_what_is_short_is_said_again_without_a_preposition(tmp_path: Path) -> None:
    light = {"room": RANGE["room"], "level": RANGE["low"]}
    domain = load(tmp_path, tool(name="light", parameters=light, required=[], say=["put the {room} lamp to {level}"]))
    texts = [e.messages[0].text for s in SEEDS if (e := told_together(domain, domain.tools[0], random.Random(s)))]
    assert sum(re.match(r"put( the \w+ lamp to [\w-]+( \w+)?(,| and|$)){2}", text) is not None for text in texts) > 12


def test_what_is_a_list_itself_is_not_said_again(tmp_path: Path) -> None:
    dish = {"dish": {"type": "string", "values": ["salt, pepper", "rice and beans", "tea or coffee"]}}
    made = tool(name="order", parameters=RANGE | dish, required=[], say=["bring {dish} to {room}", "{dish} for {room}"])
    domain = load(tmp_path, made)
    drawn = [e for s in SEEDS if (e := told_together(domain, domain.tools[0], random.Random(s)))]
    assert drawn and all(len({c.arguments["dish"] for c in e.calls}) == 1 for e in drawn)


def test_limits_beside_a_list_stay_the_same(tmp_path: Path) -> None:
    made = tool(name="limit", parameters=RANGE, required=[], say=["keep {room} between {low} and {high}"])
    domain = load(tmp_path, made)
    made_of_it = [e for s in SEEDS if (e := told_together(domain, domain.tools[0], random.Random(s)))]
    assert len(made_of_it) > 40
    for example in made_of_it:
        assert len({(c.arguments["low"], c.arguments["high"]) for c in example.calls}) == 1
        assert len({c.arguments["room"] for c in example.calls}) == len(example.calls)


def test_two_lists_go_together(tmp_path: Path) -> None:
    names = {"type": "string", "values": [f"name{i}" for i in range(12)]}
    made = tool(
        name="remind",
        parameters={"who": names, "at": {"type": "integer", "values": "digits 1..90"}},
        required=[],
        say=[
            "remind {who} at {at}!",
            "remind {who} at {at}. It is urgent.",
            "tell {who}. At {at}.",
            "{at} for {who} now",
        ],
    )
    domain = load(tmp_path, made)
    found = 0
    for seed in range(400):
        example = told_together(domain, domain.tools[0], random.Random(seed))
        if example is None or "respectively" not in example.messages[0].text:
            continue
        found += 1
        told = re.fullmatch(r"remind (.*) at (.*?),? respectively!", example.messages[0].text)
        assert told, example.messages[0].text
        who, at = (re.split(r", | and ", part) for part in told.groups())
        assert [c.arguments for c in example.calls] == [{"who": w, "at": int(a)} for w, a in zip(who, at, strict=True)]
    assert found > 10


def test_two_tools_share_the_values_that_are_said_once(tmp_path: Path) -> None:
    city = {"type": "string", "values": "city"}
    weather = tool(
        name="get_weather",
        parameters={"city": city, "unit": {"type": "string", "enum": ["metric", "imperial"]}},
        required=["city"],
        say=["what's the weather in {city}?", "weather report for {city}[, {unit}]"],
    )
    air = tool(name="get_air", parameters={"city": city}, required=["city"], say=["how clean is the air in {city}?"])
    mayor = tool(
        name="get_mayor",
        parameters={"city": {"type": "string", "values": ["Ann", "Bo"]}},
        required=["city"],
        say=["who is in charge of {city}?"],
    )
    flight = tool(
        name="fly",
        parameters={"city": city, "day": {"type": "string", "values": "day"}},
        required=["city", "day"],
        say=["book a flight for {city} on {day}"],
    )
    domain = load(tmp_path, weather, air, mayor, flight)
    texts: list[str] = []
    for seed in range(600):
        example = sharing(domain, domain.tools[seed % 4], random.Random(seed))
        if example is None:
            continue
        text = example.messages[0].text
        cities = list(dict.fromkeys(c.arguments["city"] for c in example.calls))
        assert all(text.count(name) == 1 for name in cities)
        first, *_, last = example.calls
        assert {first.name, last.name} <= {"get_weather", "get_air", "fly"} and first.name != last.name
        assert last.name != "fly" and "day" not in last.arguments  # nothing tells its day
        assert sum(c.name == last.name for c in example.calls) == len(cities)
        texts.append(re.sub("|".join(map(re.escape, cities)), "X", text))
    assert "what's the weather and how clean is the air in X?" in texts
    assert "how clean is the air as well as weather report in X?" in texts
    assert "weather report for X and how clean is the air?" in texts
    assert any(t.startswith("what's the weather in X and X? Also") for t in texts)


def test_two_tools_share_a_list_and_their_bounds(tmp_path: Path) -> None:
    numbers = {"type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 5, "values": "digits 1..90"}
    mean = tool(name="mean", parameters={"values": numbers}, required=["values"], say=["what's the mean of {values}?"])
    few = {**numbers, "maxItems": 3}
    median = tool(
        name="median", parameters={"values": few}, required=["values"], say=["give me the median of {values}"]
    )
    domain = load(tmp_path, mean, median)
    examples = [e for s in range(300) if (e := sharing(domain, domain.tools[0], random.Random(s)))]
    assert len(examples) > 30
    for example in examples:
        first, second = example.calls
        assert (first.name, second.name) == ("mean", "median") and first.arguments == second.arguments
        assert len(second.arguments["values"]) == 3
        assert re.fullmatch(r"what's the mean of .*\? .*give me the median\.?", example.messages[0].text)
        assert unsupported(example) is None


@pytest.mark.parametrize("make", [told_together, sharing])
def test_what_the_library_tells_together_fits_its_schemas_and_is_said(make: Make) -> None:
    domains = [
        load_domain(FOLDER / f"{name}.yaml") for name in ("weather", "statistics", "loans_mortgages", "online_store")
    ]
    drawn = [make(d, t, random.Random(s)) for d in domains for t in d.tools for s in range(40)]
    examples = [e for e in drawn if e is not None]
    assert len(examples) > 200
    for example in examples:
        tools = {t.name: t.parameters for t in example.tools}
        assert len({str(call) for call in example.calls}) == len(example.calls) > 1
        for call in example.calls:
            Draft202012Validator(tools[call.name]).validate(call.arguments)
        # A number by meaning ("at noon") is not found in digits.
        assert unsupported(example) in (None, "number not said"), (example.messages, example.calls)


AREA = {
    "name": "area",
    "parameters": {
        "length": {"type": "number", "values": "digits 10..99"},
        "width": {"type": "number", "values": "digits 100..999"},
    },
    "required": ["length", "width"],
    "say": [
        "what's the area of {length} by {width}?",
        "total area of {length} by {width}",
        "I sleep in {length} by {width}",
    ],
}


def test_cases_are_told_one_by_one(tmp_path: Path) -> None:
    domain = load(tmp_path, tool(**AREA))
    texts, same = [], 0
    for seed in range(1500):
        example = told_together(domain, domain.tools[0], random.Random(seed))
        if example is None or "length" not in example.messages[0].text:
            continue
        text, calls = example.messages[0].text, example.calls
        texts.append(text)
        assert re.search(r"(?i)area (for|in) ", text) or "area: " in text.lower()
        assert not text.startswith("I sleep")
        for call, following in zip(calls, [*calls[1:], None], strict=True):
            kept = [n for n in call.arguments if following and following.arguments[n] == call.arguments[n]]
            assert text.count("the same") >= len(kept) and len(kept) < 2
            same += len(kept)
        for name in ("length", "width"):
            values = list(dict.fromkeys(str(c.arguments[name]) for c in calls))
            places = [m.start() for v in values for m in re.finditer(rf"\b{v}\b", text)]
            assert len(places) == len(values) and sorted(places) == places, text
    assert len(texts) > 50 and same > 5
    for start in (
        "The first ",
        "I have two cases. The first ",
        "What's the area for these three: ",
        "Total area for each of these: 1) ",
    ):
        assert any(t.startswith(start) for t in texts), start
    assert any(" a length of " in t and " a width of " in t for t in texts)


def test_the_same_is_to_be_done_again(tmp_path: Path) -> None:
    place = {"type": "string", "values": ["Rome", "Oslo", "Lima", "Bonn", "Cork", "Bern"]}
    domain = load(
        tmp_path, tool(name="map", parameters={"place": place}, required=["place"], say=["print a map for {place}"])
    )
    texts = {e.messages[0].text for s in range(400) if (e := told_together(domain, domain.tools[0], random.Random(s)))}
    for link in (", then do the same for ", ". Do the same for ", ", followed by one for ", ", and finally for "):
        assert any(re.fullmatch(rf"print a map for \w+(, for \w+)*{link}\w+\.?", t) for t in texts), link


def test_short_numbers_may_stand_close(tmp_path: Path) -> None:
    number = {"type": "integer", "values": "digits 1..99"}
    domain = load(tmp_path, tool(name="root", parameters={"of": number}, required=["of"], say=["the root of {of}"]))
    texts = {e.messages[0].text for s in range(400) if (e := told_together(domain, domain.tools[0], random.Random(s)))}
    assert any(re.fullmatch(r"the root of \d+,\d+ and \d+", t) for t in texts)
