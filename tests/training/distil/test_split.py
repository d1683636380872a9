"""What is held out and what is too many: shares, strata, clusters, and the same in any order."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from training.data.example import Call
from training.distil.split import held_out, too_many
from training.teacher.base import digest


def keys(count: int) -> list[str]:
    return [digest(n) for n in range(count)]


def test_each_stratum_gives_its_share() -> None:
    strata = ["a"] * 200 + ["b"] * 50 + ["c"] * 30
    held = held_out(range(280), strata, keys(280), 0.1)
    assert Counter(strata[n] for n in held) == {"a": 20, "b": 5, "c": 3}


def test_small_strata_give_their_share_together() -> None:
    strata = [f"tool{n // 3}" for n in range(300)]  # a tenth of three is nothing, of a hundred times three thirty
    assert len(held_out(range(300), strata, keys(300), 0.1)) == 30


def test_a_cluster_is_on_one_side_and_counts_for_its_first_member() -> None:
    rng = random.Random(1)
    clusters = [rng.randrange(60) for _ in range(300)]
    strata = [rng.choice("ab") for _ in range(300)]
    held = held_out(clusters, strata, keys(300), 0.2)
    assert {clusters[n] for n in held}.isdisjoint(clusters[n] for n in range(300) if n not in held)
    assert 50 <= len(held) <= 60


def test_a_cluster_that_is_larger_than_the_share_is_trained_on() -> None:
    assert held_out([0] * 50, ["a"] * 50, keys(50), 0.1) == set()


def test_the_order_of_the_labels_does_not_matter() -> None:
    rng = random.Random(2)
    rows = [(rng.randrange(80), rng.choice("abc"), digest(n)) for n in range(200)]

    def taken(rows: Sequence[tuple[int, str, str]]) -> set[str]:
        clusters, strata, names = zip(*rows, strict=True)
        return {names[n] for n in held_out(clusters, strata, names, 0.1)}

    # A cluster's stratum is its first member's by key, in any order.
    assert taken(rows) == taken(rng.sample(rows, len(rows)))


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_none_and_all(share: float) -> None:
    assert len(held_out(range(40), ["a"] * 40, keys(40), share)) == 40 * share


def calls(*names: str) -> tuple[Call, ...]:
    return tuple(Call(name, {}) for name in names)


def test_a_tool_may_have_a_multiple_of_its_even_share() -> None:
    answers = [calls("a")] * 90 + [calls("b")] * 5 + [calls("c")] * 5
    dropped = too_many(answers, keys(100), 2.0)  # an even share is 33.3
    assert Counter(answers[n][0].name for n in range(100) if n not in dropped) == {"a": 67, "b": 5, "c": 5}
    assert too_many(answers, keys(100), 3.0) == set()


def test_an_answer_with_several_tools_stays_while_one_has_room() -> None:
    answers = [calls("a")] * 60 + [calls("b")] * 5 + [calls("a", "b")] * 5 + [calls("a", "a")] * 5
    dropped = too_many(answers, keys(75), 1.0)
    assert dropped and all({c.name for c in answers[n]} == {"a"} for n in dropped)


def test_answers_without_a_call_are_no_more_than_those_with_one() -> None:
    answers = [calls("a")] * 20 + [()] * 100
    dropped = too_many(answers, keys(120), 3.0)
    assert Counter(bool(answers[n]) for n in range(120) if n not in dropped) == {True: 20, False: 20}
    assert too_many(answers[:30], keys(30), 3.0) == set()


def test_which_are_dropped_does_not_follow_the_order() -> None:
    answers = [calls("a")] * 90 + [calls("b")] * 10
    dropped = too_many(answers, keys(100), 1.0)
    assert len(dropped) == 40 and dropped != set(range(50, 90))
