"""The contract report: what becomes of every keyword, all refusals at once, and nothing but the truth about them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.contract import ContractChecker, Refusal, ToolContract, keyword_table
from model.schema import ANNOTATIONS, ENFORCED, FORMATS, REFUSED, UNENFORCED_FORMATS
from model.schema.record import MAX_REFUSALS
from model.types import Tool
from tests.model import schema_strategies as s
from tests.model.hostile import checker as small_checker
from tests.model.test_conformance import STEADY

PARAM = "tools[3]"
SCHEMA = "tools[3].function.parameters"


@pytest.fixture(scope="module")
def checker() -> ContractChecker:
    """With a small vocabulary and a limit of 512 tokens."""
    return small_checker()


@pytest.fixture
def check(checker: ContractChecker) -> Any:
    def check(parameters: Any, description: str = "") -> ToolContract:
        return checker.check(Tool("t", description, parameters), PARAM, SCHEMA)

    return check


def fates(contract: ToolContract) -> dict[str, str]:
    """`properties.a minLength` to status and note, by path below the parameters."""
    return {
        f"{k.path.removeprefix(SCHEMA).removeprefix('.')} {k.keyword}".strip(): f"{k.status}: {k.note}".rstrip(": ")
        for k in contract.keywords
    }


# A tool that can be served -------------------------------------------------------------------------------------------


def test_a_tool_that_can_be_served(check: Any) -> None:
    contract = check(
        {
            "type": "object",
            "title": "Weather",
            "properties": {
                "city": {"type": "string", "description": "Name", "minLength": 1, "format": "city"},
                "days": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 10**19,
                    "minLength": 3,
                    "default": 1,
                    "x-order": 2,
                },
                "units": {"type": "array", "items": {"enum": ["C", "F"]}, "maxItems": 10**6, "nullable": True},
                "box": {"$ref": "#/$defs/box", "$comment": "as given"},
            },
            "required": ["city"],
            "$defs": {
                "box": {"type": "object", "additionalProperties": {"type": "number"}, "properties": {"w": {}}},
                "old": {"not": {}},
            },
        },
        "Current weather of a city.",
    )
    assert contract.servable and contract.complete and contract.refusals == ()
    assert fates(contract) == {
        "type": "enforced",
        "title": "ignored: constrains nothing",
        "properties": "enforced: no other names: `additionalProperties` is not given",
        "required": "enforced",
        "$defs": "enforced: not referred to, and so not looked at: old",
        "properties.city type": "enforced",
        "properties.city description": "ignored: read by the model; constrains nothing",
        "properties.city minLength": "enforced",
        "properties.city format": "ignored: not a format of JSON Schema: an annotation",
        "properties.days type": "enforced",
        "properties.days minimum": "enforced",
        "properties.days maximum": "enforced: tightened to `maximum` 9223372036854774784",
        "properties.days minLength": "ignored: constrains strings, which the type excludes",
        "properties.days default": "ignored: read by the model; constrains nothing",
        "properties.days x-order": "ignored: not a keyword of JSON Schema",
        "properties.units type": "enforced",
        "properties.units items": "enforced",
        "properties.units maxItems": "enforced: tightened to 100000",
        "properties.units nullable": "enforced",
        "properties.units.items enum": "enforced",
        "properties.box $ref": "enforced",
        "properties.box $comment": "ignored: constrains nothing",
        "$defs.box type": "enforced",
        "$defs.box additionalProperties": "enforced",
        "$defs.box.additionalProperties type": "enforced",
        "$defs.box properties": "enforced",
    }


def test_what_it_costs(check: Any) -> None:
    small, large = check({}), check({"properties": {f"name_{i}": {"enum": ["a", "b"]} for i in range(40)}})
    assert small.tokens < large.tokens <= large.max_tokens == 512
    assert 0 < small.grammar_bytes < large.grammar_bytes
    assert small.compile_ms > 0 and large.compile_ms > 0


@pytest.mark.parametrize("parameters", [{}, {"type": "object"}, {"type": "object", "properties": {}}])
def test_a_tool_without_arguments(parameters: Any, check: Any) -> None:
    contract = check(parameters)
    assert contract.servable
    assert set(fates(contract)) == set(parameters)  # what the client wrote, and nothing that we put in its place


@pytest.mark.parametrize(
    "schema, keyword, fate",
    [
        ({"type": "any"}, "type", "enforced"),
        ({"type": "string", "minLength": None}, "minLength", "ignored: null means absent"),
        (
            {"type": "array", "additionalItems": {}},
            "additionalItems",
            "ignored: constrains nothing without an array of `items`",
        ),
        ({"type": "object", "discriminator": {}}, "discriminator", "ignored: constrains nothing without `oneOf`"),
        ({"type": "integer", "format": "int32"}, "format", "ignored: constrains strings, which the type excludes"),
        (
            {"type": "number", "exclusiveMinimum": 2**55},
            "exclusiveMinimum",
            "enforced: tightened to `minimum` 3.60287970189641e+16",
        ),
        ({"type": "integer", "minimum": 1, "exclusiveMinimum": True}, "exclusiveMinimum", "enforced"),
        ({"allOf": [{"type": "string"}], "deprecated": True}, "deprecated", "ignored: constrains nothing"),
    ],
)
def test_a_keyword(schema: Any, keyword: str, fate: str, check: Any) -> None:
    contract = check({"type": "object", "properties": {"a": schema}})
    assert contract.servable
    assert fates(contract)[f"properties.a {keyword}"] == fate


def test_a_definition_that_is_read_in_two_ways_is_reported_once(check: Any) -> None:
    base = {"type": "object", "properties": {"x": {"type": "string"}}}
    contract = check(
        {
            "type": "object",
            "properties": {"alone": {"$ref": "#/$defs/base"}, "more": {"allOf": [{"$ref": "#/$defs/base"}, {}]}},
            "$defs": {"base": base},
        }
    )
    assert contract.servable
    assert len({(k.path, k.keyword) for k in contract.keywords}) == len(contract.keywords)
    assert fates(contract)["$defs.base properties"].startswith("enforced")


# Refusals ------------------------------------------------------------------------------------------------------------

FAULTS: dict[str, tuple[Any, list[str]]] = {
    "not": ({"not": {"type": "null"}, "if": {}}, [".not", ".if"]),
    "type": ({"type": "strin", "minLength": -1}, [".type", ".minLength"]),
    "numbers": (
        {"type": "integer", "minimum": "1", "maximum": [], "multipleOf": 0},
        [".minimum", ".maximum", ".multipleOf"],
    ),
    "enum": ({"enum": []}, [".enum"]),
    "constant": ({"enum": ["a", 2**53 + 1]}, [".enum[1]"]),
    "items": (
        {"type": "array", "items": {"type": "array", "uniqueItems": True, "items": {"not": {}}}},
        [".items.items.not", ".items.uniqueItems"],
    ),
    "pattern": ({"type": "string", "pattern": "(?=a)", "format": "iri"}, [".pattern", ".format"]),
    "anchor": ({"type": "array", "items": {"type": "string", "pattern": "a^"}}, [".items.pattern"]),
    "oneOf": ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, [".oneOf"]),
    "options": ({"oneOf": [{"type": "integer"}, {"type": "number", "not": {}}]}, [".oneOf[1].not"]),
    "reference": ({"$ref": "#/$defs/none"}, [".$ref"]),
    "no schema": ({"type": "array", "items": 5}, [".items"]),
    "object": (
        {"type": "object", "required": True, "properties": [], "minProperties": "2"},
        [".properties", ".required", ".minProperties"],
    ),
    "names": ({"type": "object", "propertyNames": {"maxLength": 3}}, [".propertyNames"]),
    "names by pattern": (
        {"type": "object", "patternProperties": {"a": {"type": "null"}, "(?=b)": {}}},
        [".patternProperties.(?=b)"],
    ),
    "overlap": ({"type": "object", "patternProperties": {"^a": {}, "b$": {}}}, [".patternProperties"]),
    "fine": ({"type": "string", "maxLength": 5}, []),
    "fine, too": ({"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/word"}]}, []),
    "recursive": ({"$ref": "#/$defs/node"}, []),
}
DEFINITIONS = {
    "word": {"type": "string", "pattern": "^[a-z]+$"},
    "node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}},
}


def tool_of(names: list[str]) -> dict[str, Any]:
    properties = {f"p{i}": FAULTS[name][0] for i, name in enumerate(names)}
    return {"type": "object", "properties": properties, "$defs": DEFINITIONS}


@STEADY
@given(names=st.lists(st.sampled_from(list(FAULTS)), max_size=6))
def test_all_faults_are_found(names: list[str], checker: ContractChecker) -> None:
    """Whatever a tool's parameters are, it has exactly the faults that each of them has alone."""
    contract = checker.check(Tool("t", "", tool_of(names)), PARAM, SCHEMA)
    expected = [f"{SCHEMA}.properties.p{i}{place}" for i, name in enumerate(names) for place in FAULTS[name][1]]
    assert sorted(refusal.param for refusal in contract.refusals) == sorted(expected)
    assert contract.complete
    assert contract.servable is not expected
    assert all(refusal.message for refusal in contract.refusals)


def test_faults_in_definitions_are_found_once(check: Any) -> None:
    contract = check(
        {
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/tree"}, "b": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
            "$defs": {
                "tree": {
                    "type": "object",
                    "properties": {
                        "left": {"$ref": "#/$defs/tree"},
                        "name": {"type": "string", "pattern": "a^"},
                        "leaf": {"$ref": "#/$defs/leaf"},
                    },
                },
                "leaf": {"not": {}, "type": "string", "pattern": "(?!x)"},
            },
        }
    )
    assert [refusal.param.removeprefix(SCHEMA) for refusal in contract.refusals] == [
        ".$defs.leaf.not",
        ".$defs.leaf.pattern",
        ".$defs.tree.properties.name.pattern",
    ]


def test_refused_keywords_have_their_reason(check: Any) -> None:
    contract = check(tool_of(["not", "fine", "anchor"]))
    found = fates(contract)
    assert found["properties.p0 not"] == "refused: The keyword 'not' cannot be enforced."
    assert found["properties.p1 maxLength"] == "enforced"
    assert found["properties.p2 type"] == "enforced"
    assert found["properties.p2.items pattern"].startswith("refused: The schema cannot be enforced: ")
    assert contract.compile_ms is None and contract.grammar_bytes is None
    assert contract.tokens is not None


@pytest.mark.parametrize("keyword", REFUSED)
def test_every_refused_keyword_has_a_remedy(keyword: str, check: Any) -> None:
    contract = check({"type": "object", "properties": {"a": {keyword: {}}}})
    [refusal] = contract.refusals
    assert refusal == Refusal(
        f"{SCHEMA}.properties.a.{keyword}", keyword, f"The keyword {keyword!r} cannot be enforced.", REFUSED[keyword]
    )


@pytest.mark.parametrize("name", [name for name, (_, places) in FAULTS.items() if places and name != "no schema"])
def test_faults_have_remedies(name: str, check: Any) -> None:
    assert all(refusal.remedy for refusal in check(tool_of([name])).refusals)


def test_a_tool_that_is_too_long(check: Any) -> None:
    contract = check({"type": "object", "properties": {"a": {"not": {}}}}, "many words " * 600)
    assert [(refusal.param, refusal.keyword) for refusal in contract.refusals] == [
        (f"{SCHEMA}.properties.a.not", "not"),
        (PARAM, None),
    ]
    assert contract.tokens > 512
    assert f"{contract.tokens} tokens" in contract.refusals[1].message and contract.refusals[1].remedy


@pytest.mark.parametrize("parameters", [[], {"const": float("inf")}, {"a": "\ud800"}])
def test_what_is_no_schema_at_all(parameters: Any, check: Any) -> None:
    contract = check(parameters)
    assert contract.tokens is None and contract.keywords == () and contract.complete is False
    assert [refusal.param for refusal in contract.refusals] == [SCHEMA]


def test_too_many_refusals_are_cut(check: Any) -> None:
    contract = check({"type": "object", "properties": {f"p{i}": {"not": {}} for i in range(200)}})
    assert not contract.complete
    assert len([refusal for refusal in contract.refusals if refusal.keyword == "not"]) == MAX_REFUSALS


def test_a_schema_beyond_the_limits_is_not_compiled(check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.grammar.GrammarCompiler.inspect", lambda *_: pytest.fail("compiled"))
    patterns = [{"type": "string", "pattern": f"a.{{{i}}}b"} for i in range(30)]
    contract = check({"type": "object", "properties": {"a": {"allOf": patterns}}})
    assert "8 patterns" in contract.refusals[0].message


# Truth ---------------------------------------------------------------------------------------------------------------


@st.composite
def junk(draw: st.DrawFn) -> dict[str, Any]:
    """Parameters with keywords in places where they do not belong, and values that they do not have."""
    keyword = st.sampled_from([*ENFORCED, *REFUSED, *ANNOTATIONS, "x-any"])
    part = st.dictionaries(keyword, st.one_of(s.values, s.leaves, st.lists(s.leaves, max_size=2)), max_size=4)
    properties = draw(st.dictionaries(st.sampled_from(s.NAMES), st.one_of(part, s.schemas), max_size=4))
    defs = draw(st.one_of(s.definitions(), st.just({"leaf": {"enum": 5}, "node": [{}]})))
    return {"type": "object", "properties": properties, "$defs": defs, **draw(st.one_of(st.just({}), part))}


@settings(STEADY, max_examples=300)
@given(parameters=junk())
def test_whatever_is_declared_there_is_a_report(parameters: Any, checker: ContractChecker) -> None:
    contract = checker.check(Tool("t", "", parameters), PARAM, SCHEMA)
    assert contract.servable is (not contract.refusals) is (contract.compile_ms is not None)
    assert all(refusal.param.startswith(PARAM) for refusal in contract.refusals)
    assert not contract.servable or all(k.status != "refused" for k in contract.keywords)
    for k in contract.keywords:
        if k.keyword in REFUSED:
            assert k.status == "refused"
        elif k.keyword not in ENFORCED:
            assert k.status == "ignored"


# The docs ------------------------------------------------------------------------------------------------------------


def test_the_table_has_every_keyword_and_format_once() -> None:
    table = keyword_table()
    rows = re.findall(r"^\| `([^`]+)` \| (\w+) \|(.*)\|$", table, re.MULTILINE)
    assert [name for name, fate, _ in rows if fate == "enforced"] == list(ENFORCED)
    assert [name for name, fate, _ in rows if fate == "refused"] == list(REFUSED)
    assert not any("|" in rest for _, _, rest in rows)
    after = table[table.rindex("|\n") :]
    assert all(f"`{name}`" in after for name in [*FORMATS, *UNENFORCED_FORMATS, *ANNOTATIONS])
    assert table.endswith(".\n")
