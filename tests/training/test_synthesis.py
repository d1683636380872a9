"""Synthesised requests: repeatable, valid, and every argument said in the text."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from model.types import Tool
from training.data.synthesis import Synthesiser, base_verb, compose, joined, lower_first, say_flag, verb_phrase
from training.data.values import LIST_FILES, MONTHS, SMALL_NUMBERS, Value, ValueMaker, listed_examples

LISTS = {
    kind: [f"{kind.replace('_', ' ')} {word}" for word in ("Alpha", "beta", "Gamma ray", "Delta-5")]
    for kind in LIST_FILES
}
LISTS |= {
    "first_name": ["Anna", "Björn"],
    "last_name": ["Smith", "O'Neil"],
    "city": ["Paris", "San Francisco", "Springfield"],
    "noun": ["lamp", "harbor"],
}
VALUES = ValueMaker(LISTS)


def tool(name: str, description: str, required: list[str], /, **properties: Any) -> Tool:
    return Tool(name, description, {"type": "object", "properties": properties, "required": required})


TOOLS = (
    tool(
        "get_weather",
        "Gets the current weather for a given city.",
        ["city"],
        city={"type": "string", "description": "City name"},
        unit={"type": "string", "enum": ["celsius", "fahrenheit", "KelvinScale"]},
        days={"type": "integer", "minimum": 1, "maximum": 14},
        hourly={"type": "boolean"},
    ),
    tool(
        "createInvoice",
        "This endpoint allows you to create an invoice.",
        ["customer_email", "amount", "due_date"],
        customer_email={"type": "string"},
        amount={"type": "number", "minimum": 0.5},
        due_date={"type": "string", "description": "Date in YYYY-MM-DD"},
        tags={"type": "array", "items": {"type": "string"}, "maxItems": 4},
        note={"type": "string"},
        language={"type": "string", "description": "Language of the text (e.g., German, Dutch, French)"},
    ),
    tool("search", "", ["query"], query={"type": "string"}, limit={"type": "integer"}, page={"type": "integer"}),
    tool(
        "calculateDistance",
        "Calculate the distance between two points",
        ["latitude", "longitude"],
        latitude={"type": "number"},
        longitude={"type": "number"},
        user_id={"type": "string", "maxLength": 8},
        phone={"type": "string"},
        url={"type": "string"},
        filename={"type": "string"},
        time={"type": "string"},
        ids={"type": "array", "items": {"type": "integer"}},
    ),
)


class Spy(ValueMaker):
    """Remembers the values that the last request drew."""

    def __init__(self, lists: Mapping[str, list[str]]) -> None:
        super().__init__(lists)
        self.drawn: list[tuple[str, Value]] = []

    def draw(self, name: str, schema: Mapping[str, Any], rng: random.Random) -> Value | None:
        value = super().draw(name, schema, rng)
        if value is not None:
            self.drawn.append((name, value))
        return value


def squeezed(text: str) -> str:
    return " ".join(text.lower().split())


@pytest.mark.parametrize("tool", TOOLS, ids=lambda t: t.name)
def test_every_argument_is_said(tool: Tool) -> None:
    values = Spy(LISTS)
    synthesiser = Synthesiser(values)
    validator = Draft202012Validator(tool.parameters)
    made = 0
    used: set[str] = set()
    for seed in range(300):
        values.drawn.clear()
        result = synthesiser.request(tool, random.Random(seed))
        if result is None:
            continue
        made += 1
        text, call = result
        assert call.name == tool.name
        validator.validate(call.arguments)
        assert list(call.arguments) == [name for name in tool.parameters["properties"] if name in call.arguments]
        used |= call.arguments.keys()
        for name, value in values.drawn:
            if name not in call.arguments:
                continue  # an item of a list, under the list's name in the singular
            spoken = squeezed(value.said)
            if value.kind != "flag":
                assert spoken in squeezed(text), (text, name, value)
        assert "{" not in text and "  " not in text
    assert made > 150
    assert used == tool.parameters["properties"].keys()


def supported(value: Any, text: str) -> bool:
    """Whether a value can be read out of the text by itself."""
    if isinstance(value, bool):
        return True
    if isinstance(value, list):
        return all(supported(item, text) for item in value)
    if isinstance(value, int | float):
        plain = text.replace(",", "")
        return str(value) in plain or 0 <= value <= 20 and SMALL_NUMBERS[int(value)] in text.lower()
    if len(value) == 10 and value[4] == value[7] == "-" and value not in text:
        year, month, day = value.split("-")
        return year in text and MONTHS[int(month) - 1][:3] in text and str(int(day)) in text
    return value.lower() in text.lower() or value == "KelvinScale" and "kelvin scale" in text.lower()


@pytest.mark.parametrize("tool", TOOLS, ids=lambda t: t.name)
def test_arguments_can_be_read_out_of_the_text(tool: Tool) -> None:
    synthesiser = Synthesiser(VALUES)
    for seed in range(300):
        result = synthesiser.request(tool, random.Random(seed))
        if result is not None:
            text, call = result
            assert all(supported(v, text) for v in call.arguments.values()), (text, call)


def test_flags_are_said_with_their_sense() -> None:
    seen = set()
    for seed in range(400):
        result = Synthesiser(VALUES).request(TOOLS[0], random.Random(seed))
        if result and "hourly" in result[1].arguments:
            text, value = result[0].lower(), result[1].arguments["hourly"]
            denied = any(word in text for word in ("without", "disabled", "false", "no hourly", ": no"))
            assert denied != value, result
            seen.add(value)
    assert seen == {True, False}


def test_a_seed_repeats_a_request() -> None:
    def requests(seed: int) -> list[Any]:
        rng = random.Random(seed)
        return [Synthesiser(VALUES).request(rng.choice(TOOLS), rng) for _ in range(50)]

    assert requests(1) == requests(1) != requests(2)


def test_required_parameters_are_always_there_and_optional_ones_sometimes() -> None:
    counts = set()
    for seed in range(200):
        result = Synthesiser(VALUES).request(TOOLS[1], random.Random(seed))
        if result:
            assert {"customer_email", "amount", "due_date"} <= result[1].arguments.keys()
            counts.add(len(result[1].arguments))
    assert counts == {3, 4, 5, 6}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {}},
        {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        {"type": "string", "pattern": "^x$"},
        {"type": "string", "minLength": 900},
        {"type": "integer", "multipleOf": 7},
        {"type": "array", "items": {"type": "object"}},
        {},
    ],
)
def test_what_a_short_request_cannot_fill_is_left_out(schema: dict[str, Any]) -> None:
    rng = random.Random(0)
    assert all(VALUES.draw("x", schema, rng) is None for _ in range(20))
    assert all(
        Synthesiser(VALUES).request(tool("get_it", "Get it now.", ["x"], x=schema), rng) is None for _ in range(20)
    )
    optional = [Synthesiser(VALUES).request(tool("get_it", "Get it now.", [], x=schema), rng) for _ in range(20)]
    assert any(optional) and all(made is None or made[1].arguments == {} for made in optional)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": 3, "maximum": 5},
        {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5},
        {"type": "number", "minimum": 0.25, "maximum": 0.75},
        {"type": "string", "minLength": 5, "maxLength": 12},
        {"type": "array", "items": {"type": "integer", "maximum": 9}, "minItems": 2, "maxItems": 2},
        {"enum": ["a", "b c", 3, 2.5]},
        {"type": "boolean"},
    ],
)
@pytest.mark.parametrize("name", ["x", "year", "limit", "age", "lat", "email", "date"])
def test_values_fit_their_schema(schema: dict[str, Any], name: str) -> None:
    rng = random.Random(0)
    drawn = [VALUES.draw(name, schema, rng) for _ in range(100)]
    for value in drawn:
        if value is not None:
            Draft202012Validator(schema).validate(value.value)


@pytest.mark.parametrize(
    "name", ["city", "email", "url", "phone", "filename", "user_id", "date", "time", "colour", "film", "x"]
)
def test_kinds_of_strings(name: str) -> None:
    rng = random.Random(0)
    values = [v for _ in range(60) if (v := VALUES.draw(name, {"type": "string"}, rng)) is not None]
    assert len({v.value for v in values}) > 3
    known = {
        "city": "place",
        "email": "email",
        "url": "url",
        "filename": "file",
        "user_id": "identifier",
        "date": "date",
    }
    if name in known:
        assert {v.kind for v in values} == {known[name]}


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("The language (e.g., German, Dutch or French).", ["German", "Dutch", "French"]),
        ("One mode, such as 'on', 'off' and 'auto'.", ["on", "off", "auto"]),
        ("Just a mode", []),
        ("e.g. etc.", []),
    ],
)
def test_examples_of_a_description(description: str, expected: list[str]) -> None:
    assert listed_examples(description) == expected


@pytest.mark.parametrize(
    ("word", "verb"), [("gets", "get"), ("searches", "search"), ("applies", "apply"), ("list", "list"), ("blue", None)]
)
def test_base_verb(word: str, verb: str | None) -> None:
    assert base_verb(word) == verb


def test_a_tool_that_says_nothing_has_no_phrase() -> None:
    rng = random.Random(0)
    assert all(verb_phrase(Tool("x7", ""), rng) is None for _ in range(20))
    assert all("weather" in (verb_phrase(TOOLS[0], rng) or "") for _ in range(20))


def test_compose_joins_texts_and_calls_in_order() -> None:
    for seed in range(30):
        rng = random.Random(seed)
        made = [Synthesiser(VALUES).example("g", TOOLS[k % 2], rng) for k in range(3)]
        several = [e for e in made if e is not None]
        if len(several) < 2:
            continue
        joint = compose(several, rng)
        assert joint.calls == tuple(c for e in several for c in e.calls)
        assert [t.name for t in joint.tools] == list(dict.fromkeys(t.name for e in several for t in e.tools))
        text = joint.messages[-1].text.lower()
        places = [text.index(e.messages[-1].text.rstrip(" .").lower()) for e in several]
        assert places == sorted(places)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda t: t.name)
def test_one_tool_is_called_with_several_values(tool: Tool) -> None:
    made = [e for seed in range(200) if (e := Synthesiser(VALUES).enumerated("g", tool, random.Random(seed)))]
    assert len(made) > 20
    validator = Draft202012Validator(tool.parameters)
    for example in made:
        arguments = [call.arguments for call in example.calls]
        assert len(arguments) >= 2 and {call.name for call in example.calls} == {tool.name}
        differing = [name for name in arguments[0] if len({str(a[name]) for a in arguments}) > 1]
        assert 1 <= len(differing) <= 2
        for values in arguments:
            validator.validate(values)
            assert values.keys() == arguments[0].keys()
            assert all(supported(value, example.messages[-1].text) for value in values.values())


@pytest.mark.parametrize(
    ("text", "expected"), [("Get", "get"), ("I want", "I want"), ("URL", "URL"), ("A", "a"), ("", "")]
)
def test_lower_first(text: str, expected: str) -> None:
    assert lower_first(text) == expected


def test_some_requests_are_told_one_by_one() -> None:
    said = {joined([("Book a room", False), ("call Bob", False)], random.Random(seed)) for seed in range(600)}
    assert {"1. Book a room\n2. call Bob", "(1) Book a room (2) call Bob", "- Book a room\n- call Bob"} <= said
    assert "First, book a room. Second, call Bob." in said
    assert any(text.startswith("Please do the following:\n* Book a room") for text in said)
    three = {joined([("Is it on?", False), ("Go", False), ("Stop", False)], random.Random(s)) for s in range(600)}
    assert "First, is it on? Then go. After that, stop." in three


@pytest.mark.parametrize(
    ("name", "value", "said", "never"),
    [
        ("include_human_impact", True, {"including human impact", "human impact included"}, "without"),
        ("includeOwner", False, {"without owner", "excluding owner"}, "including"),
        ("exclude_drafts", True, {"without drafts", "but leave out the drafts"}, "with drafts"),
        ("exclude_drafts", False, {"including drafts", "with drafts as well"}, "without"),
        ("use_cache", True, {"using cache", "and use cache"}, "without"),
        ("verbose", True, {"verbose: yes", "with verbose enabled"}, "without"),
    ],
)
def test_a_flag_is_said_by_what_its_name_brings_or_leaves_out(
    name: str, value: bool, said: set[str], never: str
) -> None:
    texts = {say_flag(name, value, random.Random(seed)) for seed in range(300)}
    plain = {t for t in texts if " ".join(name.split("_")) not in t or name == "verbose"}
    assert said <= texts and not any(t.startswith(never) for t in plain), texts
