"""The grammar: what it admits, what it forces, and that it fails closed."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

from model.errors import SchemaError
from model.grammar import Grammar, GrammarCompiler, GrammarError, free_mask
from model.schema import normalise
from tests.model.tiny_tokenizer import TinyTokenizer

WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "unit": {"enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 14},
    },
    "required": ["city", "unit"],
}


@pytest.fixture(scope="module")
def weather(compiler: GrammarCompiler) -> Grammar:
    return compiler.compile(normalise(WEATHER, "parameters"))


def admits(grammar: Grammar, tokenizer: TinyTokenizer, text: str) -> bool:
    matcher = grammar.matcher()
    try:
        matcher.accept(tokenizer.encode(text))
    except GrammarError:
        return False
    return matcher.finished


# What is admitted ----------------------------------------------------------------------------------------------------

NODE = {"$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}}}
TAGGED = [
    {"type": "object", "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}}, "required": ["kind"]},
    {"type": "object", "properties": {"kind": {"const": "dog"}, "size": {"type": "string"}}, "required": ["kind"]},
]


@pytest.mark.parametrize(
    "schema, valid, invalid",
    [
        (
            {"type": "string"},
            ['"x"', '""', '"a\\"b\\\\c\\n"', '"é日本"'],
            ["x", "1", '"', '"\n"', '"\\u0041"', '"\\/"'],
        ),
        ({"type": "boolean"}, ["true", "false"], ["True", '"true"', "null"]),
        ({"type": "null"}, ["null"], ["None", "0"]),
        ({"type": ["integer", "null"]}, ["7", "null"], ['"7"', "7.5"]),
        ({"type": "integer"}, ["0", "-12", "123456789012345678901"], ["01", "1.0", "1e3", "+1", "--1"]),
        ({"type": "number"}, ["0", "-12.50", "1e-7", "6.02E23"], [".5", "5.", "Infinity", "NaN", "0x1"]),
        ({}, ['{"b":[1,{}]}', "[]", "null", '"x"', "-1.5"], ["{b:1}", "[1,]", "undefined"]),
        (
            {"enum": ["a", 1, None, {"k": [True]}]},
            ['"a"', "1", "null", '{"k":[true]}'],
            ['"b"', "2", '{"k":[]}', "true"],
        ),
        ({"const": 'say "<end>"'}, ['"say \\"<end>\\""'], ['"say"', '"say \\"<end>"']),
        ({"type": "string", "minLength": 2, "maxLength": 3}, ['"ab"', '"é\\n日"'], ['"a"', '"abcd"', '""']),
        ({"type": "string", "pattern": r"\d-\d"}, ['"1-2"', '"x1-23"'], ['"1"', '"--"', '"1 - 2"']),
        ({"type": "string", "pattern": r"^[A-Z]{3}$"}, ['"ABC"'], ['"ABCD"', '"abc"', '" ABC"']),
        ({"type": "string", "format": "date"}, ['"2024-02-29"', '"1999-12-31"'], ['"2023-02-29"', '"0000-01-01"']),
        (
            {"type": "string", "format": "date-time"},
            ['"2024-05-01T09:30:00Z"', '"2024-05-01T09:30:00.125+02:00"'],
            ['"2024-05-01"', '"2024-05-01T24:00:00Z"', '"2024-05-01T09:30:00"', '"2024-05-01T09:30:60Z"'],
        ),
        ({"type": "string", "format": "time"}, ['"09:30:00Z"'], ['"9:30"', '"09:30:00"']),
        ({"type": "string", "format": "duration"}, ['"P3DT4H"'], ['"3 days"', '"P"']),
        ({"type": "string", "format": "email"}, ['"john@example.com"'], ['"john"', '"a b@example.com"']),
        ({"type": "string", "format": "hostname"}, ['"example.com"'], ['"-a"', '"a b"']),
        ({"type": "string", "format": "ipv4"}, ['"192.168.0.1"'], ['"192.168.0.256"', '"1.2.3"']),
        ({"type": "string", "format": "ipv6"}, ['"::1"', '"2001:db8::8:800"'], ['"1::2::3"', '":1"']),
        ({"type": "string", "format": "uuid"}, ['"123e4567-e89b-12d3-a456-426614174000"'], ['"123e4567"']),
        ({"type": "string", "format": "uri"}, ['"https://a.example/b?c=d#e"'], ['"a b"', '"/relative"']),
        ({"type": "string", "format": "date", "pattern": "^2024"}, ['"2024-02-29"'], ['"2023-01-01"']),
        ({"type": "integer", "minimum": -3, "maximum": 12}, ["-3", "0", "12"], ["-4", "13", "120"]),
        ({"type": "integer", "exclusiveMinimum": 5, "exclusiveMaximum": 7}, ["6"], ["5", "7"]),
        ({"type": "number", "minimum": 0.25, "maximum": 1}, ["0.25", "0.5", "1", "1.0"], ["0.2", "1.01", "0", "1e0"]),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 0.5}, ["0.001", "0.5"], ["0", "0.0", "0.51"]),
        # What is read as a double must still be below the bound, or a multiple.
        ({"type": "number", "exclusiveMaximum": 1}, ["0.9", "0.9999999999999"], ["0.99999999999999999999", "1"]),
        ({"type": "number", "minimum": -0.95, "maximum": 99.99}, ["99.9", "-0.9", "99.90"], ["99.991", "-0.96"]),
        ({"type": "number", "multipleOf": 0.25, "minimum": -3}, ["-0.5", "-1.50", "0.50", "-0.75"], ["-0.4", "-3.25"]),
        ({"type": "number", "multipleOf": 1.5}, ["99999999999999"], ["56047653648281410000000000000000000000001.5"]),
        ({"type": "integer", "multipleOf": 15}, ["0", "45", "-30"], ["5", "50"]),
        ({"type": "number", "multipleOf": 0.01}, ["12.5", "12.50", "3"], ["0.005"]),
        ({"type": "array"}, ["[]", '[1,"a",[null]]'], ["[1 ,2]", "{}"]),
        (
            {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2},
            ["[1]", "[1,2]"],
            ["[]", "[1,2,3]"],
        ),
        ({"type": "array", "prefixItems": [{"type": "null"}], "items": {"const": 2}}, ["[]", "[null,2,2]"], ["[2]"]),
        ({"type": "array", "items": [{"const": 1}], "additionalItems": False}, ["[1]", "[]"], ["[1,1]"]),
        (
            {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "null"}}, "required": ["y"]},
            ['{"y":null}', '{"x":1,"y":null}'],
            ["{}", '{"x":1}', '{"y":null,"x":1}', '{"y":null,"z":1}', '{"y": null}'],
        ),
        (
            {"type": "object", "properties": {"city": {}}, "additionalProperties": {"type": "integer"}},
            ['{"cit":1,"citys":2}', '{"city":"x","a":1}'],
            ['{"a":"x"}', '{"a":1,"city":2}', '{"\\u0063ity":1}'],
        ),
        (
            {"type": "object", "patternProperties": {"^x_": {"type": "null"}}, "additionalProperties": False},
            ['{"x_1":null}', "{}"],
            ['{"y":null}', '{"x_1":1}'],
        ),  # fmt: skip
        ({"type": "object", "propertyNames": {"pattern": "^[a-z]+$"}}, ['{"ab":1}'], ['{"A":1}', '{"":1}']),
        ({"type": "object", "propertyNames": {"enum": ["a", "b"]}}, ['{"b":1}', "{}"], ['{"c":1}']),
        ({"type": "object", "minProperties": 1, "maxProperties": 2}, ['{"a":1}', '{"a":1,"b":1}'], ["{}"]),
        ({"type": "object", "properties": {"x": {}, "y": {}}, "minProperties": 1}, ['{"x":1}', '{"y":1}'], ["{}"]),
        ({"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}}]}, ["1", "[1]"], ['"1"']),
        ({"oneOf": TAGGED}, ['{"kind":"cat","lives":9}', '{"kind":"dog"}'], ['{"kind":"cat","size":"s"}', "{}"]),
        ({"allOf": [{"type": "string", "minLength": 2}, {"maxLength": 3}]}, ['"ab"', '"abc"'], ['"a"', '"abcd"']),
        (
            {"allOf": [{"properties": {"x": {"type": "integer"}}}, {"properties": {"y": {}}, "required": ["y"]}]},
            ['{"x":1,"y":2}', '{"y":2}'],
            ['{"x":1}', '{"y":2,"z":3}'],
        ),
        ({"$ref": "#/$defs/node"}, ["{}", '{"next":{"next":{}}}'], ['{"next":1}', '{"other":{}}']),
        ({"type": "string", "nullable": True}, ['"x"', "null"], ["1"]),
    ],
)
def test_what_a_keyword_admits(
    schema: Any, valid: list[str], invalid: list[str], compiler: GrammarCompiler, tiny_tokenizer: TinyTokenizer
) -> None:
    parameters = {"type": "object", "properties": {"a": schema}, "required": ["a"], **NODE}
    grammar = compiler.compile(normalise(parameters, "parameters"))
    assert [text for text in valid if not admits(grammar, tiny_tokenizer, f'{{"a":{text}}}')] == []
    assert [text for text in invalid if admits(grammar, tiny_tokenizer, f'{{"a":{text}}}')] == []


def test_no_parameters_admit_nothing_but_an_empty_object(
    compiler: GrammarCompiler, tiny_tokenizer: TinyTokenizer
) -> None:
    matcher = compiler.compile(normalise({}, "parameters")).matcher()
    assert tiny_tokenizer.decode(matcher.forced()) == "{}"


# Matching ------------------------------------------------------------------------------------------------------------


def test_forced_text_is_written_as_the_tokenizer_writes_it(weather: Grammar, tiny_tokenizer: TinyTokenizer) -> None:
    tokens = tiny_tokenizer.encode('{"city":"San Francisco","unit":"celsius","days":12}')
    matcher = weather.matcher()
    for position, token in enumerate(tokens):
        forced = matcher.forced()
        assert forced == tokens[position : position + len(forced)]
        matcher.accept([token])
    assert matcher.finished and matcher.may_stop and matcher.forced() == []


def test_forced_tokens_are_not_consumed_by_asking(weather: Grammar, tiny_tokenizer: TinyTokenizer) -> None:
    matcher = weather.matcher()
    assert matcher.forced() == matcher.forced() == tiny_tokenizer.encode('{"city":"')


def test_a_forced_run_stops_before_a_token_that_could_go_on(
    compiler: GrammarCompiler, tiny_tokenizer: TinyTokenizer
) -> None:
    matcher = compiler.compile({"enum": ["celsius", "celery"]}).matcher()
    forced = tiny_tokenizer.decode(matcher.forced())
    assert forced == '"'  # "cel" is certain, but not in which tokens


def test_a_single_allowed_token_is_forced(compiler: GrammarCompiler, tiny_tokenizer: TinyTokenizer) -> None:
    matcher = compiler.compile({"enum": ["<end>", "<end>."]}).matcher()
    written = ""
    while forced := matcher.forced():
        assert tiny_tokenizer.end not in forced
        written += tiny_tokenizer.decode(forced)
        matcher.accept(forced)
    assert written == '"<end>'
    assert matcher.allowed().sum() == 2


def test_after_a_digit_the_number_may_go_on_or_end(weather: Grammar, tiny_tokenizer: TinyTokenizer) -> None:
    matcher = weather.matcher()
    matcher.accept(tiny_tokenizer.encode('{"city":"","unit":"celsius","days":1'))
    allowed = {tiny_tokenizer.decode([int(token)]) for token in np.flatnonzero(matcher.allowed())}
    assert allowed == {"0", "1", "2", "3", "4", "}"}


def test_special_tokens_are_never_allowed_inside(weather: Grammar, tiny_tokenizer: TinyTokenizer) -> None:
    matcher = weather.matcher()
    matcher.accept(matcher.forced())
    allowed = matcher.allowed()
    assert allowed.shape == (tiny_tokenizer.vocab_size,) and allowed.dtype == np.bool_
    assert not allowed[: tiny_tokenizer.end + 1].any() and allowed.sum() > 200


def test_only_the_end_follows_a_finished_value(weather: Grammar, tiny_tokenizer: TinyTokenizer) -> None:
    matcher = weather.matcher()
    matcher.accept(tiny_tokenizer.encode('{"city":"","unit":"celsius"'))
    assert not matcher.may_stop and not matcher.finished
    matcher.accept(tiny_tokenizer.encode("}"))
    assert matcher.finished
    assert np.flatnonzero(matcher.allowed()).tolist() == [tiny_tokenizer.end]


def test_a_mask_follows_what_was_accepted(weather: Grammar, tiny_tokenizer: TinyTokenizer) -> None:
    matcher = weather.matcher()
    quote = tiny_tokenizer.encode('"')[0]
    assert not matcher.allowed()[quote]
    matcher.accept(matcher.forced())
    assert matcher.allowed()[quote]
    assert matcher.allowed() is matcher.allowed()


def test_matchers_of_one_grammar_are_independent(weather: Grammar, tiny_tokenizer: TinyTokenizer) -> None:
    one, other = weather.matcher(), weather.matcher()
    one.accept(one.forced())
    assert tiny_tokenizer.decode(other.forced()) == '{"city":"'


def test_threads_may_share_a_grammar(compiler: GrammarCompiler, tiny_tokenizer: TinyTokenizer) -> None:
    grammar = compiler.compile(normalise(WEATHER, "parameters"))
    tokens = tiny_tokenizer.encode('{"city":"Paris","unit":"celsius"}')
    masks: list[list[bool]] = []

    def work() -> None:
        for _ in range(20):
            compiler.compile(normalise(WEATHER, "parameters"))
            masks.append(free_mask(grammar, tokens))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(masks) == 80 and all(mask == masks[0] for mask in masks)


# Failing closed ------------------------------------------------------------------------------------------------------


def test_a_matcher_that_left_its_grammar_stays_unusable(weather: Grammar, tiny_tokenizer: TinyTokenizer) -> None:
    matcher = weather.matcher()
    with pytest.raises(GrammarError):
        matcher.accept(tiny_tokenizer.encode('{"town"'))
    with pytest.raises(GrammarError):
        matcher.forced()
    with pytest.raises(GrammarError):
        matcher.allowed()
    with pytest.raises(GrammarError):
        matcher.accept(tiny_tokenizer.encode("{"))
    with pytest.raises(GrammarError):
        _ = matcher.finished
    with pytest.raises(GrammarError):
        _ = matcher.may_stop


@pytest.mark.parametrize(
    "schema, place",
    [
        (
            {"type": "object", "properties": {"x": {}}, "minProperties": 1, "additionalProperties": True},
            ".properties.a.minProperties",
        ),
        ({"type": "array", "items": {"type": "string", "pattern": "a^"}}, ".properties.a.items.pattern"),
        ({"anyOf": [{"type": "string", "pattern": "a^"}, {"type": "null"}]}, ".properties.a.anyOf[0].pattern"),
        ({"type": "array", "items": [{"type": "string", "pattern": "a^"}]}, ".properties.a.items[0].pattern"),
        ({"type": "object", "patternProperties": {"^a": {}, "b$": {}}}, ".properties.a.patternProperties"),
        ({"$ref": "#/$defs/d"}, ".$defs.d.properties.b.pattern"),
        ({"allOf": [{"type": "string"}, {"type": "integer"}]}, ".properties.a"),
        ({"type": "string", "enum": [1, 2]}, ".properties.a"),
    ],
)
def test_what_the_engine_refuses_is_named(schema: Any, place: str, compiler: GrammarCompiler) -> None:
    inside = {"type": "object", "properties": {"d": {"$ref": "#/$defs/d"}, "b": {"type": "string", "pattern": "a^"}}}
    parameters = {"type": "object", "properties": {"fine": {}, "a": schema}, "required": ["a"], "$defs": {"d": inside}}
    with pytest.raises(SchemaError) as caught:
        compiler.compile(normalise(parameters, "tools[0].function.parameters"), "tools[0].function.parameters")
    assert caught.value.param == f"tools[0].function.parameters{place}"


def test_all_that_the_engine_refuses_is_named(compiler: GrammarCompiler) -> None:
    wrong = {"type": "string", "pattern": "a^"}
    parameters = {
        "type": "object",
        "properties": {
            "a": wrong,
            "fine": {"type": "array", "items": {"$ref": "#/$defs/fine"}},
            "b": {"type": "array", "items": {"anyOf": [wrong, {"type": "null"}, {"type": "array", "items": wrong}]}},
            "c": {"$ref": "#/$defs/c"},
            "d": {"type": "object", "properties": {"x": {}}, "minProperties": 1, "additionalProperties": True},
        },
        "$defs": {
            "fine": {"type": "object", "properties": {"next": {"$ref": "#/$defs/fine"}}},
            "c": {"type": "object", "properties": {"c": {"$ref": "#/$defs/c"}, "y": wrong}},
        },
    }
    inspection = compiler.inspect(normalise(parameters, "p"), "p")
    assert inspection.grammar is None and inspection.complete
    assert [fault.param for fault in inspection.faults] == [
        "p.properties.a.pattern",
        "p.properties.b.items.anyOf[0].pattern",
        "p.properties.b.items.anyOf[2].items.pattern",
        "p.$defs.c.properties.y.pattern",
        "p.properties.d.minProperties",
    ]
    with pytest.raises(SchemaError) as caught:
        compiler.compile(normalise(parameters, "p"), "p")
    assert (caught.value.param, caught.value.message) == (inspection.faults[0].param, inspection.faults[0].message)


def test_the_search_for_faults_ends(compiler: GrammarCompiler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.grammar.MAX_SEARCH_STEPS", 10)
    wrong = {f"p{i}": {"type": "string", "pattern": "a^"} for i in range(30)}
    inspection = compiler.inspect(normalise({"properties": wrong}, "p"), "p")
    assert not inspection.complete and 0 < len(inspection.faults) < 30


def test_what_is_fine_has_no_faults(compiler: GrammarCompiler) -> None:
    inspection = compiler.inspect(normalise(WEATHER, "p"), "p")
    assert inspection.grammar is not None and inspection.complete and inspection.faults == ()


def test_without_a_path_the_error_has_the_relative_one(compiler: GrammarCompiler) -> None:
    with pytest.raises(SchemaError) as caught:
        compiler.compile({"type": "string", "pattern": "a^"})
    assert caught.value.param is None


def test_complexity_is_limited(compiler: GrammarCompiler) -> None:
    one_of_many = {"anyOf": [{"type": "string", "pattern": f"{letter}+x*$"} for letter in "abcdefghij"]}
    with pytest.raises(SchemaError):
        compiler.compile({"allOf": [one_of_many] * 6})


def test_a_schema_cannot_change_the_compiler_options(compiler: GrammarCompiler, tiny_tokenizer: TinyTokenizer) -> None:
    grammar = compiler.compile({**normalise(WEATHER, "p"), "x-guidance": {"whitespace_flexible": True}})
    assert not admits(grammar, tiny_tokenizer, '{ "city":"","unit":"celsius"}')


def test_nbytes_grows_with_the_schema(compiler: GrammarCompiler, weather: Grammar) -> None:
    large = compiler.compile({"enum": [f"value {i}" for i in range(2000)]})
    assert 0 < weather.nbytes < large.nbytes


# Gold values ---------------------------------------------------------------------------------------------------------


def test_free_mask_marks_the_choices(weather: Grammar, tiny_tokenizer: TinyTokenizer) -> None:
    tokens = tiny_tokenizer.encode('{"city":"Paris","unit":"celsius","days":12}')
    free = [
        tiny_tokenizer.decode([token])
        for token, is_free in zip(tokens, free_mask(weather, tokens), strict=True)
        if is_free
    ]
    assert "".join(free).startswith('Paris"') and free[-3:] == [",", "1", "2"]
    assert not {"city", "unit", "days", "{", "}", ":"} & set(free)


def test_free_mask_of_a_forced_value_is_all_false(compiler: GrammarCompiler, tiny_tokenizer: TinyTokenizer) -> None:
    grammar = compiler.compile({"const": {"k": ["<end>"]}})
    assert not any(free_mask(grammar, tiny_tokenizer.encode('{"k":["<end>"]}')))


@pytest.mark.parametrize(
    "text, message",
    [
        ('{"unit":"celsius"}', r"^token \d+ .* is not allowed"),
        ('{"city":"Paris"}', r"^token \d+ .* is not allowed"),
        ('{"city":"Paris","unit":"celsius"', "not complete"),
        ("", "not complete"),
    ],
)
def test_free_mask_names_what_is_wrong(
    text: str, message: str, weather: Grammar, tiny_tokenizer: TinyTokenizer
) -> None:
    with pytest.raises(ValueError, match=message):
        free_mask(weather, tiny_tokenizer.encode(text))


def test_free_mask_takes_what_json_dumps_writes(compiler: GrammarCompiler, tiny_tokenizer: TinyTokenizer) -> None:
    value = {"s": 'tab\t "quoted" \\ é日本 /', "n": [0, -1.5, 1e-07, 10**20], "o": {}, "t": True, "z": None}
    grammar = compiler.compile(normalise({"properties": {name: {} for name in value}}, "parameters"))
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    assert any(free_mask(grammar, tiny_tokenizer.encode(text)))


def test_importing_the_grammar_imports_neither_torch_nor_transformers() -> None:
    code = "import sys, model.grammar; print({'torch', 'transformers', 'llguidance.hf'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
