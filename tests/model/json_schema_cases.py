"""Schemas and values, keyword by keyword, in the manner of the JSON-Schema-Test-Suite.

Each case is (what it shows, schema, values that the grammar must be able to write, values that it must not). The values
of a case may be invalid only in the narrower reading that `conformance.py` states: those cases say "narrower".
"""

from __future__ import annotations

from typing import Any

Case = tuple[str, Any, list[Any], list[Any]]

TREE = {
    "tree": {
        "type": "object",
        "properties": {"value": {"type": "number"}, "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
        "required": ["value"],
    },
    "list": {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"next": {"$ref": "#/$defs/list"}}}]},
    "word": {"type": "string", "pattern": "^[a-z]+$"},
    "a/b%c": {"type": "boolean"},
}
"""The definitions that all cases may refer to."""

CASES: dict[str, list[Case]] = {
    "type": [
        ("integer", {"type": "integer"}, [1, 0, -5, 1.0, 10**15], [1.1, "1", {}, [], True, None]),
        ("number", {"type": "number"}, [1, 1.0, -1.5, 1e-7], ["1", {}, [], False, None]),
        ("string", {"type": "string"}, ["", "1", "é\n", "<end>"], [1, {}, [], True, None]),
        ("object", {"type": "object"}, [{}, {"a": 1}, {"a": {"b": []}}], [1, "{}", [], True, None]),
        ("array", {"type": "array"}, [[], [1], [[[]]]], [1, "[]", {}, True, None]),
        ("boolean", {"type": "boolean"}, [True, False], [0, 1, "true", None, {}, []]),
        ("null", {"type": "null"}, [None], [0, False, "", "null", {}, []]),
        ("several", {"type": ["integer", "string"]}, [1, "foo"], [1.5, {}, [], True, None]),
        ("one in a list", {"type": ["string"]}, ["foo"], [123]),
        ("any, as smolagents writes it", {"type": "any"}, [1, "a", None, [1], {"b": True}], []),
        ("none: anything", {}, [1, "a", None, [1], {"b": True}], []),
        ("true: anything", True, [1, "a", None, [1], {"b": True}], []),
    ],
    "nullable": [
        ("true", {"type": "string", "nullable": True}, ["a", None], [1]),
        ("false", {"type": "string", "nullable": False}, ["a"], [None]),
        ("with several types", {"type": ["string", "integer"], "nullable": True}, ["a", 1, None], [1.5]),
        ("beside any", {"type": "any", "nullable": True}, [1, None], []),
        ("an enum has to hold null", {"type": "string", "enum": ["a"], "nullable": True}, ["a"], [None, "b"]),
    ],
    "enum": [
        ("simple", {"enum": [1, 2, 3]}, [1, 3.0], [4, "1", 1.5]),
        (
            "mixed",
            {"enum": [6, "foo", [], True, {"foo": 12}]},
            [6, "foo", [], True, {"foo": 12}],
            [None, {"foo": False}],
        ),
        ("with null", {"enum": [6, None]}, [6, None], ["test"]),
        ("escapes", {"enum": ["foo\nbar", "foo\rbar"]}, ["foo\nbar", "foo\rbar"], ["abc"]),
        ("false is not 0", {"enum": [False]}, [False], [0, 0.0]),
        ("true is not 1", {"enum": [True]}, [True], [1, 1.0]),
        ("0 is not false", {"enum": [0]}, [0, 0.0], [False]),
        ("1 is not true", {"enum": [1]}, [1, 1.0], [True]),
        ("[false] is not [0]", {"enum": [[False]]}, [[False]], [[0]]),
        ("beside a type", {"type": "string", "enum": ["a", 1]}, ["a"], [1]),
        ("quotes and backslashes", {"enum": ['a"b\\c']}, ['a"b\\c'], ["ab"]),
        ("one is the beginning of another", {"enum": ["a", "ab", "abc"]}, ["a", "ab", "abc"], ["abcd", ""]),
        ("beside length", {"enum": ["a", "abc"], "type": "string", "maxLength": 2}, ["a"], ["abc"]),
    ],
    "const": [
        ("number", {"const": 2}, [2, 2.0], [5, "a"]),
        ("object", {"const": {"foo": "bar", "baz": "bax"}}, [{"foo": "bar", "baz": "bax"}], [{"foo": "bar"}, [1, 2]]),
        ("array", {"const": [{"foo": "bar"}]}, [[{"foo": "bar"}]], [2, [1, 2, 3], []]),
        ("null", {"const": None}, [None], [0]),
        ("false", {"const": False}, [False], [0, [], {}]),
        ("float", {"const": 0.1}, [0.1], [0.10001, 0]),
        ("negative", {"const": -2.5}, [-2.5], [2.5, -2]),
        ("large", {"const": 2**53}, [2**53], [2**53 - 1]),
    ],
    "properties": [
        (
            "of their types",
            {"type": "object", "properties": {"foo": {"type": "integer"}, "bar": {"type": "string"}}},
            [{"foo": 1, "bar": "baz"}, {}, {"bar": ""}],
            [{"foo": 1, "bar": {}}, {"foo": [], "bar": {}}, []],
        ),
        ("narrower: no others", {"type": "object", "properties": {"foo": {}}}, [{"foo": 1}], [{"quux": []}]),
        ("never", {"type": "object", "properties": {"foo": True, "bar": False}}, [{}, {"foo": 1}], [{"bar": 2}]),
        (
            "names with escapes",
            {"type": "object", "properties": {'foo"bar': {"type": "number"}, "foo\\bar": {}, "foo\tbar": {}, "é": {}}},
            [{'foo"bar': 1, "foo\\bar": 1, "foo\tbar": 1, "é": 1}],
            [{'foo"bar': "1"}],
        ),
        (
            "named as keywords are",
            {"type": "object", "properties": {"$ref": {"type": "string"}, "type": {"type": "integer"}}},
            [{"$ref": "a", "type": 5}],
            [{"$ref": 2}, {"type": "a"}],
        ),
        ("an empty name", {"type": "object", "properties": {"": {"type": "integer"}}}, [{"": 1}, {}], [{"": "a"}]),
        ("implied type", {"properties": {"foo": {"type": "integer"}}}, [{"foo": 1}], [{"foo": "a"}]),
    ],
    "required": [
        (
            "one",
            {"type": "object", "properties": {"foo": {}, "bar": {}}, "required": ["foo"]},
            [{"foo": 1}, {"foo": 1, "bar": 2}],
            [{"bar": 1}, {}],
        ),
        ("undeclared", {"type": "object", "properties": {}, "required": ["foo"]}, [{"foo": 1}, {"foo": [None]}], [{}]),
        (
            "in an open object",
            {"type": "object", "required": ["foo"]},
            [{"foo": 1}, {"foo": 1, "z": 2}],
            [{}, {"z": 1}],
        ),
        ("twice the same", {"type": "object", "properties": {"a": {}}, "required": ["a", "a"]}, [{"a": 1}], [{}]),
        ("none", {"type": "object", "properties": {"a": {}}, "required": []}, [{}, {"a": 1}], []),
    ],
    "additionalProperties": [
        (
            "none",
            {"type": "object", "properties": {"foo": {}, "bar": {}}, "additionalProperties": False},
            [{"foo": 1}, {}],
            [{"foo": 1, "quux": "boom"}],
        ),
        (
            "of a type",
            {"type": "object", "properties": {"foo": {}}, "additionalProperties": {"type": "boolean"}},
            [{"foo": 1}, {"foo": 1, "z": True}],
            [{"foo": 1, "z": 12}],
        ),
        ("alone", {"type": "object", "additionalProperties": {"type": "boolean"}}, [{}, {"foo": True}], [{"foo": 1}]),
        ("any", {"type": "object", "properties": {"foo": {}}, "additionalProperties": True}, [{"z": [1]}], [[]]),
        ("empty, closed", {"type": "object", "additionalProperties": False}, [{}], [{"a": 1}]),
    ],
    "patternProperties": [
        (
            "by a pattern",
            {"type": "object", "patternProperties": {"f.*o": {"type": "integer"}}},
            [{"foo": 1}, {"foo": 1, "foooooo": 2}, {"bar": "a"}],
            [{"foo": "bar"}, {"foo": "bar", "foooooo": 2}],
        ),
        (
            "and no others",
            {"type": "object", "patternProperties": {"^v": {}}, "additionalProperties": False},
            [{"v1": 1}, {}],
            [{"x": 1}],
        ),
        (
            "beside properties; narrower: no others",
            {"type": "object", "properties": {"a": {"type": "null"}}, "patternProperties": {"^x": {"type": "integer"}}},
            [{"a": None, "x": 1}, {"x": 1}],
            [{"x": None}, {"b": 1}],
        ),
    ],
    "propertyNames": [
        (
            "of a pattern",
            {"type": "object", "propertyNames": {"pattern": "^a+$"}},
            [{}, {"a": {}, "aaa": {}}],
            [{"ab": {}}],
        ),
        ("of a list", {"type": "object", "propertyNames": {"enum": ["a", "b"]}}, [{"b": 1}, {}], [{"c": 1}]),
        ("any string", {"type": "object", "propertyNames": {"type": "string"}}, [{"c": 1}], []),
        (
            "and a type of values",
            {"type": "object", "propertyNames": {"pattern": "^a"}, "additionalProperties": {"type": "integer"}},
            [{"a": 1}],
            [{"a": "x"}, {"b": 1}],
        ),
    ],
    "minProperties": [
        ("1 of an open object", {"type": "object", "minProperties": 1}, [{"foo": 1}, {"foo": 1, "bar": 2}], [{}]),
        (
            "1 of the declared",
            {"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "minProperties": 1},
            [{"a": 1}, {"c": 1}, {"a": 1, "b": 2, "c": 3}],
            [{}],
        ),
        (
            "no more than required",
            {"type": "object", "properties": {"a": {}}, "required": ["a"], "minProperties": 1},
            [{"a": 1}],
            [{}],
        ),
    ],
    "maxProperties": [
        (
            "2 of an open object",
            {"type": "object", "maxProperties": 2},
            [{}, {"a": 1, "b": 2}],
            [{"a": 1, "b": 2, "c": 3}],
        ),
        ("0", {"type": "object", "maxProperties": 0}, [{}], [{"foo": 1}]),
        (
            "1 of the declared",
            {"type": "object", "properties": {"a": {}, "b": {}}, "maxProperties": 1},
            [{}, {"b": 1}],
            [{"a": 1, "b": 2}],
        ),
    ],
    "unevaluatedProperties": [
        (
            "beside allOf",
            {
                "type": "object",
                "properties": {"a": {}},
                "allOf": [{"properties": {"b": {"type": "integer"}}}],
                "unevaluatedProperties": False,
            },
            [{"a": 1}, {"a": 1, "b": 2}],
            [{"a": 1, "c": 2}, {"b": "x"}],
        ),
        (
            "true leaves it open",
            {"type": "object", "properties": {"a": {}}, "unevaluatedProperties": True},
            [{"a": 1, "z": 2}],
            [[]],
        ),
    ],
    "items": [
        ("of a type", {"type": "array", "items": {"type": "integer"}}, [[1, 2, 3], []], [[1, "x"], {"foo": "bar"}]),
        ("never", {"type": "array", "items": False}, [[]], [[1]]),
        (
            "nested",
            {"type": "array", "items": {"type": "array", "items": {"type": "null"}}},
            [[[None], []]],
            [[1], [[1]]],
        ),
        (
            "draft 4's list",
            {"type": "array", "items": [{"type": "integer"}, {"type": "string"}]},
            [[1, "a"], [1], [1, "a", True]],
            [["a", 1]],
        ),
    ],
    "prefixItems": [
        (
            "one schema each",
            {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]},
            [[1, "foo"], [1], [1, "foo", True], []],
            [["foo", 1]],
        ),
        ("and no more", {"type": "array", "prefixItems": [{}, {}], "items": False}, [[], [1], [1, 2]], [[1, 2, 3]]),
        (
            "and others",
            {"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "integer"}},
            [["x", 2, 3]],
            [["x", "y"]],
        ),
    ],
    "additionalItems": [
        ("none", {"type": "array", "items": [{}, {}], "additionalItems": False}, [[1, 2], []], [[1, 2, 3]]),
        (
            "of a type",
            {"type": "array", "items": [{}], "additionalItems": {"type": "integer"}},
            [[None, 2]],
            [[None, "foo"]],
        ),
    ],
    "minItems": [
        ("1", {"type": "array", "minItems": 1}, [[1], [1, 2]], [[]]),
        (
            "2 of a type",
            {"type": "array", "items": {"type": "integer"}, "minItems": 2.0},
            [[1, 2], [1, 2, 3]],
            [[1], []],
        ),
    ],
    "maxItems": [
        ("2", {"type": "array", "maxItems": 2}, [[], [1, 2]], [[1, 2, 3]]),
        ("0", {"type": "array", "maxItems": 0}, [[]], [[1]]),
        ("between", {"type": "array", "minItems": 2, "maxItems": 3}, [[1, 2], [1, 2, 3]], [[1], [1, 2, 3, 4]]),
        ("fewer than the prefix", {"type": "array", "prefixItems": [{}, {}, {}], "maxItems": 1}, [[], [1]], [[1, 2]]),
    ],
    "uniqueItems": [
        ("false", {"type": "array", "uniqueItems": False}, [[1, 1]], []),
        ("of one", {"type": "array", "uniqueItems": True, "maxItems": 1}, [[], [1]], [[1, 1], [1, 2]]),
    ],
    "minLength": [
        ("2", {"type": "string", "minLength": 2}, ["foo", "fo", "日本"], ["f", "", "日"]),
        ("counts characters, not bytes", {"type": "string", "minLength": 2}, ["\U0001f4a9\U0001f4a9"], ["\U0001f4a9"]),
        (
            "escapes are one character",
            {"type": "string", "minLength": 2, "maxLength": 2},
            ["\n\\", '""'],
            ["\n", '"""'],
        ),
    ],
    "maxLength": [
        ("2", {"type": "string", "maxLength": 2}, ["f", "fo", "", "\U0001f4a9\U0001f4a9"], ["foo", "日本語"]),
        ("0", {"type": "string", "maxLength": 0}, [""], ["a"]),
    ],
    "pattern": [
        ("anchored", {"type": "string", "pattern": "^a*$"}, ["aaa", ""], ["abc", "b"]),
        ("not anchored", {"type": "string", "pattern": "a+"}, ["xxaayy", "a"], ["x", ""]),
        ("digits", {"type": "string", "pattern": r"^\d{3}$"}, ["123"], ["12", "12a", "١٢٣"]),
        ("not a digit", {"type": "string", "pattern": r"^\D$"}, ["a", "-"], ["1"]),
        ("words", {"type": "string", "pattern": r"^\w+$"}, ["ab_1"], ["a b", "é", "-"]),
        ("white space", {"type": "string", "pattern": r"^a\sb$"}, ["a b", "a\tb", "a\nb"], ["ab", "a-b"]),
        (
            "alternatives",
            {"type": "string", "pattern": "^(foo|bar)$|^baz"},
            ["foo", "bar", "bazaar"],
            ["foobar", "abaz"],
        ),
        ("classes", {"type": "string", "pattern": "^[^a-c]$"}, ["d", "日"], ["a", "dd"]),
        ("any but line breaks", {"type": "string", "pattern": "^.$"}, ["a", "日", '"', "\\"], ["\n", "ab", ""]),
        ("a quote and a backslash", {"type": "string", "pattern": r'^"\\$'}, ['"\\'], ["\\", '"']),
        ("code points", {"type": "string", "pattern": r"^\u00e9\x41$"}, ["éA"], ["eA"]),
        ("lazy is as greedy", {"type": "string", "pattern": "^a{1,2}?$"}, ["a", "aa"], ["aaa"]),
        ("named groups", {"type": "string", "pattern": "^(?<y>\\d{2})-(?:\\d)$"}, ["12-3"], ["12-34"]),
        (
            "and lengths",
            {"type": "string", "pattern": "^a+$", "minLength": 2, "maxLength": 3},
            ["aa", "aaa"],
            ["a", "aaaa"],
        ),
    ],
    "minimum": [
        ("of integers", {"type": "integer", "minimum": 1}, [1, 2, 1000], [0, -1, 1.5]),
        ("of numbers", {"type": "number", "minimum": 1.1}, [2.6, 1.1, 100], [0.6, 1, -3]),
        ("negative", {"type": "number", "minimum": -2}, [-1, 0, -2, -1.9999, -2.0], [-2.0001, -3]),
        ("0", {"type": "integer", "minimum": 0}, [0, 5], [-1]),
        ("implied type", {"minimum": 5}, [5, 5.5], [4]),
    ],
    "maximum": [
        ("of integers", {"type": "integer", "maximum": 300}, [299, 300, -5, 0], [301, 300.5]),
        ("of numbers", {"type": "number", "maximum": 3.0}, [2.6, 3, 3.0], [3.5, 3.0001]),
        ("a range", {"type": "integer", "minimum": -3, "maximum": 12}, [-3, 0, 12], [-4, 13, 120]),
        (
            "across powers of ten",
            {"type": "integer", "minimum": 95, "maximum": 1005},
            [95, 100, 999, 1000, 1005],
            [94, 1006, 9],
        ),
        ("decimals", {"type": "number", "minimum": 0.25, "maximum": 1}, [0.25, 0.3, 1, 1.0, 0.999], [0.2, 1.01, 0]),
    ],
    "exclusiveMinimum": [
        ("of numbers", {"type": "number", "exclusiveMinimum": 1.1}, [1.2, 2], [1.1, 0.6]),
        ("of integers", {"type": "integer", "exclusiveMinimum": 5}, [6, 60], [5, 4]),
        ("draft 4's", {"type": "integer", "minimum": 5, "exclusiveMinimum": True}, [6], [5]),
        ("draft 4's false", {"type": "integer", "minimum": 5, "exclusiveMinimum": False}, [5], [4]),
        ("above 0", {"type": "number", "exclusiveMinimum": 0}, [0.001, 1], [0, -1]),
        ("beside a larger minimum", {"type": "integer", "exclusiveMinimum": 1, "minimum": 5}, [5], [2, 4]),
    ],
    "exclusiveMaximum": [
        ("of numbers", {"type": "number", "exclusiveMaximum": 3.0}, [2.2, 2.999, -1], [3.0, 3, 3.5]),
        ("of integers", {"type": "integer", "exclusiveMinimum": 5, "exclusiveMaximum": 7}, [6], [5, 7]),
        ("draft 4's", {"type": "number", "maximum": 3, "exclusiveMaximum": True}, [2.9], [3]),
    ],
    "multipleOf": [
        ("of integers", {"type": "integer", "multipleOf": 2}, [10, 0, -4], [7, -3]),
        ("decimals", {"type": "number", "multipleOf": 0.01}, [0.0075 * 4, 12.34, 1], [0.00751, 0.005]),
        ("of a half", {"type": "number", "multipleOf": 0.5}, [0.5, 2, -1.5], [0.25]),
        ("in a range", {"type": "integer", "multipleOf": 5, "minimum": 3, "maximum": 12}, [5, 10], [0, 15, 6]),
    ],
    "anyOf": [
        ("types", {"anyOf": [{"type": "integer"}, {"type": "string", "minLength": 2}]}, [1, "ab"], ["a", 1.5]),
        ("overlapping", {"anyOf": [{"type": "integer"}, {"type": "number", "minimum": 2}]}, [1, 2.5, 3], [1.5]),
        ("beside a type", {"type": "string", "anyOf": [{"maxLength": 2}, {"minLength": 4}]}, ["ab", "abcd"], ["abc"]),
        (
            "required properties",
            {
                "type": "object",
                "properties": {"foo": {"type": "string"}, "bar": {"type": "integer"}},
                "anyOf": [{"required": ["foo"]}, {"required": ["bar"]}],
            },
            [{"foo": "a"}, {"bar": 1}, {"foo": "a", "bar": 1}],
            [{}, {"foo": 2}],
        ),
        ("nested", {"anyOf": [{"anyOf": [{"type": "null"}]}]}, [None], [123]),
    ],
    "oneOf": [
        ("types", {"oneOf": [{"type": "integer"}, {"type": "string"}]}, [1, "a"], [1.5, None]),
        ("constants", {"oneOf": [{"const": "a"}, {"const": "b"}]}, ["a", "b"], ["c"]),
        (
            "exactly one of two properties",
            {
                "type": "object",
                "properties": {"id": {"type": "integer"}, "name": {"type": "string"}},
                "oneOf": [{"required": ["id"]}, {"required": ["name"]}],
            },
            [{"id": 1}, {"name": "a"}],
            [{}, {"id": 1, "name": "a"}],
        ),
    ],
    "allOf": [
        (
            "objects",
            {
                "allOf": [
                    {"properties": {"bar": {"type": "integer"}}, "required": ["bar"]},
                    {"properties": {"foo": {"type": "string"}}, "required": ["foo"]},
                ],
                "type": "object",
            },
            [{"foo": "baz", "bar": 2}],
            [{"foo": "baz"}, {"bar": 2}, {"foo": "baz", "bar": "quux"}],
        ),
        (
            "numbers",
            {"allOf": [{"type": "integer", "maximum": 30}, {"type": "integer", "minimum": 20}]},
            [25, 20, 30],
            [35, 19],
        ),
        (
            "strings",
            {"allOf": [{"type": "string", "pattern": "a"}, {"type": "string", "pattern": "b"}]},
            ["ab", "ba"],
            ["a", "b"],
        ),
        ("of one, beside a description", {"description": "x", "allOf": [{"$ref": "#/$defs/word"}]}, ["abc"], ["A"]),
        (
            "with anyOf",
            {"allOf": [{"type": "string"}, {"anyOf": [{"minLength": 3}, {"const": "a"}]}]},
            ["a", "abc"],
            ["ab"],
        ),
    ],
    "$ref": [
        ("to a definition", {"$ref": "#/$defs/word"}, ["abc"], ["", "A", 1]),
        ("in items", {"type": "array", "items": {"$ref": "#/$defs/word"}}, [["a", "b"], []], [["A"]]),
        ("escaped", {"$ref": "#/$defs/a~1b%25c"}, [True], ["a"]),
        (
            "recursive",
            {"$ref": "#/$defs/tree"},
            [{"value": 1}, {"value": 1, "children": [{"value": 2, "children": []}]}],
            [{}, {"value": 1, "children": [{}]}, {"value": 1, "children": [{"value": "a"}]}],
        ),
        ("recursive through anyOf", {"$ref": "#/$defs/list"}, [None, {}, {"next": {"next": None}}], [{"next": 1}, 1]),
        ("with keywords beside it", {"$ref": "#/$defs/word", "maxLength": 2}, ["ab"], ["abc", "A"]),
        ("to another property", {"$ref": "#/$defs/tree/properties/value"}, [1.5], ["a"]),
        ("to an item of a list", {"$ref": "#/$defs/list/anyOf/0"}, [None], [{}]),
    ],
    "$defs": [
        ("inside, not looked at", {"type": "string", "$defs": {"unused": {"not": {}}}}, ["a"], [1]),
        ("inside, referred to", {"$ref": "#/properties/v/$defs/n", "$defs": {"n": {"type": "integer"}}}, [1], ["a"]),
    ],
    "definitions": [
        ("as $defs", {"$ref": "#/properties/v/definitions/n", "definitions": {"n": {"type": "integer"}}}, [1], ["a"]),
    ],
    "discriminator": [
        (
            "its property is required",
            {
                "oneOf": [
                    {"type": "object", "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}}},
                    {"type": "object", "properties": {"kind": {"const": "dog"}}},
                ],
                "discriminator": {"propertyName": "kind"},
            },
            [{"kind": "cat", "lives": 9}, {"kind": "cat"}, {"kind": "dog"}],
            [{"kind": "bird"}, {"kind": "dog", "lives": 9}],
        ),
    ],
}

REFUSED_CASES: list[tuple[Any, str]] = [
    ({"type": "string", "not": {"const": "a"}}, ".not"),
    ({"type": "integer", "if": {"minimum": 1}, "then": {"maximum": 5}}, ".if"),
    ({"type": "object", "dependentRequired": {"a": ["b"]}}, ".dependentRequired"),
    ({"type": "array", "contains": {"const": 1}}, ".contains"),
    ({"type": "array", "uniqueItems": True}, ".uniqueItems"),
    ({"type": "array", "items": {"type": "array", "uniqueItems": True}}, ".items.uniqueItems"),
    ({"type": "object", "properties": {"x": {"type": "string", "format": "iri"}}}, ".properties.x.format"),
    ({"type": "string", "pattern": r"^(?!a)"}, ".pattern"),
    ({"type": "string", "pattern": r"\bfoo\b"}, ".pattern"),
    ({"type": "string", "pattern": r"(a)\1"}, ".pattern"),
    ({"type": "object", "propertyNames": {"maxLength": 3}}, ".propertyNames"),
    ({"type": "object", "propertyNames": {"not": {"const": "a"}}}, ".propertyNames"),
    ({"type": "object", "propertyNames": {"type": "string", "if": {}}}, ".propertyNames"),
    ({"type": "object", "patternProperties": {r"^\d$": {}, "^[0-9]$": {"type": "null"}}}, ".patternProperties.^[0-9]$"),
    ({"type": "object", "patternProperties": {"^a": {}, "b$": {}}}, ".patternProperties"),
    ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, ".oneOf"),
    ({"allOf": [{"type": "integer", "multipleOf": 2}, {"multipleOf": 3}]}, ".allOf[0].multipleOf"),
    ({"type": "integer", "minimum": 5, "maximum": 4}, ".minimum"),
    ({"type": "string", "minLength": 5, "maxLength": 4}, ".minLength"),
    ({"type": "object", "required": ["a"], "properties": {"a": False}}, ".required"),
    ({"type": "object", "unevaluatedProperties": False, "properties": {}, "required": ["a"]}, ".required"),
    ({"$ref": "other.json"}, ".$ref"),
    ({"$dynamicRef": "#x"}, ".$dynamicRef"),
    ({"type": "array", "prefixItems": [{}], "unevaluatedItems": False}, ".unevaluatedItems"),
]
"""Schemas that are refused, and the path of the keyword at fault below the schema."""
