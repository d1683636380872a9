"""Generators: values of their kind, said in forms that leave no doubt about the value."""

from __future__ import annotations

import ipaddress
import random
import re
import uuid
from collections import Counter
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.scenarios.drawn import Drawn, GeneratorError
from training.data.scenarios.generators import by_meaning, in_words, listed, named, names, one_of
from training.data.scenarios.numerals import say_integer, scaled, words
from training.data.scenarios.things import code
from training.data.scenarios.times import MONTHS, in_order, ordinal, say_date, say_time
from training.data.sources.grounding import tokens

SEEDS = st.integers(0, 100_000)


def many(spec: str, count: int = 400) -> list[Drawn]:
    make = named(spec)
    return [make(random.Random(seed)) for seed in range(count)]


@pytest.mark.parametrize("name", [n for n in names() if n not in ("integer", "number", "digits", "code")])
def test_every_generator_repeats_itself_with_a_seed_and_varies_without(name: str) -> None:
    drawn = many(name, 60)
    assert drawn == many(name, 60)
    assert len({str(d.value) for d in drawn}) > 8
    for d in drawn:
        assert d.text == d.text.strip() != "" and d.glued.strip() and "\n" not in d.text
        assert "{" not in d.text and "  " not in d.text


@pytest.mark.parametrize(
    ("spec", "low", "high", "kind"),
    [
        ("integer 1..500", 1, 500, int),
        ("integer -20..20", -20, 20, int),
        ("integer 990..1010", 990, 1010, int),
        ("integer 1234..9876543", 1234, 9_876_543, int),
        ("integer 7..7", 7, 7, int),
        ("digits 1..500", 1, 500, int),
        ("year", 1950, 2030, int),
        ("year 1900..1910", 1900, 1910, int),
        ("number 0.5..40", 0.5, 40, (int, float)),
        ("number -5..5", -5, 5, (int, float)),
        ("number 100..2500", 100, 2500, (int, float)),
    ],
)
def test_numbers_stay_in_their_range(spec: str, low: float, high: float, kind: Any) -> None:
    values = [d.value for d in many(spec)]
    assert all(isinstance(v, kind) and not isinstance(v, bool) and low <= v <= high for v in values)
    assert len(set(values)) > 5 or low == high


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [
        ("integer 10..90 step 5", set(range(10, 91, 5))),
        ("integer 10..92 step 5", set(range(10, 91, 5))),
        ("digits 0..9 step 3", {0, 3, 6, 9}),
        ("number 0..1 step 0.25", {0, 0.25, 0.5, 0.75, 1}),
        ("number 0..0.3 step 0.1", {0, 0.1, 0.2, 0.3}),
    ],
)
def test_steps_give_every_value_and_no_other(spec: str, allowed: set[float]) -> None:
    assert {d.value for d in many(spec)} == allowed


def test_a_whole_number_is_an_integer_even_from_number() -> None:
    drawn = [d for d in many("number 0..3 step 0.5") if d.value == int(d.value)]
    assert drawn and all(type(d.value) is int and "." not in d.text for d in drawn)


def test_large_integers_are_often_round() -> None:
    values = [d.value for d in many("integer 1000..999999")]
    assert 120 < sum(v % 1_000 == 0 for v in values) < 320


def test_digits_and_years_are_said_in_digits_only() -> None:
    for d in [*many("digits 1..99999"), *many("year")]:
        assert d.text == d.glued == str(d.value)


def test_integers_are_said_in_every_way() -> None:
    texts = {say_integer(v, random.Random(s)) for s in range(300) for v in (250, 3_000, 2_500_000, 1_250, 40)}
    assert {
        "250",
        "3k",
        "3 thousand",
        "3,000",
        "3000",
        "three thousand",
        "2.5 million",
        "2,500,000",
        "1,250",
        "1250",
        "forty",
    } <= texts
    assert any(t.startswith("forty") for t in texts)


def test_glued_numbers_hold_digits_only() -> None:
    for spec in ("integer 1..90000", "number -5..5000"):
        assert all(re.fullmatch(r"-?[\d,]+(\.\d+)?", d.glued) for d in many(spec))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "zero"),
        (40, "forty"),
        (-5, "minus five"),
        (12.5, "twelve point five"),
        (-7.3, "minus seven point three"),
        (-0.5, "minus zero point five"),
        (2.05, "two point zero five"),
    ],
)
def test_numbers_in_words(value: float, said: str) -> None:
    assert words(value) == said


def test_words_mean_their_number() -> None:
    for value in [*range(-100, 101), *range(100, 100_001, 1_300)]:
        assert tokens(words(value)) == (["minus"] if value < 0 else []) + [str(abs(value))], words(value)


def test_no_number_is_said_as_minus_zero() -> None:
    for spec in ("number -1..1", "number -0.4..0.4"):
        assert not any(re.fullmatch(r"-0|minus zero", t) for d in many(spec) for t in (d.text, d.glued))


@pytest.mark.parametrize(
    "spec",
    [
        *("nonsense", "city 5", "", "integer", "integer 5", "integer 1...5", "integer a..b", "number 5..1"),
        *("integer 1.5..3", "integer 1..3 step 0.5", "year 1.5..3", "code", "integer 1..5 step -1", "Date"),
    ],
)
def test_a_wrong_spec_is_refused(spec: str) -> None:
    with pytest.raises(GeneratorError):
        named(spec)


def test_a_step_of_nothing_is_refused() -> None:
    for spec in ("integer 1..5 step 0", "number 1..5 step 0"):
        with pytest.raises(GeneratorError):
            named(spec)(random.Random(0))


DATE_FORMS = (
    "%B %d, %Y", "%B %d %Y", "%d %B %Y", "the %d of %B %Y", "%b %d, %Y", "%d %b %Y", "%Y-%m-%d", "%m/%d/%Y", "%d.%m.%Y",
)  # fmt: skip


def readings(text: str) -> set[date]:
    """Every day that a text can mean."""
    plain = re.sub(r"(\d)(st|nd|rd|th)\b", r"\1", text)
    found = set()
    for form in (*DATE_FORMS, "%d/%m/%Y"):
        try:
            found.add(datetime.strptime(plain, form).date())
        except ValueError:
            continue
    return found


@given(st.dates(date(2020, 1, 1), date(2030, 12, 31)), SEEDS)
@settings(deadline=None, max_examples=300)
def test_a_day_is_said_so_that_it_means_that_day_alone(day: date, seed: int) -> None:
    assert readings(say_date(day, random.Random(seed))) == {day}


def test_a_day_is_said_in_many_forms() -> None:
    texts = {say_date(date(2026, 3, 14), random.Random(s)) for s in range(300)}
    assert {
        *("March 14, 2026", "March 14th, 2026", "14 March 2026", "the 14th of March 2026", "Mar 14, 2026"),
        *("14 Mar 2026", "2026-03-14", "3/14/2026", "14.03.2026"),
    } <= texts
    assert not any("/" in say_date(date(2026, 3, 12), random.Random(s)) for s in range(300))


def hour(text: str) -> time:
    """The time of day that a text means."""
    fixed = {"noon": time(12), "midnight": time(0)}
    if text in fixed:
        return fixed[text]
    if match := re.fullmatch(r"(\d\d):(\d\d)", text):
        return time(int(match[1]), int(match[2]))
    if match := re.fullmatch(r"(\d\d?)(?::(\d\d))? ?(am|pm|AM|PM)", text):
        return time(int(match[1]) % 12 + 12 * (match[3].lower() == "pm"), int(match[2] or 0))
    match = re.fullmatch(r"(?:(half|quarter) past )?(\w+)(?: o'clock)? in the (morning|afternoon|evening)", text)
    assert match, text
    number = int(match[2]) if match[2].isdigit() else int(tokens(match[2])[0])
    shift = 0 if match[3] == "morning" else 12
    return time(number % 12 + shift, {"half": 30, "quarter": 15, None: 0}[match[1]])


@given(st.integers(0, 23), st.sampled_from(range(0, 60, 5)), SEEDS)
@settings(deadline=None, max_examples=300)
def test_a_time_is_said_so_that_it_means_that_time(at: int, minute: int, seed: int) -> None:
    text = say_time(time(at, minute), random.Random(seed))
    if re.fullmatch(r"\d\d:\d\d", text):
        assert text == f"{at:02d}:{minute:02d}"
    else:
        assert hour(text) == time(at, minute)


def test_a_time_is_said_in_many_forms() -> None:
    def texts(at: time) -> set[str]:
        return {say_time(at, random.Random(s)) for s in range(200)}

    assert {"7:30 pm", "7:30pm", "7:30 PM", "19:30", "half past seven in the evening"} <= texts(time(19, 30))
    assert (
        {"12 pm", "noon"} <= texts(time(12))
        and "midnight" in texts(time(0))
        and "7 o'clock in the morning" in texts(time(7))
    )
    assert not any("evening" in t or "morning" in t for t in texts(time(23)) | texts(time(0)))


def test_dates_times_and_both_have_their_format() -> None:
    for d in many("date"):
        assert date.fromisoformat(d.value).isoformat() == d.value and len(d.value) == 10
    for d in many("time"):
        assert time.fromisoformat(d.value).strftime("%H:%M") == d.value
    for d in many("datetime"):
        assert datetime.fromisoformat(d.value).isoformat() == d.value and len(d.value) == 19


@pytest.mark.parametrize(
    ("day", "said"),
    [
        (1, "1st"),
        (2, "2nd"),
        (3, "3rd"),
        (4, "4th"),
        (11, "11th"),
        (12, "12th"),
        (13, "13th"),
        (21, "21st"),
        (22, "22nd"),
    ]
    + [(23, "23rd"), (30, "30th"), (31, "31st")],
)
def test_ordinals(day: int, said: str) -> None:
    assert ordinal(day) == said


@pytest.mark.parametrize(
    ("pattern", "form"),
    [
        ("INV-####", r"INV-\d{4}"),
        ("??^^", r"[A-HJ-NP-Z]{2}[0-9a-f]{2}"),
        ("a.b c", r"a\.b c"),
        ("%0", r"[1-9]0"),
    ],
)
def test_a_code_has_its_pattern(pattern: str, form: str) -> None:
    drawn = many(f"code {pattern}", 50)
    assert all(re.fullmatch(form, d.value) and d.text == d.glued == d.value for d in drawn)
    assert code("###", random.Random(1)) == code("###", random.Random(1))


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("email", r"[\w.]+@[\w.-]+\.\w+"),
        ("url", r"https://[\w.-]+\.\w+(/[\w./-]*)?"),
        ("hostname", r"([\w-]+\.)+\w+"),
        ("username", r"[a-z0-9._-]+"),
        ("file", r"[\w-]+\.\w+"),
        ("version", r"v?\d+\.\d+(\.\d+)?"),
        ("phone", r"[+\d() -]{8,17}"),
        ("path", r"[~./\w-]+"),
        ("month", "|".join(MONTHS)),
        ("person", r".+ .+"),
        ("job", r"[a-z -]+"),
    ],
)
def test_texts_have_the_form_of_their_kind(name: str, form: str) -> None:
    for d in many(name, 200):
        assert re.fullmatch(form, d.value), d
        assert d.value == d.text == d.glued


def test_addresses_of_machines_are_valid() -> None:
    for d in many("ip", 50):
        assert ipaddress.ip_address(d.value)
    for d in many("uuid", 50):
        assert uuid.UUID(d.value).version == 4


@pytest.mark.parametrize(
    ("value", "said"),
    [("in_progress", "in progress"), ("a_b_c", "a b c"), ("done", "done"), ("_x", "_x"), ("a_1", "a_1"), (3, "3")],
)
def test_underscores_of_an_enum_are_said_as_spaces(value: Any, said: str) -> None:
    assert one_of([value])(random.Random(0)) == Drawn(value, str(value), str(value))
    assert in_words(one_of([value]))(random.Random(0)) == Drawn(value, said, said)


def test_an_item_with_words_of_its_own_keeps_them() -> None:
    assert in_words(by_meaning({"in_progress": "work_started"}))(random.Random(0)).text == "work_started"


@pytest.mark.parametrize("spec", ["date", "datetime", "time"])
def test_values_of_one_request_rise(spec: str) -> None:
    make = named(spec)
    for seed in range(150):
        rng = random.Random(seed)
        drawn = [make(rng) for _ in range(3)]
        values = [d.value for d in in_order(make, drawn, rng)]
        assert values == sorted(values) and len(values) == 3
        if spec != "time":
            first, *_, last = (datetime.fromisoformat(v) for v in values)
            assert 2 <= (last.date() - first.date()).days <= 120 and len(set(values)) == 3


def test_what_has_no_order_or_stands_alone_is_left_as_it_was() -> None:
    rng = random.Random(0)
    for spec, count in (("month", 3), ("date", 1), ("time", 1), ("date", 0)):
        drawn = [named(spec)(rng) for _ in range(count)]
        assert in_order(named(spec), drawn, rng) == drawn


def test_one_of_gives_each_item_its_share() -> None:
    make = one_of(["a", "b", 3])
    rng = random.Random(0)
    counts = Counter(make(rng).value for _ in range(900))
    assert set(counts) == {"a", "b", 3} and min(counts.values()) > 240


def test_by_meaning_says_a_value_in_its_ways() -> None:
    make = by_meaning({True: ["on", "up"], False: "off", "x": 5})
    found = {(d.value, d.text, d.glued) for s in range(200) for d in [make(random.Random(s))]}
    assert found == {(True, "on", "on"), (True, "up", "up"), (False, "off", "off"), ("x", "5", "5")}


def test_a_list_is_said_with_commas_and_an_and() -> None:
    make = listed(one_of(["Rome", "Oslo", "Bonn", "Nice"]), 1, 3)
    lengths, literal = Counter[int](), 0
    for seed in range(300):
        d = make(random.Random(seed))
        assert len(set(d.value)) == len(d.value)
        assert d.text == d.glued
        if re.search(r"[\[('\"]|,(?! )", d.text) or (len(d.value) == 2 and " and " not in d.text):
            literal += 1
            assert re.findall(r"\w+", d.text.replace(" and ", ", ")) == d.value
        else:
            assert re.split(r", and | and |, ", d.text) == d.value
        lengths[len(d.value)] += 1
    assert set(lengths) == {1, 2, 3} and min(lengths.values()) > 60
    assert 25 < literal < 90


def test_a_list_of_numbers_as_a_program_writes_it() -> None:
    shapes = set()
    for seed in range(3_000):
        drawn = listed(named(f"digits 1..{(12, 1200)[seed % 2]}"), 2, 4)(random.Random(seed))
        assert [int(n) for n in re.findall(r"\d+", drawn.text)] == drawn.value
        assert not re.search(r"\d,\d{3}(?!\d)", drawn.text)  # one number, as people write it
        shapes.add(re.sub(r"\d+", "0", drawn.text))
    assert {"[0,0]", "[0, 0, 0]", "(0, 0)", "{0, 0, 0, 0}", "0,0,0", "0, 0, 0", "0 and 0"} <= shapes


def test_what_holds_a_quote_is_not_quoted_in_a_list() -> None:
    make = listed(one_of(["Rome", "O'Hare"]), 2, 2)
    texts = {make(random.Random(s)).text for s in range(300)}
    assert "[Rome, O'Hare]" in texts and not any("'Rome'" in text or '"' in text for text in texts)


def test_only_a_long_list_of_numbers_may_hold_one_twice() -> None:
    digits, names = named("digits 1..3"), one_of(["Rome", "Oslo", "Bonn", "Nice", "Ulm"])
    seeds = [random.Random(s) for s in range(200)]
    assert any(len(set(d.value)) < len(d.value) == 5 for d in map(listed(digits, 5, 5), seeds))
    assert all(len(set(d.value)) == 3 for d in map(listed(digits, 3, 3), seeds))
    assert all(len(set(d.value)) == 5 for d in map(listed(names, 5, 5), seeds))


def test_numbers_in_the_millions() -> None:
    drawn = [named("integer 500..90000 step 500 or millions")(random.Random(s)) for s in range(2_000)]
    large = [d for d in drawn if d.value > 90_000]
    assert 0.1 < len(large) / len(drawn) < 0.2 and all(d.value >= 1_000_000 for d in large)
    assert all(d.value % 500 == 0 for d in drawn)
    assert {re.sub(r"[\d.,]+", "", d.text).strip() for d in large} >= {"million", "M", "billion", "bn"}
    scales = {"million": 1e6, "M": 1e6, "billion": 1e9, "bn": 1e9, "": 1}
    for d in large:
        [(digits, scale)] = re.findall(r"^([\d.,]+) ?(\w*)$", d.text)
        assert round(float(digits.replace(",", "")) * scales[scale]) == d.value, d
    assert any(d.value > 40 for d in map(named("number 0.5..40 or millions"), map(random.Random, range(50))))
    with pytest.raises(GeneratorError, match="digits"):
        named("digits 5..40 or millions")


@pytest.mark.parametrize("value", [12_345_670_000, 1_230_000, 999_990_000_000])
def test_a_scaled_number_is_exact(value: int) -> None:
    text = scaled(value, random.Random(0))
    number, scale = re.fullmatch(r"([\d.]+)( million|M| billion| bn)", text).groups()  # type: ignore[union-attr]
    assert Decimal(number) * (10**6 if scale in (" million", "M") else 10**9) == value


def test_a_list_of_numbers_keeps_their_type() -> None:
    d = listed(named("integer 1..9"), 2, 2)(random.Random(0))
    assert len(d.value) == 2 and all(type(v) is int for v in d.value)
    assert d.text == f"{d.value[0]} and {d.value[1]}"


def test_items_that_hold_a_comma_themselves_still_make_a_list() -> None:
    make = listed(one_of(["1 Main St, Rome", "bread and butter"]), 1, 1)
    assert len(make(random.Random(0)).value) == 1
    addresses = listed(named("address"), 1, 2)
    assert all(1 <= len(addresses(random.Random(s)).value) <= 2 for s in range(1_500))


def test_names_lists_every_generator_once() -> None:
    assert len(names()) == len(set(names()))
    assert {"integer", "number", "digits", "year", "code", "date", "person", "uuid"} <= set(names())
