"""Where values are said: the spellings that are the same, and those that are not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.spelling import Text


def said(text: str, value: Any) -> list[str]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = Decimal(repr(value))
    return [text[start:end] for start, end in Text(text).find(value)]


@pytest.mark.parametrize(
    ("text", "value", "pieces"),
    [
        ("Weather in Paris, please", "Paris", ["Paris"]),
        ("weather in PARIS or paris?", "Paris", ["PARIS", "paris"]),
        ("the Parisian way", "Paris", []),
        ("a comparison", "Paris", []),
        ("San\nFrancisco", "san francisco", ["San\nFrancisco"]),
        ("the living room lights", "living_room", ["living room"]),
        ("the living-room lights", "living room", ["living-room"]),
        ("I’m late", "I'm late", ["I’m late"]),
        ("say “hi” to her", 'say "hi"', ["say “hi”"]),
        ("東京の天気", "東京", ["東京"]),  # no spaces between words
        ("서울의 날씨", "서울", ["서울"]),  # a particle is joined to the word
        ("İstanbul, istanbul", "Istanbul", ["istanbul"]),  # lower case is longer than upper case here
        ("call 555-0199 now", "5550199", ["555-0199"]),
        ("call (555) 0199 77", "555-0199-77", ["555) 0199 77"]),
        ("on 2026/11/27", "2026-11-27", ["2026/11/27"]),
        ("rows 1-2", "12", []),
        ("meet at 5pm", "5 pm", ["5pm"]),
        ("meet at 5 pm", "5pm", ["5 pm"]),
        ("a table for four", "4", ["four"]),  # a number that the schema wants as a string
        ("the cat", "a", []),
        ("rated C++ and C", "C++", ["C++"]),
        ("-5 degrees", " -5 degrees ", ["-5 degrees"]),
        ("tomorrow at noon", "2026-11-27", []),
        ("anything", "", []),
        ("anything", "   ", []),
        ("is it true?", True, ["true"]),
        ("turn it on", True, []),
        ("null and void", None, ["null"]),
        ("{}", (), []),
    ],
)
def test_strings_and_words(text: str, value: Any, pieces: list[str]) -> None:
    assert said(text, value) == pieces


@pytest.mark.parametrize(
    ("text", "value", "pieces"),
    [
        ("Send 1,500 dollars", 1500, ["1,500"]),
        ("Send $1500.00", 1500, ["1500.00"]),
        ("1.500,75 EUR", 1500.75, ["1.500,75"]),
        ("1'000 francs", 1000, ["1'000"]),
        ("100,000,000", 100000000, ["100,000,000"]),
        ("3,5 km", 3.5, ["3,5"]),
        ("1.234", 1234, ["1.234"]),  # a decimal point here, thousands there
        ("1.234", 1.234, ["1.234"]),
        ("7pm", 7, ["7"]),
        ("7:30", 30, ["30"]),
        ("the 21st", 21, ["21"]),
        ("50% off", 50, ["50"]),
        ("50% off", 0.5, ["50%"]),
        ("1.5 million", 1500000, ["1.5 million"]),
        ("20k users", 20000, ["20k"]),
        ("20 minutes", 20000000, []),
        ("1e3 grams", 1000, ["1e3"]),
        ("set it to -5", -5, ["-5"]),
        ("set it to -5", 5, []),
        (
            "minus -123456789012345678901234567890123",
            Decimal("-123456789012345678901234567890123"),
            ["-123456789012345678901234567890123"],
        ),
        ("1e999 and 9e9999", Decimal("1e999"), ["1e999"]),
        ("anything 1e9999999999999999999", Decimal("Infinity"), []),
        ("pages 3-5", 5, ["5"]),
        ("pages 3-5", -5, []),
        ("seats 1,2,3", 2, ["2"]),
        ("rooms 5 100", 5, ["5"]),
        ("room b52", 52, []),
        ("10 people", 1, []),
        ("11 people", 1, []),
        ("4 people", 4.0, ["4"]),
        ("４ people", 4, ["４"]),
        ("在5月", 5, ["5"]),
        ("a table for four", 4, ["four"]),
        ("Twenty-five or twenty five", 25, ["Twenty-five", "twenty five"]),
        ("one hundred and five", 105, ["one hundred and five"]),
        ("two thousand twenty six", 2026, ["two thousand twenty six"]),
        ("a hundred thousand", 100000, ["a hundred thousand"]),
        ("three million two hundred thousand and one", 3200001, ["three million two hundred thousand and one"]),
        ("a dozen eggs", 12, ["a dozen"]),
        ("two dozen eggs", 24, ["two dozen"]),
        ("one two three", 2, ["two"]),
        ("someone often", 1, []),
    ],
)
def test_numbers(text: str, value: float, pieces: list[str]) -> None:
    assert said(text, value) == pieces


@settings(deadline=None)
@given(st.integers(0, 10**12), st.sampled_from([",", ".", "'", " ", "\u202f"]))
def test_any_whole_number_with_separators(number: int, separator: str) -> None:
    written = f"{number:,}".replace(",", separator)
    assert said(f"pay {written} now", number) == [written]


@settings(deadline=None)
@given(st.text(), st.text())
def test_a_place_is_in_the_text(text: str, value: str) -> None:
    for start, end in Text(text).find(value):
        assert 0 <= start < end <= len(text)


@settings(deadline=None)
@given(
    st.text(st.characters(categories=["Zs", "Po", "Sm"]), max_size=5),
    st.from_regex(r"[a-zA-Zé]+( [a-z]+)?", fullmatch=True),
)
def test_what_stands_between_other_signs_is_found(around: str, value: str) -> None:
    assert value in said(f"{around} {value} {around}", value)


def test_a_long_value_takes_no_time_to_miss() -> None:
    text = Text("a " * 2_000)
    assert text.find("a " * 1_000 + "b") == []
    assert text.find("a-" * 140 + "b") == []
    assert Text("1 " * 2_000).find("1" * 199 + "2") == []
    assert Text("one hundred and " * 500).find(Decimal(7)) == []
