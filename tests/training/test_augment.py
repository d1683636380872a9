"""Variants of declarations: other words, the same meaning."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from model.prompt import dumps
from model.types import Message, Tool, ToolCall
from training.data.augment import SYNONYMS, Variant, make_variant, ordered
from training.data.example import Call, Example
from training.data.sources.naming import words

TEXT = {"type": "string"}


def thing(properties: dict[str, Any], *required: str, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), **more}


SHIP = Tool(
    "ship_order",
    "Ship an order. It leaves at once (or never), e.g. today.",
    thing(
        {
            "address": thing(
                {"city": {**TEXT, "description": "Town. In capitals."}, "start_date": TEXT}, "city", description="Where"
            ),
            "order_items": {
                "type": "array",
                "items": thing({"title": TEXT, "max_price": {"type": "number"}}, "title"),
                "description": "What",
            },
            "speed": {**TEXT, "enum": ["slow", "fast"], "default": "slow", "description": "How fast"},
            "quantity": {"type": "integer", "default": 1},
            "lines": {"type": "array", "items": TEXT, "default": []},
        },
        "address",
        "order_items",
    ),
)
FIND = Tool(
    "find_order",
    "Find orders.",
    thing({"query": TEXT, "limit": {"type": "integer"}, "max_results": {"type": "integer"}}, "query"),
)
PING = Tool("ping", "", {"type": "object", "properties": {}, "required": []})
TOOLS = (SHIP, FIND, PING)
ARGUMENTS = {
    "address": {"city": "OSLO", "start_date": "2026-01-02"},
    "order_items": [{"title": "tea", "max_price": 3.5}, {"title": "cup"}],
    "speed": "fast",
    "lines": ["title", "city"],
}
EXAMPLE = Example(
    "scenarios",
    "scenario:shop",
    (
        Message("user", "find tea, then ping"),
        Message("assistant", "", (ToolCall("find_order", dumps({"query": "tea", "limit": 2, "max_results": 3})),)),
        Message("tool", '{"city":"OSLO"}', name="find_order"),
        Message("tool", "{}", name="of another family"),
        Message("user", "ship it"),
    ),
    (FIND, SHIP, PING),
    (Call("ship_order", ARGUMENTS), Call("ping", {})),
)


def variants(count: int = 120) -> Iterator[Variant]:
    for number in range(1, count + 1):
        yield make_variant(TOOLS, number, "shop", random.Random(number))


def flat(schema: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Every property of a schema, those inside objects and lists too, by its path."""
    found = {}
    for name, inner in schema["properties"].items():
        found[f"{path}{name}"] = inner
        for deeper in (inner, inner.get("items", {})):
            if "properties" in deeper:
                found |= flat(deeper, f"{path}{name}.")
    return found


def restored(value: Any, names: Mapping[str, Any]) -> Any:
    """`value` with its names mapped back, by the variant's own table read backwards."""
    if isinstance(value, list):
        return [restored(v, names) for v in value]
    if not isinstance(value, dict):
        return value
    back = {new: (old, inner) for old, (new, inner, _) in names.items()}
    assert len(back) == len(names)
    return {back[n][0]: restored(v, back[n][1]) for n, v in value.items()}


def test_variant_0_is_the_family_as_it_was_written() -> None:
    variant = make_variant(TOOLS, 0, "shop", random.Random(5))
    assert variant.tools == {t.name: t for t in TOOLS}
    rewritten = variant.rewrite(EXAMPLE)
    assert rewritten.group == "scenario:shop#0"
    assert rewritten == Example(EXAMPLE.source, "scenario:shop#0", EXAMPLE.messages, EXAMPLE.tools, EXAMPLE.calls)
    assert dumps(rewritten.calls[0].arguments) == dumps(ARGUMENTS)


def test_mapped_back_a_rewritten_call_is_the_original() -> None:
    for variant in variants():
        rewritten = variant.rewrite(EXAMPLE)
        old = {each.tool.name: (name, each.names) for name, each in variant.renamed.items()}
        calls = [Call(old[c.name][0], restored(c.arguments, old[c.name][1])) for c in rewritten.calls]
        assert tuple(calls) == EXAMPLE.calls
        [history] = rewritten.messages[1].tool_calls
        name, names = old[history.name]
        assert (name, restored(json.loads(history.arguments), names)) == (
            "find_order",
            {"query": "tea", "limit": 2, "max_results": 3},
        )


def test_rewritten_calls_fit_the_new_schemas_in_the_order_of_their_properties() -> None:
    for variant in variants():
        rewritten = variant.rewrite(EXAMPLE)
        schemas = {t.name: t.parameters for t in rewritten.tools}
        history = rewritten.messages[1].tool_calls[0]
        for call in (*rewritten.calls, Call(history.name, json.loads(history.arguments))):
            schema = schemas[call.name]
            Draft202012Validator.check_schema(schema)
            Draft202012Validator(schema).validate(call.arguments)
            assert dumps(call.arguments) == dumps(ordered(call.arguments, schema))
            assert list(call.arguments) == [p for p in schema["properties"] if p in call.arguments]


def test_texts_roles_results_and_the_order_of_tools_stay() -> None:
    for variant in variants(40):
        rewritten = variant.rewrite(EXAMPLE)
        assert rewritten.group == f"scenario:shop#{variant.number}"
        assert [(m.role, m.text) for m in rewritten.messages] == [(m.role, m.text) for m in EXAMPLE.messages]
        assert rewritten.messages[2].name == variant.tools["find_order"].name
        assert rewritten.messages[3].name == "of another family"
        assert list(rewritten.tools) == [variant.tools[t.name] for t in EXAMPLE.tools]


def test_what_a_schema_demands_stays_whatever_its_names() -> None:
    for variant in variants():
        for tool in TOOLS:
            new = variant.renamed[tool.name]
            old_required = [new.names[r][0] for r in tool.parameters["required"]]
            assert new.tool.parameters["required"] == old_required
            assert len(flat(new.tool.parameters)) == len(flat(tool.parameters))
            kinds = sorted(s["type"] for s in flat(tool.parameters).values())
            assert sorted(s["type"] for s in flat(new.tool.parameters).values()) == kinds


def test_names_stay_unique_though_synonyms_meet() -> None:
    """`limit` and `max_results` are each other's synonyms."""
    swapped = set()
    for variant in variants(300):
        names = list(variant.tools["find_order"].parameters["properties"])
        assert len(names) == len(set(names)) == 3
        swapped.add(frozenset("_".join(words(n)) for n in names))
    assert {"top_k", "num_results"} <= set().union(*swapped)
    assert len(swapped) > 5


def test_names_inside_objects_and_lists_are_renamed_too() -> None:
    inside = {
        path.rpartition(".")[2] for v in variants() for path in flat(v.tools["ship_order"].parameters) if "." in path
    }
    assert {"city", "location", "city_name", "cityName", "startDate", "from_date", "dateFrom"} <= inside  # objects
    assert {"title", "heading", "maxPrice", "price_limit", "highestPrice"} <= inside  # items of a list


def test_every_style_of_names_occurs_for_the_whole_family() -> None:
    forms = {
        "snake": r"[a-z]+(_[a-z]+)*",
        "camel": r"[a-z]+([A-Z][a-z]+)*",
        "pascal": r"([A-Z][a-z]+)+",
        "kebab": r"[a-z]+(-[a-z]+)*",
        "dotted": r"shop\.[a-z_]+",
    }
    seen = set()
    for variant in variants():
        names = [t.name for t in variant.tools.values()]
        fitting = [form for form, pattern in forms.items() if all(re.fullmatch(pattern, n) for n in names)]
        assert len(fitting) == 1, names
        seen |= set(fitting)
        if fitting[0] in ("camel", "pascal"):
            assert not any("_" in name for t in variant.tools.values() for name in flat(t.parameters))
    assert seen == set(forms)


def test_an_enum_and_a_default_are_in_the_schema_or_in_prose() -> None:
    prose = {"enum": 0, "default": 0}
    for variant in variants(300):
        new = variant.renamed["ship_order"]
        speed = new.tool.parameters["properties"][new.names["speed"][0]]
        quantity = new.tool.parameters["properties"][new.names["quantity"][0]]
        said = speed.get("description", "")
        assert ("enum" in speed) != ("One of: slow, fast" in said)
        assert ("default" in speed) != ('(default: "slow")' in said)
        assert ("default" in quantity) != ("(default: 1)" in quantity.get("description", ""))
        assert speed.get("enum", ["slow", "fast"]) == ["slow", "fast"] and speed.get("default", "slow") == "slow"
        prose["enum"] += "enum" not in speed
        prose["default"] += "default" not in speed
    assert all(15 < count < 150 for count in prose.values())


def test_descriptions_are_kept_cut_or_dropped() -> None:
    tools = {v.tools["ship_order"].description for v in variants(200)}
    assert tools == {SHIP.description, "Ship an order.", ""}
    towns = set()
    for variant in variants(200):
        address, inner, _ = variant.renamed["ship_order"].names["address"]
        name = inner["city"].new
        schema = variant.tools["ship_order"].parameters["properties"][address]["properties"][name]
        assert schema.get("description") != ""
        towns.add(schema.get("description"))
    assert towns == {"Town. In capitals.", "Town.", None}


def test_parameters_come_in_other_orders() -> None:
    orders = set()
    for variant in variants():
        new = variant.renamed["ship_order"]
        back = {n: old for old, (n, *_) in new.names.items()}
        orders.add(tuple(back[n] for n in new.tool.parameters["properties"]))
    assert tuple(SHIP.parameters["properties"]) in orders and len(orders) > 10


def test_a_seed_repeats_a_variant() -> None:
    for number in (1, 2, 3):
        one, other = (make_variant(TOOLS, number, "shop", random.Random(9)) for _ in range(2))
        assert one == other
    assert make_variant(TOOLS, 1, "shop", random.Random(1)) != make_variant(TOOLS, 1, "shop", random.Random(2))


def test_the_declarations_given_are_not_changed() -> None:
    before = dumps([t.parameters for t in TOOLS])
    for variant in variants(60):
        variant.rewrite(EXAMPLE)
    assert dumps([t.parameters for t in TOOLS]) == before
    assert dumps(ARGUMENTS) == dumps(EXAMPLE.calls[0].arguments)


def test_two_tools_never_end_up_with_one_name() -> None:
    pair = (Tool("find_item", "", PING.parameters), Tool("findItem", "", PING.parameters))
    for seed in range(60):
        tools = make_variant(pair, 1, "shop", random.Random(seed)).tools
        assert len({t.name for t in tools.values()}) == 2


def test_a_long_name_stays_within_64_signs() -> None:
    long = (Tool("very_" * 12 + "long", "", PING.parameters),)
    for seed in range(40):
        [tool] = make_variant(long, 1, "a_long_domain", random.Random(seed)).tools.values()
        assert len(tool.name) <= 64


def test_no_synonym_is_the_name_itself() -> None:
    for name, others in SYNONYMS.items():
        assert name not in others and len(set(others)) == len(others)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"b": 1, "a": 2}, {"a": 2, "b": 1}),
        ({"z": 0, "b": 1, "a": 2}, {"a": 2, "b": 1, "z": 0}),  # what is not declared comes last
        ({"c": {"y": 1, "x": 2}, "a": 3}, {"a": 3, "c": {"x": 2, "y": 1}}),
        ({"d": [{"y": 1, "x": 2}, 5]}, {"d": [{"x": 2, "y": 1}, 5]}),
        ([1], [1]),
        (None, None),
    ],
)
def test_ordered_follows_the_schema(value: Any, expected: Any) -> None:
    inner = thing({"x": TEXT, "y": TEXT})
    schema = thing({"a": TEXT, "b": TEXT, "c": inner, "d": {"type": "array", "items": inner}})
    assert dumps(ordered(value, schema)) == dumps(expected)


LOAN = Tool(
    "loan_cost",
    "What a loan costs.",
    thing(
        {
            "annual_rate": {"type": "number", "minimum": 0, "maximum": 30, "description": "Interest in percent a year"},
            "down_pct": {"type": "integer", "default": 20, "description": "Paid at once, in percent"},
            "years": {"type": "integer"},
        },
        "annual_rate",
    ),
)


def loans() -> list[tuple[Variant, dict[str, Any]]]:
    """Variants of one tool, each with the declarations of what were `annual_rate` and `down_pct`."""
    found = []
    for seed in range(300):
        variant = make_variant([LOAN], 1, "bank", random.Random(seed))
        [declared] = variant.tools.values()
        names = variant.renamed["loan_cost"].names
        found.append((variant, {n: declared.parameters["properties"][names[n].new] for n in names}))
    return found


def says_percent(variant: Variant, name: str, declared: dict[str, Any]) -> bool:
    new = variant.renamed["loan_cost"].names[name].new
    return bool(re.search("percent|pct|%", f"{new} {declared.get('description', '')}", re.I))


def test_what_no_longer_says_percent_is_a_share_of_one() -> None:
    told = Message("user", "3 years at 4.5%, and 10 percent at once")
    seen = Counter[tuple[str, bool]]()
    for variant, properties in loans():
        example = Example("s", "bank", (told,), (LOAN,), (Call("loan_cost", {"annual_rate": 4.5, "down_pct": 10}),))
        assert variant.fits(example)
        [call] = variant.rewrite(example).calls
        Draft202012Validator(variant.rewrite(example).tools[0].parameters).validate(call.arguments)
        names = variant.renamed["loan_cost"].names
        for name, percent, share in (("annual_rate", 4.5, 0.045), ("down_pct", 10, 0.1)):
            value = call.arguments[names[name].new]
            assert value == (share if names[name].share else percent)
            if name == "annual_rate":
                assert names[name].share != says_percent(variant, name, properties[name])
                assert properties[name]["maximum"] == (0.3 if names[name].share else 30)
            elif names[name].share:
                assert not says_percent(variant, name, properties[name]) or "5%" in properties[name]["description"]
                assert properties[name]["type"] == "number" and properties[name].get("default", 0.2) == 0.2
            seen[name, names[name].share] += 1
    assert min(seen[n, s] for n in ("annual_rate", "down_pct") for s in (True, False)) > 30


@pytest.mark.parametrize(
    ("said", "fits"),
    [
        ("at 4.5%", True),
        ("at 4.5 percent", True),
        ("four and a half percent", True),
        ("at 4.5", False),
        ("at 4.5% for 4.5 years", False),
        ("14.5 is not it, 4.5 pct is", True),
    ],
)
def test_a_share_is_said_as_a_percentage(said: str, fits: bool) -> None:
    example = Example("s", "bank", (Message("user", said),), (LOAN,), (Call("loan_cost", {"annual_rate": 4.5}),))
    shares = [v for v, _ in loans() if v.renamed["loan_cost"].names["annual_rate"].share]
    assert shares and {v.fits(example) for v in shares} == {fits}
    assert make_variant([LOAN], 0, "bank", random.Random(0)).fits(example)
