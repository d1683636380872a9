"""The recorded teacher: what was written down comes again, from a ledger or from OpenAI's files, line by line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from model.types import Tool
from tests.training.distil.toys import CITIES, TOOLS, Toy, price, tokenizer, user
from training.distil.filter import FilterConfig, filter_ledger
from training.distil.generate import GenerateConfig, generate
from training.distil.ledger import Ledger, read_ledger
from training.distil.sampling import Sampling
from training.teacher.base import Brief, Question, TeacherError
from training.teacher.recorded import Recorded, load_recorded

DECLARED = [
    {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": t.parameters}}
    for t in TOOLS
]


def row(text: str, city: str | None, **fields: Any) -> str:
    """A fine-tuning line: the weather of a city, or no call."""
    function = {"name": "get_weather", "arguments": json.dumps({"city": city})}
    answer = {"tool_calls": [{"id": "a", "type": "function", "function": function}]} if city else {"content": "No."}
    messages = [{"role": "user", "content": text}, {"role": "assistant", **answer}]
    return json.dumps({"messages": messages, "tools": DECLARED, **fields})


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def run(teacher: Recorded, path: Path) -> Any:
    """As the user's command would: all samples that there are, for nothing."""
    config = GenerateConfig(sampling=Sampling(teacher.most, teacher.most), budget=0.0, concurrency=3)
    with Ledger(path, {"teacher": teacher.name}) as ledger:
        return generate(teacher, teacher.tools, ledger, config, lambda tokens: 0.0, questions=teacher.questions)


def test_several_recordings_of_a_question_are_its_samples(tmp_path: Path) -> None:
    lines = [row("Oslo or Rome?", city) for city in ("Oslo", "Oslo", "Rome", "Oslo")]
    teacher = load_recorded(write(tmp_path / "log", *lines, row("hi", None)))
    assert [q.question.messages for q in teacher.questions] == [user("Oslo or Rome?"), user("hi")]
    assert {q.kind for q in teacher.questions} == {"recorded"} and teacher.most == 4 and teacher.tools == TOOLS
    replies = teacher.answer(teacher.questions[0].question, 10)
    assert [json.loads(r.calls[0].arguments)["city"] for r in replies] == ["Oslo", "Oslo", "Rome", "Oslo"]
    assert teacher.answer(teacher.questions[0].question, 1) == replies[:1]
    assert [r.calls for r in teacher.answer(teacher.questions[1].question, 4)] == [()]


def test_what_is_not_recorded_is_an_error() -> None:
    teacher = Recorded([])
    with pytest.raises(TeacherError, match="Nothing is recorded for the request 'hi' with these tools"):
        teacher.answer(Question(user("hi"), TOOLS), 1)


def test_inventing_gives_the_recorded_requests_in_order_and_then_none(tmp_path: Path) -> None:
    teacher = load_recorded(write(tmp_path / "log", *(row(f"in {city}", city) for city in CITIES[:5])))
    given = [teacher.invent(Brief("call", f"{n}", 2), TOOLS) for n in range(4)]
    assert [len(invention.requests) for invention in given] == [2, 2, 1, 0]
    assert [m for i in given for m in i.requests] == [user(f"in {city}") for city in CITIES[:5]]


def test_recorded_traffic_becomes_labels_like_any_other(tmp_path: Path) -> None:
    lines = [row(f"is it raining in {city}", city) for city in CITIES for _ in range(2)]
    lines += [row("Oslo or Rome?", city) for city in ("Oslo", "Rome")] + [row("hello there", None)]
    teacher = load_recorded(write(tmp_path / "log", *lines))
    done = run(teacher, tmp_path / "l")
    assert (done.answered, done.stopped) == (len(CITIES) + 2, None)
    before = (tmp_path / "l").read_bytes()
    assert run(load_recorded(tmp_path / "log"), tmp_path / "l").answered == done.answered
    assert (tmp_path / "l").read_bytes() == before
    found = filter_ledger(read_ledger(tmp_path / "l"), tmp_path / "out", tokenizer(), FilterConfig())
    assert found.report.dropped == {"samples disagree": 1}
    assert len(found.labels) + len(found.heldout) == len(CITIES) + 1
    assert {label.kind for label in found.labels} == {"recorded"}


def test_a_ledger_is_replayed_as_it_was_filled(tmp_path: Path) -> None:
    config = GenerateConfig(examples=40, concurrency=3, seed=2)
    with Ledger(tmp_path / "first", {}) as ledger:
        generate(Toy(), TOOLS, ledger, config, price)
    first = read_ledger(tmp_path / "first")
    teacher = load_recorded(tmp_path / "first")
    assert teacher.questions == tuple(first.questions.values()) and teacher.most == 5
    # The same briefs, asked of the recording: the same questions come of it.
    with Ledger(tmp_path / "second", {}) as ledger:
        done = generate(teacher, TOOLS, ledger, GenerateConfig(40, None, Sampling(5, 5), 3, seed=2), price)
    second = read_ledger(tmp_path / "second")
    assert done.answered == 40 and second.dollars == 0.0
    assert list(second.questions.items()) == list(first.questions.items())
    assert {q: a.replies for q, a in second.answers.items()} == {q: a.replies for q, a in first.answers.items()}


def test_lines_that_cannot_be_used_are_told_and_the_others_used(tmp_path: Path) -> None:
    path = write(
        tmp_path / "log",
        row("in Oslo", "Oslo"),
        '{"messages": [',
        "",
        '{"prompt": "x"}',
        row("in Rome", "Rome", tools=[]),
        '{"messages": [{"role": [], "content": 3}], "functions": [{"name": "f"}]}',
        row("a \\ud800 b", "Rome").replace("\\\\ud800", "\\ud800"),
        row("in Lima", "Lima"),
    )
    teacher = load_recorded(path)
    assert [q.question.messages[0].text for q in teacher.questions] == ["in Oslo", "in Lima"]
    assert [s.line for s in teacher.skipped] == [2, 4, 5, 6, 7]
    reasons = [s.reason for s in teacher.skipped]
    assert reasons[0] == "not JSON: Expecting value at column 15" and reasons[2] == "it declares no tools"
    assert all(reason.startswith("not in OpenAI's form") for reason in reasons[3:])
    assert [s.line for s in load_recorded(path, TOOLS).skipped] == [2, 4, 6, 7]


def test_a_file_without_anything_usable_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    path = write(tmp_path / "log", "[]", '{"prompt": "x"}')
    with pytest.raises(
        ValueError, match="log has no answer that can be used; line 1: not a JSON object; line 2: neither"
    ):
        load_recorded(path)
    with pytest.raises(ValueError, match="has no answer that can be used$"):
        load_recorded(write(tmp_path / "empty"))
    with pytest.raises(FileNotFoundError):
        load_recorded(tmp_path / "nothing")


def test_of_several_declarations_under_one_name_each_question_keeps_its_own(tmp_path: Path) -> None:
    other = [{"name": "get_weather", "description": "Newer.", "parameters": TOOLS[0].parameters}]
    path = write(tmp_path / "log", row("in Oslo", "Oslo"), row("in Rome", "Rome", tools=other))
    teacher = load_recorded(path)
    assert [q.question.tools for q in teacher.questions] == [
        TOOLS,
        (Tool("get_weather", "Newer.", TOOLS[0].parameters),),
    ]
    assert {t.name: t.description for t in teacher.tools}["get_weather"] == "Newer."
    run(teacher, tmp_path / "l")
    assert list(read_ledger(tmp_path / "l").questions.values()) == list(teacher.questions)
