"""Parameters said together: every value is said, in an order that tells which is which."""

from __future__ import annotations

import random

from training.data.groups import enumeration, find_pair, find_row, say_pair, say_row
from training.data.values import Value


def number(value: int) -> Value:
    return Value(value, str(value), "amount")


def text(value: str) -> Value:
    return Value(value, value, "place")


def test_the_ends_of_one_thing_are_a_pair() -> None:
    assert find_pair({"max_price": number(9), "city": text("Rome"), "min_price": number(2)}) == (
        "min_price",
        "max_price",
    )
    assert find_pair({"destination": text("Rome"), "origin": text("Oslo")}) == ("origin", "destination")
    assert find_pair({"startDate": text("May 1"), "endTime": text("5 pm")}) is None
    assert find_pair({"max_price": number(9), "min_size": number(2)}) is None
    assert find_pair({"from": Value(True, "true", "flag"), "to": text("Rome")}) is None
    assert find_pair({"from": Value(None, "Oslo and Bergen", "place"), "to": text("Rome")}) is None


def test_both_ends_are_said_in_order() -> None:
    ends = {"max_price": number(90), "min_price": number(20)}
    said = {say_pair("min_price", "max_price", ends, random.Random(seed)) for seed in range(60)}
    assert all(0 <= words.index("20") < words.index("90") for words in said)
    assert "with price between 20 and 90" in said and "between 20 and 90" in said


def test_numbers_stand_in_a_row_as_declared() -> None:
    sides = {"side1": number(3), "name": text("Rome"), "side2": number(4), "side3": number(5)}
    row = find_row(sides)
    assert row == ["side1", "side2", "side3"]
    said = {say_row(row, sides, random.Random(seed)) for seed in range(60)}
    assert "with sides 3, 4 and 5" in said and "of 3, 4 and 5" in said
    others = {"mass": number(80), "height": number(2)}
    assert "with mass and height of 80 and 2" in {say_row(list(others), others, random.Random(s)) for s in range(60)}


def test_one_number_or_many_make_no_row() -> None:
    assert find_row({"a": number(1), "b": text("x")}) == []
    assert find_row({f"p{k}": number(k) for k in range(5)}) == []
    assert find_row({"a": number(1), "b": Value(None, "1 and 2", "amount")}) == []


def test_enumeration() -> None:
    rng = random.Random(0)
    assert enumeration(["a"], rng) == "a"
    assert enumeration(["a", "b"], rng) == "a and b"
    assert {enumeration(["a", "b", "c"], rng) for _ in range(30)} == {"a, b and c", "a, b, and c"}
