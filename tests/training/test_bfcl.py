"""The leaderboard's files as questions."""

from __future__ import annotations

import json
from pathlib import Path

from jsonschema import Draft202012Validator

from model.schema import normalise
from training.bfcl import json_schema, load_category, tool_name
from training.scoring import Accepted


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
            "optional": {"type": "string"},
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
        "parameters": {"type": "dict", "properties": {"x": {"type": "integer"}}, "required": ["x"]},
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
    properties = {"x": {"type": "integer"}}
    assert first.answers == tuple(Accepted("a_f", {"x": [x]}, properties, ["x"]) for x in (0, 9))
    assert second.answers == tuple(Accepted("a_f", {"x": [x]}, properties, ["x"]) for x in (1, 9))
    (tmp_path / "possible_answer" / "BFCL_v4_multiple.json").unlink()
    assert all(q.answers is None for q in load_category(tmp_path, "multiple"))
