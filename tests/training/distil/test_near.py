"""Near requests: the index finds exactly what comparing all pairs finds, and similar means what people mean by it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.types import Message
from tests.training.distil.toys import user
from training.distil.near import Clusters, NearIndex, features

SETS = st.lists(st.frozensets(st.sampled_from([w * n for w in "abcdef" for n in (1, 2, 3)]), min_size=1), max_size=25)


@given(SETS, st.sampled_from([0.3, 0.5, 0.8, 0.9, 1.0]))
@settings(deadline=None, max_examples=100)
def test_the_index_finds_what_all_pairs_would(sets: list[frozenset[str]], threshold: float) -> None:
    index = NearIndex(threshold)
    for number, each in enumerate(sets):
        expected = [n for n in range(number) if len(each & sets[n]) / len(each | sets[n]) >= threshold]
        assert index.similar(each) == expected
        assert index.add(each) == number


def similarity(a: str, b: str) -> float:
    first, second = features(user(a)), features(user(b))
    return len(first & second) / len(first | second)


def test_case_punctuation_and_the_spelling_of_numbers_do_not_count() -> None:
    assert similarity("Set a timer for twenty-five minutes!", "set a timer, for 25 minutes") == 1.0


def test_the_order_of_words_counts() -> None:
    assert similarity("a train from Oslo to Rome", "a train from Rome to Oslo") < 0.8


@pytest.mark.parametrize(
    ("a", "b", "near"),
    [
        ("weather in Oslo", "weather in Rome", False),
        ("remind me to call Anna tomorrow at nine", "remind me to call Anna tomorrow at ten", False),
        (
            "could you please be so kind and tell me what the weather in Oslo is going to be like over the weekend",
            "could you please be so kind to tell me what the weather in Oslo is going to be like over the weekend",
            True,
        ),
    ],
)
def test_one_word_makes_a_short_request_another_and_a_long_one_not(a: str, b: str, near: bool) -> None:
    assert (similarity(a, b) >= 0.8) == near


def test_all_turns_count() -> None:
    first = (Message("user", "a table in Oslo"), Message("assistant", "For when?"), Message("user", "at eight"))
    assert features(first) > features(user("at eight"))


def test_clusters_are_what_is_joined_directly_or_not() -> None:
    clusters = Clusters(6)
    for a, b in ((4, 5), (2, 5), (1, 3)):
        clusters.join(a, b)
    assert [clusters.root(n) for n in range(6)] == [0, 1, 2, 1, 2, 2]
