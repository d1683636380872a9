"""The ledger: what is written is there, whatever happens, and what is not whole is not there."""

from __future__ import annotations

import json
import os
import resource
import threading
from pathlib import Path
from typing import Any

import pytest

from model.types import Message
from tests.training.distil.toys import MESSAGE, TIMER, WEATHER, asked, call, reply, user
from training.distil.ledger import Asked, Batch, Contents, Ledger, LedgerError, read_ledger
from training.teacher.base import Brief, Invention, Question, Reply, Tokens

ABOUT = {"teacher": "toy", "tools": "abc", "seed": 1}
BRIEF = Brief("call", "Write some.", 2)
ANSWERED = asked("weather in Oslo")
OTHER = asked("a timer", tools=(TIMER, MESSAGE))


def fill(ledger: Ledger) -> None:
    """One record of each sort."""
    turns = (
        Message("user", "hi"),
        Message("assistant", "", (call("set_timer", minutes=3),)),
        Message("tool", "{}", name="set_timer"),
    )
    ledger.add_invention(BRIEF, Invention((user("weather in Oslo"), (*turns, *user("again"))), Tokens(100, 20)), 0.25)
    follow_up = Question((*turns, *user("again")), (WEATHER, TIMER), "any")
    ledger.add_questions([ANSWERED, OTHER, Asked(follow_up.id, "follow_up", follow_up)])
    replies = [reply(call("get_weather", city="Oslo"), logprob=-0.5), reply(text="Où ?", finish="length")]
    ledger.add_answers(ANSWERED.id, 2, replies, 0.5)
    batch = Batch("job", (OTHER.id, follow_up.id), 3)
    ledger.add_batch(batch)
    ledger.submitted(batch, "jobs/1")
    ledger.collect(batch, {OTHER.id: ([reply(), reply()], 0.125)})
    ledger.add_batch(Batch("open", (OTHER.id,), 1))


def same(a: Contents, b: Contents) -> bool:
    names = ("about", "inventions", "questions", "answers", "batches", "samples", "tokens", "dollars", "begun")
    return all(getattr(a, name) == getattr(b, name) for name in names)


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "run" / "ledger.jsonl"
    with Ledger(path, ABOUT) as ledger:
        fill(ledger)
        written: Contents = read_ledger(path)
        assert same(written, ledger)
    assert written.about == ABOUT
    assert written.inventions[BRIEF.id][1][1].tool_calls == (call("set_timer", minutes=3),)
    assert list(written.questions.values())[:2] == [ANSWERED, OTHER]
    assert written.questions[OTHER.id].question.tools == (TIMER, MESSAGE)
    assert [q.question.mode for q in written.questions.values()] == ["auto", "auto", "any"]
    assert all(q.id == q.question.id for q in written.questions.values())
    assert written.answers[ANSWERED.id].asked == 2
    first, second = written.answers[ANSWERED.id].replies
    assert first == Reply((call("get_weather", city="Oslo"),), logprob=-0.5)
    assert (second.text, second.finish) == ("Où ?", "length")
    assert (written.dollars, written.tokens, written.samples) == (0.875, Tokens(140, 40), 4)
    assert (list(written.batches), written.begun) == (["open"], 2)
    with Ledger(path, ABOUT) as again:
        assert same(again, written) and again.repaired == 0


def test_each_tool_is_written_once(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l", ABOUT) as ledger:
        ledger.add_questions([asked(f"weather in {i}") for i in range(5)])
        ledger.add_questions([asked("weather in 4"), asked("a timer", tools=(TIMER, MESSAGE))])
    records = [json.loads(line)["record"] for line in (tmp_path / "l").read_text().splitlines()]
    assert records == ["start", *["tool"] * 3, *["question"] * 6]


def test_a_half_written_last_line_is_cut_off_wherever_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path, ABOUT) as ledger:
        fill(ledger)
        before = path.read_bytes()
        ledger.add_answers(OTHER.id, 1, [reply(text="é")], 0.1)
        after = path.read_bytes()
    for end in range(len(before) + 1, len(after), 3):
        path.write_bytes(after[:end])
        with Ledger(path, ABOUT) as ledger:
            assert ledger.repaired == end - len(before)
            assert OTHER.id in ledger.answers and ledger.answers[OTHER.id].asked == 2
        assert path.read_bytes() == before
    path.write_bytes(after[:-1])
    with Ledger(path, ABOUT) as ledger:
        ledger.add_answers(OTHER.id, 1, [reply(text="é")], 0.1)
    assert path.read_bytes() == after


@pytest.mark.parametrize("tail", [b"\0" * 40, b"\0" * 40 + b"\n", b'{"record":"answ\n'])
def test_a_last_line_that_is_there_in_length_only_is_cut_off(tmp_path: Path, tail: bytes) -> None:
    with Ledger(tmp_path / "l", ABOUT) as ledger:
        fill(ledger)
    whole = (tmp_path / "l").read_bytes()
    (tmp_path / "l").write_bytes(whole + tail)
    assert same(read_ledger(tmp_path / "l"), ledger)
    with Ledger(tmp_path / "l", ABOUT) as again:
        assert again.repaired == len(tail) and same(again, ledger)
    assert (tmp_path / "l").read_bytes() == whole


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"record":"answ\n{"record":"collected","batch":"open"}\n', ":11 is damaged"),
        (b'{"record":"receipt"}\n', "unknown record 'receipt'"),  # written by a later program: nothing to cut off
        (b'{"record":"answers","question":"q"}\n', ":11 is no record"),
        (b'{"record":"start","version":9,"about":{}}\n', "version 9"),
    ],
)
def test_anything_else_that_is_wrong_is_refused_and_left_as_it_is(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "l"
    with Ledger(path, ABOUT) as ledger:
        ledger.add_questions([asked(f"weather in {i}") for i in range(6)])
    path.write_bytes(whole := path.read_bytes() + line)
    with pytest.raises(LedgerError, match=message):
        Ledger(path, ABOUT)
    assert path.read_bytes() == whole


def test_a_ledger_of_another_run_is_refused(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l", ABOUT):
        pass
    with pytest.raises(LedgerError, match=r"another run \(teacher: toy, and here pro\): choose another folder"):
        Ledger(tmp_path / "l", {**ABOUT, "teacher": "pro"})
    with Ledger(tmp_path / "l", ABOUT):  # the refused one does not hold the lock
        pass


def test_a_ledger_in_use_is_refused(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l", ABOUT) as first:
        with pytest.raises(LedgerError, match="in use by another process"):
            Ledger(tmp_path / "l", ABOUT)
        first.add_answers("q", 1, [reply()], 0.1)
    with Ledger(tmp_path / "l", ABOUT) as second:
        assert second.answers["q"].asked == 1


def test_every_record_is_synced_before_the_call_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    fsync = os.fsync

    def spy(file: int) -> None:
        fsync(file)
        synced.append(os.fstat(file).st_size)

    monkeypatch.setattr(os, "fsync", spy)
    path = tmp_path / "l"
    with Ledger(path, ABOUT) as ledger:
        steps = [
            lambda: ledger.add_invention(BRIEF, Invention((), Tokens()), 0.1),
            lambda: ledger.add_questions([OTHER]),
            lambda: ledger.add_answers(OTHER.id, 1, [reply()], 0.1),
            lambda: ledger.add_batch(Batch("job", (OTHER.id,), 1)),
        ]
        for step in steps:
            step()
            assert synced[-1] == path.stat().st_size
    assert len(set(synced)) == 1 + len(steps)


def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "l"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Ledger(path, ABOUT) as ledger:
        ledger.add_answers("q", 1, [reply()], 0.1)
        whole = path.read_bytes()
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 30, limits[1]))
        try:
            with pytest.raises(LedgerError, match="cannot write .*File too large"):
                ledger.add_answers("q", 1, [reply(text="x" * 100)], 0.1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert path.read_bytes() == whole and ledger.answers["q"].asked == 1
        ledger.add_answers("q", 1, [reply()], 0.1)
    assert same(read_ledger(path), ledger) and ledger.answers["q"].asked == 2


def test_threads_do_not_mix_their_lines(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l", ABOUT) as ledger:

        def write(thread: int) -> None:
            for i in range(20):
                ledger.add_answers(f"{thread}-{i}", 1, [reply(text=f"{thread}" * 500)], 0.5)

        threads = [threading.Thread(target=write, args=(i,)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    read = read_ledger(tmp_path / "l")
    assert same(read, ledger) and (len(read.answers), read.dollars) == (120, 60.0)


def test_a_collection_cut_short_is_not_counted_twice(tmp_path: Path) -> None:
    path = tmp_path / "l"
    batch = Batch("job", ("a", "b", "c"), 2)
    replies: dict[str, Any] = {q: ([reply(), reply()], 0.5) for q in "ab"}
    with Ledger(path, ABOUT) as ledger:
        ledger.add_batch(batch)
        ledger.submitted(batch, "jobs/1")
        ledger.collect(batch, replies)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-2]))  # the second answer and the end are missing
    with Ledger(path, ABOUT) as ledger:
        assert list(ledger.batches) == ["job"] and ledger.batches["job"].name == "jobs/1"
        ledger.collect(batch, replies)
        assert not ledger.batches
    assert path.read_bytes() == whole
    assert read_ledger(path).dollars == 1.0


def test_a_ledger_that_is_not_there_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_ledger(tmp_path / "l")
