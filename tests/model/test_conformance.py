"""The grammar writes the valid values of a schema, and no others. `conformance.py` says what that means exactly."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from model.errors import SchemaError
from model.grammar import GrammarCompiler
from model.schema import ENFORCED
from tests.model import schema_strategies as s
from tests.model.conformance import Writer, valid, writable
from tests.model.json_schema_cases import CASES, REFUSED_CASES, TREE
from tests.model.tiny_tokenizer import TinyTokenizer

# Drawn anew in each run, a rare difference would stop whoever meets it, and not whoever made it.
STEADY = settings(
    max_examples=40,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
VALUES_EACH = 4
INNER = s.leaves

# Schemas that have the keyword, one strategy for each that is enforced. None of these may be refused.
KEYWORDS: dict[str, st.SearchStrategy[Any]] = {
    "type": st.builds(lambda kinds: {"type": kinds}, st.one_of(s.types, st.lists(s.types, min_size=1, unique=True)))
    | st.just({"type": "any"}),
    "nullable": st.builds(lambda kind, yes: {"type": kind, "nullable": yes}, s.types, st.booleans()),
    "enum": st.fixed_dictionaries({"enum": st.lists(s.constants, min_size=1, max_size=4)}),
    "const": st.fixed_dictionaries({"const": s.constants}),
    "properties": s.objects(INNER),
    "required": s.objects(INNER)
    .filter(lambda node: node.get("additionalProperties") is not False)
    .map(lambda node: {**node, "required": [*node["properties"], "z"]}),
    "additionalProperties": st.builds(
        lambda node, other: {**node, "additionalProperties": other}, s.objects(INNER), st.booleans() | INNER
    ),
    "patternProperties": st.builds(
        lambda a, b, more: {"type": "object", "patternProperties": {"^x_": a, "^z": b}, **more},
        INNER,
        INNER,
        st.sampled_from(
            [
                {},
                {"additionalProperties": False},
                {"additionalProperties": {"type": "null"}},
                {"properties": {"a": {"type": "integer"}}},
                {"properties": {"a": {"type": "integer"}}, "additionalProperties": True},
            ]
        ),
    ),
    "propertyNames": st.builds(
        lambda names, more: {"type": "object", "propertyNames": names, **more},
        st.sampled_from([{"enum": ["a", "z", 5]}, {"pattern": "^x_"}, {"type": "string"}, {"pattern": "z"}]),
        st.sampled_from([{}, {"additionalProperties": {"type": "integer"}}]),
    ),
    "minProperties": st.builds(
        lambda node: {**node, "minProperties": 1, "additionalProperties": False}, s.objects(INNER)
    ).filter(lambda node: node["properties"])
    | st.sampled_from(
        [{"type": "object", "minProperties": 1}, {"type": "object", "required": ["z"], "minProperties": 2}]
    ),
    "maxProperties": st.builds(lambda most: {"type": "object", "maxProperties": most}, st.integers(0, 3))
    | st.builds(
        lambda node, most: {**node, "additionalProperties": False, "maxProperties": most},
        s.objects(INNER).map(lambda node: {key: node[key] for key in ("type", "properties")}),
        st.sampled_from((1, 3)),  # 2 beside three optional properties is beyond the limits
    ),
    "unevaluatedProperties": st.builds(lambda node: {**node, "unevaluatedProperties": False}, s.objects(INNER)).map(
        lambda node: {key: value for key, value in node.items() if key != "additionalProperties"}
    ),
    "items": st.builds(lambda items: {"type": "array", "items": items}, INNER),
    "prefixItems": st.builds(
        lambda first, more: {"type": "array", "prefixItems": first, **more},
        st.lists(INNER, min_size=1, max_size=3),
        st.sampled_from([{}, {"items": False}, {"items": {"type": "integer"}}, {"minItems": 2}]),
    ),
    "additionalItems": st.builds(
        lambda first, others: {"type": "array", "items": first, "additionalItems": others},
        st.lists(INNER, min_size=1, max_size=2),
        st.booleans() | INNER,
    ),
    "minItems": s.arrays(INNER).map(lambda node: {**node, "minItems": min(1, node.get("maxItems", 1))}),
    "maxItems": s.arrays(INNER).map(lambda node: {"maxItems": 2 + node.get("minItems", 0), **node}),
    "uniqueItems": st.sampled_from(
        [
            {"type": "array", "uniqueItems": True, "maxItems": 1},
            {"type": "array", "uniqueItems": False},
            {"type": "array", "uniqueItems": True, "prefixItems": [{"type": "string"}], "items": False},
        ]
    ),
    "minLength": s.counted("string", "minLength", "maxLength"),
    "maxLength": s.counted("string", "minLength", "maxLength"),
    "pattern": s.typed("string", pattern=st.sampled_from(s.PATTERNS)),
    "minimum": s.ranges(),
    "maximum": s.ranges(),
    "exclusiveMinimum": s.ranges()
    | st.builds(
        lambda low, yes: {"type": "integer", "minimum": low, "exclusiveMinimum": yes},
        st.integers(-9, 99),
        st.booleans(),
    ),
    "exclusiveMaximum": s.ranges()
    | st.builds(
        lambda high, yes: {"type": "number", "maximum": high, "exclusiveMaximum": yes}, s.bounds, st.booleans()
    ),
    "multipleOf": st.builds(lambda n: {"type": "integer", "multipleOf": n}, st.integers(1, 250))
    | st.builds(lambda n: {"type": "number", "multipleOf": n}, st.sampled_from((0.5, 0.25, 0.01, 1.5, 2, 10)))
    | st.builds(
        lambda n, node: {**node, "multipleOf": n}, st.integers(2, 9), s.ranges("integer").filter(lambda n: len(n) < 3)
    ),
    "anyOf": st.fixed_dictionaries({"anyOf": st.lists(INNER, min_size=1, max_size=3)}),
    "oneOf": s.tagged(INNER) | st.just({"oneOf": [{"type": "string"}, {"type": "integer"}, {"const": None}]}),
    "allOf": s.extended(INNER),
    "$ref": st.sampled_from([{"$ref": "#/$defs/leaf"}, {"$ref": "#/$defs/node"}]),
    "$defs": st.just({"type": "array", "items": {"$ref": "#/$defs/node"}}),
    "definitions": st.builds(
        lambda leaf: {
            "definitions": {"d": leaf},
            "anyOf": [{"$ref": "#/properties/v/definitions/d"}, {"type": "null"}],
        },
        INNER,
    ),
    "discriminator": s.tagged(INNER).map(lambda node: {**node, "discriminator": {"propertyName": "kind"}}),
}
ELSEWHERE = {"format"}  # test_schema_formats.py


def test_every_enforced_keyword_is_covered() -> None:
    assert KEYWORDS.keys() | ELSEWHERE == ENFORCED.keys()


def check(schema: Any, defs: Any, writer: Writer, data: st.DataObject) -> None:
    """The grammar and the validator agree about values that are likely, and about some that the grammar writes."""
    for _ in range(VALUES_EACH):
        value = data.draw(s.instances(schema, defs), "value")
        if writer.can_write(value):
            assert valid(schema, defs, value), "invalid, but the grammar can write it"
        elif writable(value):
            assert not valid(schema, defs, value, narrow=True), "valid, but the grammar cannot write it"
    rng = random.Random(data.draw(st.integers(0, 1000), "seed"))
    for value in [*writer.written(rng), *writer.written(rng)]:
        assert valid(schema, defs, value), f"invalid, but the grammar writes {value!r}"


@pytest.mark.parametrize("keyword", KEYWORDS)
@STEADY
@given(data=st.data())
def test_keyword(keyword: str, data: st.DataObject, compiler: GrammarCompiler, tiny_tokenizer: TinyTokenizer) -> None:
    schema, defs = data.draw(KEYWORDS[keyword], "schema"), data.draw(s.definitions(), "$defs")
    try:
        writer = Writer(schema, defs, compiler, tiny_tokenizer)
    except SchemaError as error:
        # No value at all, as with an integer between 0 and 1.
        assert "Unsatisfiable" in error.message
        for value in data.draw(st.lists(s.instances(schema, defs), max_size=VALUES_EACH), "values"):
            assert not valid(schema, defs, value), "valid, but refused as unsatisfiable"
        return
    check(schema, defs, writer, data)


@settings(STEADY, max_examples=400)
@given(data=st.data())
def test_combined(data: st.DataObject, compiler: GrammarCompiler, tiny_tokenizer: TinyTokenizer) -> None:
    schema, defs = data.draw(s.schemas, "schema"), data.draw(s.definitions(), "$defs")
    try:
        writer = Writer(schema, defs, compiler, tiny_tokenizer)
    except SchemaError:
        assume(False)
    check(schema, defs, writer, data)


# Written by hand -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "schema, good, bad",
    [pytest.param(*case, id=f"{keyword}: {title}") for keyword, cases in CASES.items() for title, *case in cases],
)
def test_cases(
    schema: Any, good: list[Any], bad: list[Any], compiler: GrammarCompiler, tiny_tokenizer: TinyTokenizer
) -> None:
    writer = Writer(schema, TREE, compiler, tiny_tokenizer)
    assert [value for value in good if not writer.can_write(value)] == []
    assert [value for value in bad if writer.can_write(value)] == []
    # The validator has the same view of the cases, so that none of them is a misreading.
    assert [value for value in good if not valid(schema, TREE, value)] == []
    assert [value for value in bad if valid(schema, TREE, value, narrow=True)] == []


def test_every_enforced_keyword_has_cases() -> None:
    assert CASES.keys() | ELSEWHERE == ENFORCED.keys()


@pytest.mark.parametrize("schema, place", REFUSED_CASES)
def test_refusals(schema: Any, place: str, compiler: GrammarCompiler, tiny_tokenizer: TinyTokenizer) -> None:
    with pytest.raises(SchemaError) as caught:
        Writer(schema, TREE, compiler, tiny_tokenizer)
    assert caught.value.param == f"p.properties.v{place}"
