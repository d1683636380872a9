"""How often a question is asked: twice where the answers agree, up to the most where they do not."""

from __future__ import annotations

import pytest

from tests.training.distil.toys import asked, call, reply
from training.distil.ledger import Answers
from training.distil.sampling import Sampling
from training.teacher.base import Reply

OSLO = reply(call("get_weather", city="Oslo"))
ROME = reply(call("get_weather", city="Rome"))
WHERE = asked("weather in Oslo")
BLOCKED, CUT, MALFORMED = (reply(finish=finish) for finish in ("blocked", "length", "malformed"))


def due(*replies: Reply, asked_for: int | None = None, first: int = 2, most: int = 5) -> int:
    return Sampling(first, most).due(WHERE, Answers(asked_for or len(replies), list(replies)))


def test_the_first_samples_come_first() -> None:
    assert Sampling(2, 5).due(WHERE, None) == 2
    assert Sampling(3, 3).due(WHERE, None) == 3


def test_samples_that_agree_are_enough() -> None:
    assert due(OSLO, OSLO) == 0
    assert due(reply(), reply(text="I cannot do that.")) == 0  # no call, said in two ways
    assert due(OSLO, reply(call("get_weather", city="oslo"))) == 0


def test_samples_that_differ_are_not() -> None:
    assert due(OSLO, reply()) == 3
    assert due(OSLO, MALFORMED) == 3
    assert due(OSLO, BLOCKED) == 3
    assert due(MALFORMED, MALFORMED) == 3
    assert due(OSLO, reply(), most=8) == 6
    assert due(OSLO, reply(), OSLO) == 2


def test_a_value_that_was_not_said_takes_a_third_sample() -> None:
    assert due(ROME, ROME) == 1
    assert due(ROME, ROME, ROME) == 0
    assert due(ROME, ROME, OSLO) == 2
    assert due(ROME, ROME, most=2) == 0


def test_what_would_be_so_again_is_not_asked_again() -> None:
    assert due(BLOCKED, BLOCKED) == 0
    assert due(CUT, CUT) == 0
    assert due(BLOCKED, CUT) == 3


def test_there_is_an_end() -> None:
    assert due(OSLO, ROME, OSLO, ROME, reply()) == 0
    assert due(OSLO, asked_for=2) == 0  # the teacher has no more
    assert Sampling().due(WHERE, Answers(2, [])) == 0


@pytest.mark.parametrize(("first", "most"), [(0, 3), (3, 2), (1, 5)])
def test_what_makes_no_sense_is_refused(first: int, most: int) -> None:
    with pytest.raises(ValueError):
        Sampling(first, most)
