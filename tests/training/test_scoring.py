"""When a call counts as right: the leaderboard's rules, and ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from model.schema import normalise
from training.bfcl import json_schema, load_category, tool_name
from training.scoring import accepted, matched, same_text, same_value


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("New York", "new-york", True),
        ("a*b", "A B", True),
        ("x/y.z_'\"^,", "xyz", True),
        ("Paris", "Pariss", False),
        ("a;b", "ab", False),
        ("1.5", "15", True),  # the leaderboard's rule, odd as it is
        ("été", "ete", False),
    ],
)
def test_same_text(a: str, b: str, same: bool) -> None:
    assert same_text(a, b) == same == same_text(b, a)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (True, True, True),
        (1, "1", False),
        (None, None, True),
        (["A b", 1], ["ab", 1.0], True),
        ([1, 2], [2, 1], False),
        ([1], [1, 1], False),
        ({"k": "A"}, {"k": "a"}, True),
        ({"k": 1}, {"k": 1, "l": 2}, False),
        ({"K": 1}, {"k": 1}, False),
    ],
)
def test_same_value(a: Any, b: Any, same: bool) -> None:
    assert same_value(a, b) is same is same_value(b, a)


ANSWER: dict[str, list[Any]] = {
    "city": ["New York", "NYC"],
    "days": [5, ""],
    "filter": [{"max": [10, 20], "tag": ["", "a"]}, ""],
}


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        ({"city": "new york"}, True),
        ({"city": "NYC", "days": 5.0}, True),
        ({"days": 5}, False),  # city may not be left out
        ({"city": "NYC", "days": 6}, False),
        ({"city": "NYC", "extra": 1}, False),
        ({"city": "NYC", "filter": {"max": 20}}, True),
        ({"city": "NYC", "filter": {"max": 20, "tag": "A"}}, True),
        ({"city": "NYC", "filter": {"max": 30}}, False),
        ({"city": "NYC", "filter": {"tag": "a"}}, False),
        ({}, False),
    ],
)
def test_accepted(arguments: dict[str, Any], right: bool) -> None:
    assert accepted(arguments, ANSWER) is right


@pytest.mark.parametrize(
    ("value", "right"),
    [([[{"a": 1}]], True), ([], False), ([{"a": 1}], True), ([{"a": 2}], False), ([{"a": 1}] * 2, False)],
)
def test_dictionaries_in_a_list(value: Any, right: bool) -> None:
    if value and isinstance(value[0], list):
        value = value[0]
    assert accepted({"x": value}, {"x": [[{"a": [1]}]]}) is right


def test_matched_pairs_in_any_order_one_to_one() -> None:
    def equal(a: int, b: int) -> bool:
        return a == b

    assert matched([1, 2], [2, 1], equal)
    assert matched([], [], equal)
    assert not matched([1, 1], [1, 2], equal)
    assert not matched([1], [1, 1], equal)
    assert not matched([1, 1], [1], equal)


def test_matched_finds_a_pairing_that_needs_looking_further() -> None:
    """The first gold call also fits what only the second one fits."""
    assert matched([{1, 2}, {1}], [1, 2], lambda gold, call: call in gold)
    assert not matched([{1, 2}, {1}, {1}], [1, 2, 2], lambda gold, call: call in gold)


def test_bfcl_schema_becomes_json_schema() -> None:
    schema = json_schema(
        {
            "type": "dict",
            "properties": {
                "type": {"type": "string", "optional": True},
                "optional": {"type": "any"},
                "pair": {"type": "tuple", "items": {"type": "float"}},
                "box": {"type": "dict", "properties": {"properties": {"type": "boolean"}}},
            },
            "required": ["type"],
        }
    )
    assert schema == {
        "type": "object",
        "properties": {
            "type": {"type": "string"},
            "optional": {},
            "pair": {"type": "array", "items": {"type": "number"}},
            "box": {"type": "object", "properties": {"properties": {"type": "boolean"}}},
        },
        "required": ["type"],
    }
    Draft202012Validator.check_schema(schema)
    normalise(schema, "parameters")


def test_tool_names_lose_their_dots() -> None:
    assert tool_name("math.area.circle") == "math_area_circle"


def test_questions_and_answers_meet(tmp_path: Path) -> None:
    (tmp_path / "possible_answer").mkdir()
    function = {
        "name": "a.f",
        "description": "F",
        "parameters": {"type": "dict", "properties": {"x": {"type": "integer"}}},
    }
    rows = [
        {
            "id": f"m_{k}",
            "question": [[{"role": "system", "content": "S"}, {"role": "user", "content": f"q{k}"}]],
            "function": [function],
        }
        for k in range(2)
    ]
    answers = [{"id": f"m_{k}", "ground_truth": [{"a.f": {"x": [k]}}, {"a.f": {"x": [9]}}]} for k in (1, 0)]
    for path, content in (("BFCL_v4_multiple.json", rows), ("possible_answer/BFCL_v4_multiple.json", answers)):
        (tmp_path / path).write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    first, second = load_category(tmp_path, "multiple")
    assert [m.role for m in first.messages] == ["system", "user"]
    assert (first.id, first.messages[-1].text, first.tools[0].name) == ("m_0", "q0", "a_f")
    assert first.answers == (("a_f", {"x": [0]}), ("a_f", {"x": [9]}))
    assert second.answers == (("a_f", {"x": [1]}), ("a_f", {"x": [9]}))
    (tmp_path / "possible_answer" / "BFCL_v4_multiple.json").unlink()
    assert all(q.answers is None for q in load_category(tmp_path, "multiple"))
