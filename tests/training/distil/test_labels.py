"""Labels as a file: what is written is read, each tool is in it once, and a wrong line is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model.types import Message, Tool
from tests.training.distil.toys import MESSAGE, TIMER, TOOLS, WEATHER, call, user
from training.data.example import Call, Example
from training.distil.labels import Answer, Label, read_labels, write_labels

OSLO = (Call("get_weather", {"city": "Oslo", "days": 3}),)
LABELS = [
    Label(
        Example("distil", "distil", user("Oslo, é 日本?"), TOOLS, OSLO), (Answer(OSLO, 0.6), Answer((), 0.4)), "call"
    ),
    Label(Example("distil", "distil", user("hi"), TOOLS, ()), (Answer((), 1.0),), "irrelevant"),
    Label(
        Example(
            "distil",
            "distil",
            (
                Message("system", "Be brief."),
                Message("user", "a timer"),
                Message("assistant", "Sure.", (call("set_timer", minutes=3), call("set_timer", minutes=4))),
                Message("tool", "{}", name="set_timer"),
                Message("user", "and the weather?"),
            ),
            (TIMER, WEATHER),
            OSLO,
        ),
        (Answer(OSLO, 1.0),),
        "follow_up",
    ),
]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_labels(tmp_path / "new" / "labels.jsonl", LABELS)
    read = read_labels(tmp_path / "new" / "labels.jsonl")
    assert read == LABELS
    assert read[0].example.tools is read[1].example.tools  # five thousand labels, one list of tools
    assert [label.agreement for label in read] == [0.6, 1.0, 1.0]
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["labels.jsonl"]


def test_each_tool_is_written_once_before_its_first_use(tmp_path: Path) -> None:
    other = Tool(WEATHER.name, "Another one of this name.", WEATHER.parameters)
    labels = [*LABELS, Label(Example("s", "g", user("x"), (other, MESSAGE), ()), (Answer((), 1.0),), "call")]
    write_labels(tmp_path / "l", labels)
    rows = [json.loads(line) for line in (tmp_path / "l").read_text(encoding="utf-8").splitlines()]
    assert ["tool" in row for row in rows] == [True] * 3 + [False] * 3 + [True, False]
    assert read_labels(tmp_path / "l") == labels


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    write_labels(tmp_path / "l", LABELS)

    def interrupted() -> object:
        yield LABELS[1]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_labels(tmp_path / "l", interrupted())  # type: ignore[arg-type]
    assert read_labels(tmp_path / "l") == LABELS


@pytest.mark.parametrize("line", ['{"kind": "call"}', "[]", "nonsense", '{"tool": {"name": "x"}}'])
def test_a_wrong_line_is_named(tmp_path: Path, line: str) -> None:
    write_labels(tmp_path / "l", LABELS)
    with (tmp_path / "l").open("a") as f:
        f.write(line + "\n")
    with pytest.raises(ValueError, match="l:7 is not a label"):
        read_labels(tmp_path / "l")


def test_a_label_whose_tool_is_missing_is_named(tmp_path: Path) -> None:
    write_labels(tmp_path / "l", LABELS)
    lines = (tmp_path / "l").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "l").write_text("".join(lines[2:]), encoding="utf-8")
    with pytest.raises(ValueError, match="l:2 is not a label"):
        read_labels(tmp_path / "l")
