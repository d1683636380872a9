"""What `normalise` keeps, tightens, drops and refuses."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema_specifications import REGISTRY

from model.errors import SchemaError
from model.schema import ANNOTATIONS, ENFORCED, FORMATS, REFUSED, UNENFORCED_FORMATS, examine, normalise
from model.schema.keywords import REMEDIES
from model.schema.proofs import Prover

PARAM = "tools[2].function.parameters"


def tool(schema: Any, **more: Any) -> dict[str, Any]:
    """Parameters with one required property `a`."""
    return {"type": "object", "properties": {"a": schema}, "required": ["a"], **more}


def normal(schema: Any, **more: Any) -> Any:
    """The normal form of a property."""
    return normalise(tool(schema, **more), PARAM)["properties"]["a"]


def refusal(parameters: Any) -> SchemaError:
    with pytest.raises(SchemaError) as caught:
        normalise(parameters, PARAM)
    assert caught.value.param is not None and caught.value.param.startswith(PARAM)
    return caught.value


# Roots and closing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parameters", [None, {}, {"type": "object"}, {"type": "object", "properties": {}}])
def test_no_parameters_means_no_arguments(parameters: Any) -> None:
    assert normalise(parameters, PARAM) == {"type": "object", "additionalProperties": False}


def test_declared_properties_close_an_object_at_every_depth() -> None:
    inner = {"type": "object", "properties": {"b": {"type": "string"}}}
    assert normal({"type": "array", "items": inner})["items"]["additionalProperties"] is False
    assert normalise(tool(inner), PARAM)["additionalProperties"] is False


def test_an_inner_object_without_properties_stays_open() -> None:
    assert normal({"type": "object"}) == {"type": "object"}


@pytest.mark.parametrize("additional", [True, {"type": "integer"}])
def test_an_object_that_says_so_stays_open(additional: Any) -> None:
    schema = normalise(tool({}, additionalProperties=additional), PARAM)
    assert schema["additionalProperties"] == ({} if additional is True else additional)
    assert normalise({"type": "object", "additionalProperties": additional}, PARAM) == {
        "type": "object",
        "additionalProperties": {} if additional is True else additional,
    }


def test_a_required_name_without_a_schema_may_hold_anything() -> None:
    assert normalise({"type": "object", "properties": {}, "required": ["b"]}, PARAM)["properties"] == {"b": {}}


def test_combined_objects_are_closed_together_not_each_for_itself() -> None:
    schema = normal({"allOf": [{"$ref": "#/$defs/base"}, {"properties": {"y": {"type": "integer"}}}]}, **BASE)
    assert schema["properties"].keys() == {"x", "y"} and schema["additionalProperties"] is False
    assert all("additionalProperties" not in part for part in schema["allOf"])


def test_alternatives_are_closed_each_for_itself() -> None:
    schema = normal({"anyOf": [{"type": "object", "properties": {"x": {}}}, {"type": "null"}]})
    assert schema["anyOf"][0]["additionalProperties"] is False


def test_a_definition_is_closed_where_it_stands_alone_and_open_where_it_is_extended() -> None:
    schema = normalise(
        {
            "type": "object",
            "properties": {"alone": {"$ref": "#/$defs/base"}, "more": {"allOf": [{"$ref": "#/$defs/base"}, {}]}},
            **BASE,
        },
        PARAM,
    )
    alone = schema["$defs"][schema["properties"]["alone"]["$ref"].removeprefix("#/$defs/")]
    extended = schema["$defs"][schema["properties"]["more"]["allOf"][0]["$ref"].removeprefix("#/$defs/")]
    assert alone["additionalProperties"] is False and "additionalProperties" not in extended


BASE = {"$defs": {"base": {"type": "object", "properties": {"x": {"type": "string"}}}}}


# Keywords ------------------------------------------------------------------------------------------------------------


def test_annotations_and_unknown_names_are_dropped() -> None:
    noise = {name: "text" for name in ANNOTATIONS} | {"x-order": 1, "widget": "map", "$id": "https://a.example/s"}
    assert normalise({**tool({"type": "string", "title": "A", "default": 5}), **noise}, PARAM) == {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "additionalProperties": False,
        "required": ["a"],
    }


@pytest.mark.parametrize(
    "schema, expected",
    [
        (True, {}),
        (False, False),
        ({"type": "any"}, {}),
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "string", "nullable": False}, {"type": "string"}),
        ({"type": ["string", "string"]}, {"type": "string"}),
        ({"minLength": 2}, {"type": "string", "minLength": 2}),
        ({"minimum": 2}, {"type": "number", "minimum": 2}),
        ({"items": {}}, {"type": "array", "items": {}}),
        ({"type": "integer", "minLength": 2, "properties": {}}, {"type": "integer"}),
        ({"enum": ["x", "x", 1]}, {"enum": ["x", 1]}),
        ({"allOf": [{"type": "string"}]}, {"type": "string"}),
        ({"type": "array", "items": [{}, False]}, {"type": "array", "prefixItems": [{}, False]}),
        (
            {"type": "array", "items": [{}], "additionalItems": False},
            {"type": "array", "prefixItems": [{}], "items": False},
        ),
        ({"type": "array", "uniqueItems": True, "maxItems": 1}, {"type": "array", "maxItems": 1}),
        ({"type": "integer", "minimum": 0, "exclusiveMinimum": True}, {"type": "integer", "exclusiveMinimum": 0}),
        ({"type": "integer", "minimum": 0, "exclusiveMinimum": False}, {"type": "integer", "minimum": 0}),
        ({"type": "integer", "maximum": 2**63 - 1}, {"type": "integer", "maximum": 2**63 - 1024}),
        ({"type": "integer", "exclusiveMaximum": 2**60}, {"type": "integer", "maximum": 2**60 - 128}),
        ({"type": "number", "maximum": 1.7976931348623157e308}, {"type": "number", "maximum": 9223372036854770000}),
        ({"type": "number", "minimum": 0.1 + 0.2}, {"type": "number", "minimum": 0.300000000000001}),
        (
            {"type": "number", "exclusiveMinimum": 0, "maximum": 0.5},
            {"type": "number", "minimum": 1e-14, "maximum": 0.5},
        ),
        ({"type": "number", "exclusiveMinimum": 1.5}, {"type": "number", "minimum": 1.50000000000001}),
        ({"type": "number", "exclusiveMaximum": -20}, {"type": "number", "maximum": -20.0000000000001}),
        ({"type": "integer", "exclusiveMaximum": 2.5}, {"type": "integer", "exclusiveMaximum": 2.5}),
        (
            {"type": "number", "multipleOf": 0.25, "maximum": 8},
            {"anyOf": [{"type": "number", "minimum": -(10**13), "maximum": 8, "multipleOf": 0.25}, {"enum": [-0.5]}]},
        ),
        ({"type": "number", "multipleOf": 2}, {"type": "number", "multipleOf": 2}),
        (
            {"type": "number", "minimum": -0.75, "maximum": 1.493},
            {"anyOf": [{"type": "number", "minimum": -0.75, "maximum": 1.493}, {"enum": [-0.7, 1.4, 1.49]}]},
        ),
        (
            {"type": "number", "minimum": 0.755, "maximum": 20.05},
            {"type": "number", "minimum": 0.755, "maximum": 20.05},
        ),
        (
            {"type": "number", "minimum": 0, "maximum": 7.75, "multipleOf": 0.25},
            {"type": "number", "minimum": 0, "maximum": 7.75, "multipleOf": 0.25},
        ),
        ({"type": "integer", "maximum": 1.49}, {"type": "integer", "maximum": 1.49}),
        ({"type": "string", "minLength": 3.0}, {"type": "string", "minLength": 3}),
        ({"type": "string", "format": "phone"}, {"type": "string"}),
        ({"type": "integer", "format": "int32"}, {"type": "integer"}),
        ({"type": "string", "format": "uuid"}, {"type": "string", "format": "uuid"}),
        ({"type": "object", "propertyNames": {"type": "string"}}, {"type": "object"}),
        (
            {"type": "object", "propertyNames": {"enum": ["x"]}, "additionalProperties": {"type": "null"}},
            {"type": "object", "properties": {"x": {"type": "null"}}, "additionalProperties": False},
        ),
        ({"type": "object", "unevaluatedProperties": False}, {"type": "object", "additionalProperties": False}),
        (
            {"type": "object", "properties": {"x": {}}, "required": ["x"], "minProperties": 1, "maxProperties": 4},
            {"type": "object", "properties": {"x": {}}, "additionalProperties": False, "required": ["x"]},
        ),
    ],
)
def test_normal_forms(schema: Any, expected: Any) -> None:
    assert normal(schema) == expected


def test_the_order_of_properties_is_kept() -> None:
    names = ["zeta", "alpha", "mid"]
    assert list(normalise({"properties": {name: {} for name in names}}, PARAM)["properties"]) == names


def test_references_become_flat_definitions() -> None:
    schema = normalise(
        {
            "type": "object",
            "properties": {
                "a": {"$ref": "#/definitions/a~1b%20c"},
                "b": {"$ref": "#/properties/c"},
                "c": {"type": "null"},
            },
            "definitions": {"a/b c": {"type": "string"}, "unused": {"not": {}}},
        },
        PARAM,
    )
    target = {name: schema["$defs"][part["$ref"].removeprefix("#/$defs/")] for name, part in _refs(schema)}
    assert target == {"a": {"type": "string"}, "b": {"type": "null"}}
    assert len(schema["$defs"]) == 2


def _refs(schema: Any) -> list[tuple[str, Any]]:
    return [(name, part) for name, part in schema["properties"].items() if "$ref" in part]


def test_a_schema_may_contain_itself() -> None:
    schema = normalise({"type": "object", "properties": {"child": {"$ref": "#"}}}, PARAM)
    assert schema["$defs"]["d0"]["properties"]["child"] == schema["properties"]["child"]


def test_what_comes_out_is_a_json_schema() -> None:
    everything = tool(
        {
            "anyOf": [
                {"type": "string", "format": "date-time", "maxLength": 40},
                {"type": "array", "prefixItems": [{}], "items": {"type": "integer", "multipleOf": 3}, "minItems": 1},
                {"type": "object", "patternProperties": {"^x": {"const": 1}}, "minProperties": 1},
            ]
        }
    )
    metaschema = Draft202012Validator(Draft202012Validator.META_SCHEMA)
    assert not list(metaschema.iter_errors(normalise(everything, PARAM)))


# Refusals ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keyword", sorted(REFUSED))
def test_what_the_engine_cannot_enforce_is_refused_by_name(keyword: str) -> None:
    error = refusal(tool({"type": "object", "properties": {"b": {keyword: {}}}}))
    assert error.param == f"{PARAM}.properties.a.properties.b.{keyword}"
    assert keyword in error.message


@pytest.mark.parametrize(
    "parameters, place",
    [
        ([], ""),
        ({"type": "array"}, ".type"),
        ({"properties": []}, ".properties"),
        ({"properties": {"a": 5}}, ".properties.a"),
        (tool({"type": "str"}), ".properties.a.type"),
        (tool({"type": []}), ".properties.a.type"),
        (tool({"type": [1]}), ".properties.a.type"),
        (tool({"enum": []}), ".properties.a.enum"),
        (tool({"enum": "x"}), ".properties.a.enum"),
        (tool({"enum": ["a", "\x01"]}), ".properties.a.enum[1]"),
        (tool({"enum": [2**53 + 1]}), ".properties.a.enum[0]"),
        (tool({"const": 0.1 + 0.2}), ".properties.a.const"),
        (tool({"const": {"k": [2**70]}}), ".properties.a.const.k[0]"),
        (tool({"type": "string", "required": True}), ""),
        (tool({"type": "object", "required": True}), ".properties.a.required"),
        (tool({"type": "string", "minLength": -1}), ".properties.a.minLength"),
        (tool({"type": "string", "minLength": 3, "maxLength": 2}), ".properties.a.minLength"),
        (tool({"type": "string", "minLength": 10**6}), ".properties.a.minLength"),
        (tool({"type": "string", "pattern": 1}), ".properties.a.pattern"),
        (tool({"type": "string", "pattern": "(?=a)"}), ".properties.a.pattern"),
        (tool({"type": "object", "patternProperties": {"(?=a)": {}}}), ".properties.a.patternProperties.(?=a)"),
        (tool({"type": "string", "format": 1}), ".properties.a.format"),
        (tool({"type": "string", "format": "iri"}), ".properties.a.format"),
        (tool({"type": "integer", "minimum": "1"}), ".properties.a.minimum"),
        (tool({"type": "integer", "minimum": 10**30}), ".properties.a.minimum"),
        (tool({"type": "integer", "minimum": 3, "maximum": 2}), ".properties.a.minimum"),
        (tool({"type": "integer", "multipleOf": 0}), ".properties.a.multipleOf"),
        (tool({"type": "integer", "multipleOf": 123457}), ".properties.a.multipleOf"),
        (tool({"allOf": [{"multipleOf": 3}, {"multipleOf": 2}]}), ".properties.a.allOf[0].multipleOf"),
        (tool({"type": "array", "uniqueItems": True}), ".properties.a.uniqueItems"),
        (tool({"type": "array", "prefixItems": {}}), ".properties.a.prefixItems"),
        (tool({"type": "array", "items": {"items": [{}, {"type": "x"}]}}), ".properties.a.items.items[1].type"),
        (tool({"anyOf": []}), ".properties.a.anyOf"),
        (tool({"oneOf": [{"type": "integer"}, {"type": "number"}]}), ".properties.a.oneOf"),
        (tool({"type": "object", "minProperties": 2}), ".properties.a.minProperties"),
        (tool({"type": "object", "propertyNames": {"maxLength": 3}}), ".properties.a.propertyNames"),
        (tool({"type": "object", "unevaluatedProperties": {}}), ".properties.a.unevaluatedProperties"),
        (tool({"$ref": "#/$defs/none"}), ".properties.a.$ref"),
        (tool({"$ref": "https://example.com/schema"}), ".properties.a.$ref"),
        (tool({"$ref": "#named"}), ".properties.a.$ref"),
        (tool({"$ref": "#/$defs/x"}, **{"$defs": {"x": {"$id": "https://b.example"}}}), ".properties.a.$ref"),
        (tool({"$ref": "#/$defs/x"}, **{"$defs": {"x": {"not": {}}}}), ".$defs.x.not"),
        (tool({"$ref": "#/$defs/x"}, **{"$defs": {"x": {"$ref": "#/$defs/x"}}}), ".$defs.x"),
        (tool({"$ref": "#/$defs/x"}, **{"$defs": {"x": {"anyOf": [{"$ref": "#/$defs/x"}, {}]}}}), ".$defs.x"),
        (tool({"$ref": "#/$defs/x"}, **{"$defs": {"x": tool({"$ref": "#/$defs/x"})}}), ".$defs.x"),
    ],
)
def test_refusals_name_the_place(parameters: Any, place: str) -> None:
    if not place and isinstance(parameters, dict):
        normalise(parameters, PARAM)  # a keyword of other types constrains nothing
    else:
        assert refusal(parameters).param == PARAM + place


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


# test_schema_hostile.py has more.
@pytest.mark.parametrize(
    "parameters, words, place",
    [
        (tool(nested(50)), "deep", ".properties.a" + ".items" * 32),
        (tool(nested(200)), "deep", ""),
        ({"properties": {f"p{i}": {} for i in range(5000)}}, "2,000 subschemas", ".properties.p1999"),
        (tool({"type": "string", "description": "x" * 200_000}), "bytes", ""),
        ({"properties": {}, "required": [f"p{i}" for i in range(3000)]}, "2,000 properties", ".required"),
        (tool({"type": "string", "pattern": "a" * 5000}), "4000 characters", ".properties.a.pattern"),
        (tool({"type": "string", "pattern": "(" * 40 + ")" * 40}), "32 deep", ".properties.a.pattern"),
        (
            tool({"type": "object", "patternProperties": {f"^a{i}$": {} for i in range(70)}}),
            "2,000 pairs",
            ".properties.a.patternProperties",
        ),
        ({"properties": {f"p{i}": {} for i in range(80)}, "minProperties": 1}, "too many optional", ".minProperties"),
        (
            {"properties": {f"p{i}": {"type": "integer", "multipleOf": 9973 - i} for i in range(3)}},
            "20,000",
            ".properties.p2.multipleOf",
        ),
        (tool({"allOf": [{"type": "string", "pattern": f"a.{i}"} for i in range(9)]}), "8 patterns", ""),
        (tool({"allOf": [{"anyOf": [{"type": "string"}, {"maxLength": i}]} for i in range(11)]}), "2,000 ways", ""),
        (
            tool(
                {"$ref": "#/$defs/d99"},
                **{"$defs": {f"d{i}": {"$ref": f"#/$defs/d{i - 1}"} if i else {} for i in range(100)}},
            ),
            "160 levels",
            "",
        ),
    ],
)
def test_sizes_are_limited(parameters: Any, words: str, place: str) -> None:
    error = refusal(parameters)
    assert words in error.message
    assert error.param == PARAM + place
    assert not examine(parameters, PARAM).safe or "deep" in words or "characters" in words


def test_a_pass_goes_on_after_a_refusal() -> None:
    examination = examine(
        tool(
            {"not": {}, "type": "strin", "items": {"uniqueItems": True}},
            maxProperties=-1,
            **{"$defs": {"x": {"if": {}}}},
        ),
        PARAM,
    )
    found = [(refusal.path, refusal.keyword, refusal.param) for refusal in examination.refusals]
    assert found == [
        (f"{PARAM}.properties.a", "not", f"{PARAM}.properties.a.not"),
        (f"{PARAM}.properties.a", "type", f"{PARAM}.properties.a.type"),
        (f"{PARAM}.properties.a.items", "uniqueItems", f"{PARAM}.properties.a.items.uniqueItems"),
        (PARAM, "maxProperties", f"{PARAM}.maxProperties"),
    ]
    assert examination.complete and examination.safe
    assert [visit.path.removeprefix(PARAM) for visit in examination.visits] == [
        "",
        ".properties.a",
        ".properties.a.items",
    ]


def test_what_follows_from_a_refusal_is_not_another() -> None:
    # That the options exclude each other cannot be said of one that is not a schema.
    assert len(examine(tool({"oneOf": [{"type": "integer"}, {"type": "integer", "not": {}}]}), PARAM).refusals) == 1


def test_references_are_named_by_where_they_lead() -> None:
    definitions = {"$defs": {"a/b": {"anyOf": [{"not": {}}]}}}
    assert refusal(tool({"$ref": "#/$defs/a~1b/anyOf/0"}, **definitions)).param == f"{PARAM}.$defs.a/b.anyOf[0].not"


def test_only_json_is_a_schema() -> None:
    assert "JSON" in refusal(tool({"const": float("nan")})).message
    assert "JSON" in refusal(tool({"const": "\ud800"})).message
    assert "JSON" in refusal(tool({"const": {1, 2}})).message


@pytest.mark.parametrize(
    "schema, place",
    [
        ({"type": "object", "propertyNames": {"not": {"const": "x"}}}, ".propertyNames"),
        (
            {"type": "object", "patternProperties": {r"^\d": {}, "^[0-9]": {"type": "null"}}},
            ".patternProperties.^[0-9]",
        ),
        ({"type": "object", "properties": {"b": {}}, "unevaluatedProperties": {}}, ".unevaluatedProperties"),
    ],
)
def test_nothing_that_constrains_is_dropped(schema: Any, place: str) -> None:
    assert refusal(tool(schema)).param == f"{PARAM}.properties.a{place}"


def test_no_others_in_so_many_words_means_those_that_are_required_too() -> None:
    schema = normal({"type": "object", "properties": {}, "required": ["b"], "unevaluatedProperties": False})
    assert "properties" not in schema and schema["required"] == ["b"] and schema["additionalProperties"] is False
    extended = normal({"properties": {"b": {}}, "allOf": [{"required": ["c"]}], "unevaluatedProperties": False})
    assert list(extended["properties"]) == ["b"]


# oneOf ---------------------------------------------------------------------------------------------------------------


def kind(value: Any, required: bool = True, **more: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"kind": {"const": value}},
        "required": ["kind"] if required else [],
        **more,
    }


@pytest.mark.parametrize(
    "a, b, expected",
    [
        ({"type": "string"}, {"type": "integer"}, True),
        ({"type": "integer"}, {"type": "number"}, False),
        ({"type": ["string", "null"]}, {"type": "null"}, False),
        ({"type": "string", "nullable": True}, {"type": "null"}, False),
        ({"const": 1}, {"const": 1.0}, False),
        ({"enum": ["a", "b"]}, {"enum": ["c"]}, True),
        ({"enum": ["a"]}, {"type": "integer"}, True),
        ({"enum": ["a"]}, {"type": "string"}, False),
        (kind("a"), kind("b"), True),
        (kind("a"), kind("b", required=False), True),
        (kind("a", required=False), kind("b", required=False), False),
        (kind("a"), {"type": "object", "properties": {"other": {}}}, False),
        (kind("a"), {"type": "object", "properties": {"other": {}}, "additionalProperties": False}, True),
        (kind("a"), {"type": "object", "properties": {"other": {}}, "required": ["other"]}, True),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "integer"}, True),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": ["null", "integer"]}, False),
        ({"allOf": [{"type": "string"}, {}]}, {"type": "integer"}, True),
        (False, {}, True),
        ({}, {}, False),
    ],
)
def test_exclusive(a: Any, b: Any, expected: bool) -> None:
    types = {"null", "boolean", "integer", "number", "string", "array", "object"}
    assert Prover().exclusive(a, b, types, closed=True) is expected
    assert Prover().exclusive(b, a, types, closed=True) is expected


def test_many_options_are_told_apart_in_one_pass() -> None:
    options = [kind(f"k{i}", properties={"kind": {"$ref": f"#/$defs/{i}"}, "n": {}}) for i in range(300)]
    constants = {"$defs": {str(i): {"const": i} for i in range(300)}}
    assert len(normal({"oneOf": options}, **constants)["anyOf"]) == 300
    constants["$defs"]["19"] = {"const": 0}
    assert "Options 0 and 19" in refusal(tool({"oneOf": options[:20]}, **constants)).message


def test_proofs_are_bounded() -> None:
    definitions: dict[str, Any] = {"e0": {"type": "string"}}
    for i in range(1, 9):
        definitions[f"e{i}"] = {"anyOf": [{"allOf": [{"$ref": f"#/$defs/e{i - 1}"}] * 6}] * 6}
    error = refusal(tool({"oneOf": [{"$ref": "#/$defs/e8"}] * 2}, **{"$defs": definitions}))
    assert error.param == f"{PARAM}.properties.a.oneOf" and "too many" in error.message


def test_a_discriminator_becomes_required() -> None:
    options = [{"$ref": "#/$defs/cat"}, {"$ref": "#/$defs/dog"}]
    definitions = {"cat": kind("cat", required=False), "dog": kind("dog", required=False)}
    assert refusal(tool({"oneOf": options}, **{"$defs": definitions})).param == f"{PARAM}.properties.a.oneOf"
    schema = normal({"oneOf": options, "discriminator": {"propertyName": "kind"}}, **{"$defs": definitions})
    assert [option["allOf"][1]["required"] for option in schema["anyOf"]] == [["kind"], ["kind"]]


def test_exactly_one_of_several_required_properties() -> None:
    schema = {"type": "object", "properties": {"x": {}, "y": {}}, "oneOf": [{"required": ["x"]}, {"required": ["y"]}]}
    options = normal(schema)["allOf"][0]["anyOf"]
    assert [(option["required"], option["properties"]) for option in options] == [
        (["x"], {"y": False}),
        (["y"], {"x": False}),
    ]


# The tables ----------------------------------------------------------------------------------------------------------


def test_remedies_are_for_what_is_enforced() -> None:
    assert REMEDIES.keys() <= ENFORCED.keys()


def test_every_keyword_has_one_fate() -> None:
    assert not ENFORCED.keys() & REFUSED and not ENFORCED.keys() & ANNOTATIONS and not REFUSED.keys() & ANNOTATIONS
    assert not FORMATS.keys() & UNENFORCED_FORMATS


def test_no_keyword_of_json_schema_is_forgotten() -> None:
    # Every draft's vocabulary, as its metaschemas list it.
    metaschemas = [REGISTRY[uri].contents for uri in REGISTRY if "json-schema.org" in uri]
    keywords = {name for metaschema in metaschemas for name in metaschema.get("properties", {})}
    assert len(keywords) > 50
    assert keywords <= ENFORCED.keys() | REFUSED.keys() | ANNOTATIONS
