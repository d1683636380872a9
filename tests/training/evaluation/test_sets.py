"""Requests as tasks, each in the rows it counts in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model.types import Message, Tool
from training.data.example import Call, Example
from training.evaluation.sets import bfcl_tasks, held_out_tasks
from training.scoring import Accepted, Annotated

TOOLS = (Tool("f"),)
CALL = Call("f", {"x": 1})


@pytest.mark.parametrize(
    ("source", "group", "calls", "row"),
    [
        ("snips", "snips:Music", 1, ("held/snips",)),
        ("sgd", "sgd:Buses#v3", 1, ("held/sgd", "held/sgd:Buses")),
        ("sgd", "sgd:Buses", 0, ("held/no call is right",)),
        ("scenarios", "scenario:algebra#2", 1, ("held/one call",)),
        ("scenarios", "scenario:algebra#2", 3, ("held/several calls",)),
        ("scenarios", "scenario:algebra#2", 0, ("held/no call is right",)),
    ],
)
def test_rows_of_a_request(source: str, group: str, calls: int, row: tuple[str, ...]) -> None:
    example = Example(source, group, (Message("user", "Do it"),), TOOLS, (CALL,) * calls)
    [task] = held_out_tasks("held", [example])
    assert task.rows == ("held/all", *row)
    assert (task.messages, task.tools) == (example.messages, TOOLS)
    assert task.gold == (Annotated("f", {"x": 1}),) * calls


def test_requests_are_numbered() -> None:
    examples = [Example("s", "g", (Message("user", text),), TOOLS, ()) for text in ("a", "b")]
    assert [t.id for t in held_out_tasks("held", examples)] == ["held_0", "held_1"]


def test_leaderboard_questions(tmp_path: Path) -> None:
    (tmp_path / "possible_answer").mkdir()
    parameters = {"type": "dict", "properties": {"x": {"type": "float"}}, "required": []}
    question = {
        "id": "q",
        "question": [[{"role": "user", "content": "Do it"}]],
        "function": [{"name": "kit.f", "description": "F", "parameters": parameters}],
    }
    for name in ("multiple", "irrelevance"):
        (tmp_path / f"BFCL_v4_{name}.json").write_text(json.dumps(question) + "\n", encoding="utf-8")
    answer = {"id": "q", "ground_truth": [{"kit.f": {"x": [1.5]}}]}
    (tmp_path / "possible_answer" / "BFCL_v4_multiple.json").write_text(json.dumps(answer) + "\n", encoding="utf-8")
    called, uncalled = bfcl_tasks(tmp_path, ("multiple", "irrelevance"))
    assert (called.id, called.rows, called.tools[0].name) == ("q", ("bfcl/multiple",), "kit_f")
    assert called.gold == (Accepted("kit_f", {"x": [1.5]}, parameters["properties"], []),)  # type: ignore[arg-type]
    assert (uncalled.rows, uncalled.gold) == (("bfcl/irrelevance",), ())
