"""Phrasings: what they stand for, and how their slots are said."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.scenarios.phrasing import Phrasing, PhrasingError, Said, Slot, fill

SEEDS = range(200)


def expansions(source: str) -> set[str]:
    """Every text of a phrasing, its slots as <name>."""
    phrasing = Phrasing.parse(source)
    texts = set()
    for seed in SEEDS:
        pieces = phrasing.expand(random.Random(seed))
        texts.add("".join(f"<{p.name}>" if isinstance(p, Slot) else p for p in pieces))
    return texts


def say(source: str, glued: str | None = None, seed: int = 0, **values: str) -> str:
    """The text with every slot said as `values`, or as `glued` where it touches something."""
    said = {name: Said(text, glued or text) for name, text in values.items()}
    return fill(Phrasing.parse(source).expand(random.Random(seed)), said)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("plain text", {"plain text"}),
        ("", {""}),
        ("{a} to {b}", {"<a> to <b>"}),
        ("{ a }", {"<a>"}),
        ("{berth.pier}", {"<berth.pier>"}),
        ("(dim|set) it", {"dim it", "set it"}),
        ("(around|) five", {"around five", " five"}),
        ("now[, please]", {"now", "now, please"}),
        ("[a|b]", {"", "a", "b"}),
        ("(a[b]|c (d|e))", {"a", "ab", "c d", "c e"}),
        ("[on {day}] at {time}", {" at <time>", "on <day> at <time>"}),
        (r"can {boat} \({m}m\) stay", {"can <boat> (<m>m) stay"}),
        (r"\{a\} \[b\] c\|d \\", {r"{a} [b] c|d " + "\\"}),
        (r"(a\|b|c)", {"a|b", "c"}),
    ],
)
def test_a_phrasing_stands_for_its_texts(source: str, expected: set[str]) -> None:
    assert expansions(source) == expected


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("(a|b", r"'\)' is missing"),
        ("[a", r"'\]' is missing"),
        ("a)", r"'\)' without its partner"),
        ("a]", r"'\]' without its partner"),
        ("(a]", r"'\]' without its partner"),
        ("a|b", r"'\|' without its partner \(write \\\| for the sign itself\)"),
        ("a}", "'}' without its partner"),
        ("{a", "a slot is {name}"),
        ("{", "a slot is {name}"),
        ("{}", "a slot is {name}"),
        ("{(a)}", "a slot is {name}"),
        ("{{a}}", "a slot is {name}"),
    ],
)
def test_unbalanced_brackets_and_empty_slots_are_refused(source: str, complaint: str) -> None:
    with pytest.raises(PhrasingError, match=complaint):
        Phrasing.parse(source)


@pytest.mark.parametrize(
    ("source", "always", "some"),
    [
        ("plain", set(), set()),
        ("{a} {b}", {"a", "b"}, {"a", "b"}),
        ("{a} [{b}]", {"a"}, {"a", "b"}),
        ("({a}|{b}) {c}", {"c"}, {"a", "b", "c"}),
        ("({a} x|y {a})", {"a"}, {"a"}),
        ("({a}|)", set(), {"a"}),
        ("[{a}] {a}", {"a"}, {"a"}),
        ("(({a}|{a} {b})|{a} {c})", {"a"}, {"a", "b", "c"}),
    ],
)
def test_slots_are_always_or_only_sometimes_said(source: str, always: set[str], some: set[str]) -> None:
    assert Phrasing.parse(source).slots() == (always, some)


@given(st.integers(0, 100_000))
def test_every_expansion_holds_what_is_always_said_and_nothing_unknown(seed: int) -> None:
    phrasing = Phrasing.parse("[a {x} (b|{y})] ({z} c|{z} [{w}])")
    always, some = phrasing.slots()
    found = {p.name for p in phrasing.expand(random.Random(seed)) if isinstance(p, Slot)}
    assert always <= found <= some


def test_an_optional_part_is_there_half_of_the_time() -> None:
    phrasing = Phrasing.parse("[please]")
    assert 400 < sum(bool(phrasing.expand(random.Random(s))) for s in range(1_000)) < 600


def test_a_seed_repeats_an_expansion() -> None:
    phrasing = Phrasing.parse("(a|b|c) [d] (e|f)")
    assert all(phrasing.expand(random.Random(s)) == phrasing.expand(random.Random(s)) for s in range(30))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("${n}", "$40"),
        ("{n}%", "40%"),
        ("{n}km", "40km"),
        ("{n}°", "40°"),
        ("-{n}", "-40"),
        ("#{n}", "#40"),
        ("{n}-inch", "40-inch"),
        ("a/{n}", "a/40"),
        ("{n}.5", "40.5"),
        ("about {n} percent", "about forty percent"),
        ("{n}.", "forty."),
        ("{n}, please", "forty, please"),
        ("({n})", "forty"),
        (r"\({n}\)", "(forty)"),
    ],
)
def test_beside_a_sign_or_a_letter_a_slot_is_said_in_digits(source: str, expected: str) -> None:
    assert say(source, n="forty", glued="40") == expected


@pytest.mark.parametrize(
    ("article", "words", "expected"),
    [
        ("a", "Italian place", "an Italian place"),
        ("a", "French place", "a French place"),
        ("an", "French place", "a French place"),
        ("A", "umbrella", "An umbrella"),
        ("a", "one-way ticket", "a one-way ticket"),
        ("a", "university", "a university"),
        ("a", "user", "a user"),
        ("a", "8", "an 8"),
        ("a", "80", "an 80"),
        ("a", "11", "an 11"),
        ("a", "18", "an 18"),
        ("a", "110", "a 110"),
        ("a", "180", "a 180"),
        ("a", "7", "a 7"),
        ("a", "SUV", "an SUV"),
        ("a", "HDMI cable", "an HDMI cable"),
        ("a", "UK plug", "a UK plug"),
        ("a", "X-ray", "an X-ray"),
        ("a", "Monday", "a Monday"),
        ("a", "Ukrainian dish", "a Ukrainian dish"),
        ("a", "hourly report", "an hourly report"),
        ("a", "European plug", "a European plug"),
        ("a", "euro account", "a euro account"),
    ],
)
def test_articles_agree_with_the_value(article: str, words: str, expected: str) -> None:
    assert say(f"{article} {{x}}", x=words) == expected
    assert say(f"send {article} {{x}}", x=words) == f"send {expected}"


def test_only_an_article_agrees() -> None:
    assert say("pasta {x}", x="is ready") == "pasta is ready"
    assert say("take an hour for {x}", x="it") == "take an hour for it"
    assert say("banana {x}", x="apple") == "banana apple"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("Friday", "meet on Friday"),
        ("March 3rd", "meet on March 3rd"),
        ("today", "meet today"),
        ("tomorrow", "meet tomorrow"),
        ("next Friday", "meet next Friday"),
        ("this Monday", "meet this Monday"),
        ("Tomorrow", "meet Tomorrow"),
    ],
)
def test_on_goes_where_english_has_none(words: str, expected: str) -> None:
    assert say("meet on {day}", day=words) == expected


@pytest.mark.parametrize("title", ["Last Christmas", "This Is Us", "Midnight City", "Every Breath You Take"])
def test_on_stays_before_a_title(title: str) -> None:
    assert say("put on {song}", song=title) == f"put on {title}"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a  b   c", "a b c"),
        (" a ", "a"),
        ("a , b", "a, b"),
        ("a ?", "a?"),
        (", please", "please"),
        ("; now", "now"),
        ("a {empty} b", "a b"),
        ("go {empty}.", "go."),
        ("[x] {empty}, go", "go"),
    ],
)
def test_spacing_is_tidied(source: str, expected: str) -> None:
    assert say(source, seed=1, empty="").removeprefix("x, ") == expected


@pytest.mark.parametrize("value", ["./report.pdf", ".env", "../src/", ".5", "?q=1", "!important"])
@pytest.mark.parametrize("source", ["open {x}", "{x} please", "open {x}, then close it"])
def test_a_value_stays_as_it_is(source: str, value: str) -> None:
    assert say(source, x=value) == source.replace("{x}", value)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("${n} for it", "$2.5 million for it"),
        ("a ${n}/month plan", "a $2,500,000/month plan"),
        ("#{n}", "#2,500,000"),
        ("{n} of them", "2.5 million of them"),
    ],
)
def test_money_keeps_its_scale_but_what_touches_digits_does_not(source: str, said: str) -> None:
    pieces = Phrasing.parse(source).expand(random.Random(0))
    assert fill(pieces, {"n": Said("2.5 million", "2,500,000")}) == said


def test_line_breaks_are_kept_and_other_space_is_one() -> None:
    assert say("two  things:\n1.   {a}\n2. {b} ", a="salt", b="oil") == "two things:\n1. salt\n2. oil"
