"""Generating: complete, resumable, within its budget, and stopped in order by whatever stops it."""

from __future__ import annotations

import _thread
import json
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model.types import Message, Tool
from tests.training.distil.toys import CITIES, TOOLS, BatchToy, Toy, asked, price, user
from training.distil.briefs import COUNT
from training.distil.generate import BARREN, GenerateConfig, Generated, generate
from training.distil.ledger import Contents, Ledger, read_ledger
from training.distil.sampling import Sampling
from training.teacher.base import Brief, Invention, Question, QuotaError, Reply, TeacherError, Tokens

ABOUT = {"teacher": "toy"}
CONFIG = GenerateConfig(examples=60, concurrency=4, seed=3)


def run(path: Path, teacher: Toy, config: GenerateConfig = CONFIG, **fields: Any) -> Generated:
    with Ledger(path, ABOUT) as ledger:
        return generate(teacher, TOOLS, ledger, config, price, **fields)


def at(number: int, do: Callable[[], None]) -> Callable[[str], None]:
    """Does it before the call of this number, counted from 1."""
    lock, seen = threading.Lock(), Counter[str]()

    def before(what: str) -> None:
        with lock:
            seen["calls"] += 1
            now = seen["calls"] == number
        if now:
            do()

    return before


def outcome(ledger: Contents) -> Any:
    """All that labels are made of, without the order in which it came."""
    return list(ledger.questions.items()), dict(sorted(ledger.answers.items()))


def assert_paid_once(path: Path, *teachers: Toy) -> None:
    """Every call was made once, and all that it gave is in the ledger."""
    seen = sum((t.seen for t in teachers), Counter())
    assert set(seen.values()) == {1}
    ledger = read_ledger(path)
    assert ledger.dollars == pytest.approx(sum(t.dollars for t in teachers))
    assert {f"invent {brief}" for brief in ledger.inventions} == {what for what in seen if what.startswith("invent")}
    asked = Counter[str]()
    for what in seen:
        if what.startswith("answer"):
            _, question, samples = what.split()
            asked[question] += int(samples)
    assert asked == {question: answers.asked for question, answers in ledger.answers.items()}


def test_a_run_has_as_many_questions_as_asked_for_and_all_of_their_answers(tmp_path: Path) -> None:
    teacher = Toy()
    done = run(tmp_path / "l", teacher)
    assert (done.questions, done.answered, done.stopped) == (60, 60, None)
    assert_paid_once(tmp_path / "l", teacher)
    ledger = read_ledger(tmp_path / "l")
    for question, answers in ledger.answers.items():
        made = ledger.questions[question].question
        expected = teacher.replies(made, 2)
        if answers.asked > 2:
            expected += teacher.replies(made, 3)
        assert [r.calls for r in answers.replies] == [r.calls for r in expected]
    assert {q.kind for q in ledger.questions.values()} >= {"call", "follow_up"}
    assert all(q.question.tools == TOOLS for q in ledger.questions.values())
    invented = sum(len(requests) for requests in ledger.inventions.values())
    assert 0 <= invented - sum(done.dropped.values()) - 60 < COUNT  # no more than were needed


def test_samples_are_saved_where_the_first_ones_agree(tmp_path: Path) -> None:
    done = run(tmp_path / "a", Toy(unsure=0.5))
    answers = read_ledger(tmp_path / "a").answers.values()
    counts = Counter(a.asked for a in answers)
    assert counts[2] > 15 and counts[5] > 5 and set(counts) == {2, 5}
    assert done.saved == sum(5 - a.asked for a in answers)
    for a in answers:
        assert (a.asked == 5) == (a.replies[0].calls != a.replies[1].calls)
    full = run(tmp_path / "b", Toy(unsure=0.5), replace(CONFIG, sampling=Sampling(5, 5)))
    assert full.saved == 0 and {a.asked for a in read_ledger(tmp_path / "b").answers.values()} == {5}


def test_a_complete_run_is_not_paid_for_again(tmp_path: Path) -> None:
    first, second = Toy(), Toy()
    done = run(tmp_path / "l", first)
    before = (tmp_path / "l").read_bytes()
    assert run(tmp_path / "l", second) == done
    assert not second.seen and (tmp_path / "l").read_bytes() == before


def test_a_larger_run_goes_on_from_a_smaller_one(tmp_path: Path) -> None:
    first, second, whole = Toy(), Toy(), Toy()
    run(tmp_path / "l", first, replace(CONFIG, examples=23))
    done = run(tmp_path / "l", second)
    assert done.answered == 60
    assert_paid_once(tmp_path / "l", first, second)
    run(tmp_path / "m", whole)
    assert outcome(read_ledger(tmp_path / "l")) == outcome(read_ledger(tmp_path / "m"))


def test_how_many_threads_ask_makes_no_difference_but_in_time(tmp_path: Path) -> None:
    one, many = Toy(), Toy(seconds=0.002)
    run(tmp_path / "one", one, replace(CONFIG, concurrency=1))
    run(tmp_path / "many", many, replace(CONFIG, concurrency=8))
    assert outcome(read_ledger(tmp_path / "one")) == outcome(read_ledger(tmp_path / "many"))
    assert one.most_running == 1 and 1 < many.most_running <= 8


def test_nothing_is_asked_before_what_came_is_written(tmp_path: Path) -> None:
    path, calls = tmp_path / "l", Counter[str]()

    def before(what: str) -> None:
        rows = [json.loads(line)["record"] for line in path.read_text().splitlines()]
        assert rows.count("invention") + rows.count("answers") == calls.total()
        calls[what] += 1

    assert run(path, Toy(before=before), replace(CONFIG, concurrency=1)).stopped is None
    assert calls.total() > 60


@pytest.mark.parametrize("budget", [0.01, 0.03])
def test_the_budget_is_never_passed_and_a_higher_one_goes_on(tmp_path: Path, budget: float) -> None:
    path, first = tmp_path / "l", Toy(seconds=0.001)
    done = run(path, first, replace(CONFIG, budget=budget, concurrency=8))
    assert done.stopped and done.answered < 60
    assert f"the next call could pass the budget of ${budget:.2f}" in done.stopped and "higher budget" in done.stopped
    assert budget - 0.007 < first.dollars <= budget  # less than a call could cost is left
    again, second = Toy(), Toy()
    assert run(path, again, replace(CONFIG, budget=budget)).stopped
    assert first.dollars + again.dollars <= budget
    assert run(path, second, replace(CONFIG, budget=5.0)).answered == 60
    assert_paid_once(path, first, again, second)
    whole = Toy()
    run(tmp_path / "m", whole)
    assert outcome(read_ledger(path)) == outcome(read_ledger(tmp_path / "m"))


class Thinker(Toy):
    """Uses many more tokens than its prompts and answers show."""

    def replies(self, question: Question, samples: int) -> list[Reply]:
        return [replace(r, tokens=r.tokens + Tokens(0, 2_000)) for r in super().replies(question, samples)]


@pytest.mark.parametrize("budget", [0.1, 0.4])
def test_a_budget_learns_what_answers_really_cost(tmp_path: Path, budget: float) -> None:
    teacher = Thinker(seconds=0.01)
    done = run(tmp_path / "l", teacher, replace(CONFIG, budget=budget, concurrency=8))
    assert done.stopped and 0.5 * budget < teacher.dollars <= budget


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C interrupts, also in a job of the background, which shells start with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_in_order_and_keeps_what_is_under_way(tmp_path: Path) -> None:
    first, second = Toy(before=at(40, _thread.interrupt_main), seconds=0.002), Toy()
    done = run(tmp_path / "l", first)
    assert done.stopped == f"Stopped. What was paid for is in {tmp_path / 'l'}; the same command goes on."
    assert 40 <= first.seen.total() <= 40 + CONFIG.concurrency and done.answered < 60
    assert_paid_once(tmp_path / "l", first)
    assert run(tmp_path / "l", second).answered == 60
    assert_paid_once(tmp_path / "l", first, second)


def fail(error: Exception) -> Callable[[], None]:
    def do() -> None:
        raise error

    return do


@pytest.mark.parametrize("number", [2, 50])
def test_a_quota_that_is_used_up_ends_in_order(tmp_path: Path, number: int) -> None:
    teacher = Toy(before=at(number, fail(QuotaError("Today's quota is used up: go on after midnight."))))
    done = run(tmp_path / "l", teacher)
    assert done.stopped and done.stopped.startswith("Today's quota is used up: go on after midnight. What was paid for")
    second = Toy()
    assert run(tmp_path / "l", second).answered == 60
    seen = teacher.seen + second.seen
    assert seen.most_common(2)[0][1] == 2 and seen.most_common(2)[1][1] == 1  # the failed call alone
    assert read_ledger(tmp_path / "l").dollars == pytest.approx(teacher.dollars + second.dollars)


def test_a_teacher_that_cannot_be_asked_is_an_error_once_the_rest_is_kept(tmp_path: Path) -> None:
    teacher = Toy(before=at(60, fail(TeacherError("The key is wrong."))), seconds=0.001)
    with pytest.raises(TeacherError, match="The key is wrong"):
        run(tmp_path / "l", teacher)
    ledger = read_ledger(tmp_path / "l")
    assert ledger.dollars == pytest.approx(teacher.dollars) and ledger.answers


class Forgetful(Toy):
    """Invents little that is new: the same eight requests, or eight times the same."""

    def __init__(self, fresh: float) -> None:
        super().__init__()
        self.fresh = fresh

    def invent(self, brief: Brief, tools: Sequence[Tool]) -> Invention:
        invention = super().invent(brief, tools)
        keep = round(self.fresh * brief.count)
        known = [user(f"weather in {city} for 3 days") for city in CITIES[: brief.count - keep]]
        return replace(invention, requests=(*invention.requests[:keep], *known))


def test_inventing_goes_on_until_there_are_enough_that_are_new(tmp_path: Path) -> None:
    teacher = Forgetful(0.5)
    done = run(tmp_path / "l", teacher)
    assert (done.questions, done.answered, done.stopped) == (60, 60, None)
    invented = sum(len(requests) for requests in read_ledger(tmp_path / "l").inventions.values())
    assert done.dropped["asked before"] > 30 and invented > 100


def test_a_teacher_without_new_ideas_is_not_paid_for_more_of_them(tmp_path: Path) -> None:
    teacher = Forgetful(0.0)
    done = run(tmp_path / "l", teacher)
    assert done.stopped and "has no more to say about these tools" in done.stopped
    assert done.questions == done.answered == COUNT
    assert BARREN < len(read_ledger(tmp_path / "l").inventions) < 2 * BARREN


@pytest.mark.usefixtures("ctrl_c")
def test_given_questions_are_asked_and_none_are_invented(tmp_path: Path) -> None:
    questions = [asked(f"weather in {city} for {n} days", "recorded") for n in range(2, 14) for city in CITIES]
    first, second = Toy(before=at(90, _thread.interrupt_main), seconds=0.001), Toy()
    done = run(tmp_path / "l", first, questions=questions)
    assert done.stopped and done.answered < len(questions)
    done = run(tmp_path / "l", second, questions=questions)
    assert (done.questions, done.answered, done.stopped) == (len(questions), len(questions), None)
    assert_paid_once(tmp_path / "l", first, second)
    ledger = read_ledger(tmp_path / "l")
    assert list(ledger.questions.values()) == questions and not ledger.inventions


def test_a_half_written_line_is_told_of_and_paid_for_once_more_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, first, second = tmp_path / "l", Toy(), Toy()
    run(path, first, replace(CONFIG, concurrency=1))
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert run(path, second).answered == 60
    assert "cut off a half-written last line of" in capsys.readouterr().err
    assert second.seen.total() == 1 and path.read_bytes() == whole


def test_blocked_questions_are_not_asked_again(tmp_path: Path) -> None:
    class Blocked(Toy):
        def replies(self, question: Question, samples: int) -> list[Reply]:
            return [Reply((), finish="blocked", tokens=Tokens(50, 0))] * samples

    teacher, second = Blocked(), Blocked()
    done = run(tmp_path / "l", teacher)
    assert done.answered == 60 and {a.asked for a in read_ledger(tmp_path / "l").answers.values()} == {2}
    run(tmp_path / "l", second)
    assert not second.seen


def test_follow_ups_keep_their_earlier_turns(tmp_path: Path) -> None:
    run(tmp_path / "l", Toy())
    follow_ups = [q for q in read_ledger(tmp_path / "l").questions.values() if q.kind == "follow_up"]
    assert follow_ups
    for each in follow_ups:
        roles = [m.role for m in each.question.messages]
        assert roles == ["user", "assistant", "tool", "user"]
        assert each.question.messages[2] == Message("tool", '{"started":true}', name="set_timer")


def test_answers_by_batch_are_the_same_as_one_by_one(tmp_path: Path) -> None:
    batches, single = BatchToy(), Toy()
    waited: list[float] = []
    done = run(tmp_path / "l", batches, replace(CONFIG, batch=True), batch_price=price, wait=waited.append)
    assert (done.questions, done.answered, done.stopped) == (60, 60, None)
    assert not any(what.startswith("answer") for what in batches.seen) and len(batches.jobs) >= 3 and waited
    run(tmp_path / "m", single)
    assert outcome(read_ledger(tmp_path / "l")) == outcome(read_ledger(tmp_path / "m"))


def test_jobs_cost_what_batches_cost(tmp_path: Path) -> None:
    teacher = BatchToy()

    def half(tokens: Tokens) -> float:
        return price(tokens) / 2

    run(tmp_path / "l", teacher, replace(CONFIG, batch=True), batch_price=half, wait=lambda _: None)
    ledger = read_ledger(tmp_path / "l")
    records = map(json.loads, (tmp_path / "l").read_text().splitlines())
    inventing = sum(r["dollars"] for r in records if r["record"] == "invention")
    assert ledger.dollars - inventing == pytest.approx((teacher.dollars - inventing) / 2)
