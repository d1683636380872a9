"""Filtering: shares of what samples say, every gate with its reason, what is held out, and the report of it all."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from model.types import ToolCall
from tests.training.distil.toys import CITIES, TOOLS, WORDS, Toy, asked, call, price, reply, tokenizer
from training.data.example import Call
from training.distil.filter import FilterConfig, Filtered, filter_ledger
from training.distil.generate import GenerateConfig, generate
from training.distil.labels import Answer, Label, read_labels
from training.distil.ledger import Answers, Asked, Contents, Ledger, read_ledger
from training.teacher.base import Reply

OSLO, ROME = call("get_weather", city="Oslo"), call("get_weather", city="Rome")
WHERE = asked("the weather in Oslo or in Rome")
CONFIG = FilterConfig(held_out=0.0, balance=100.0)
DROPPED = reply(finish="blocked")


def contents(*answered: tuple[Asked, list[Reply]]) -> Contents:
    return Contents(
        questions={q.id: q for q, _ in answered},
        answers={q.id: Answers(len(replies), replies) for q, replies in answered if replies},
    )


def filtered(out: Path, *answered: tuple[Asked, list[Reply]], config: FilterConfig = CONFIG) -> Filtered:
    """With one good question besides, since a filter that leaves nothing is an error."""
    good = asked("Say it to Lima: water")
    made = call("send_message", to="Lima", text="water")
    return filter_ledger(contents((good, [reply(made)] * 2), *answered), out, tokenizer(), config)


def only(found: Filtered) -> Label:
    [label] = found.labels[1:]
    return label


def test_disagreement_becomes_shares(tmp_path: Path) -> None:
    label = only(filtered(tmp_path, (WHERE, [reply(OSLO)] * 3 + [reply(ROME)] + [reply(OSLO, ROME)])))
    oslo, rome = Call("get_weather", {"city": "Oslo"}), Call("get_weather", {"city": "Rome"})
    assert label.answers == (Answer((oslo,), 0.6), Answer((rome,), 0.2), Answer((oslo, rome), 0.2))
    assert label.example.calls == (oslo,) and label.agreement == 0.6
    assert label.example.tools == TOOLS and label.example.messages == WHERE.question.messages
    assert (label.kind, label.example.source) == ("call", "distil")


def test_samples_that_are_no_answers_lower_the_shares(tmp_path: Path) -> None:
    label = only(filtered(tmp_path, (WHERE, [reply(OSLO), reply(OSLO), reply(OSLO), DROPPED, reply(finish="length")])))
    assert [a.share for a in label.answers] == [0.6]


def test_no_call_is_an_answer(tmp_path: Path) -> None:
    label = only(filtered(tmp_path, (asked("hi", "irrelevant"), [reply(text="Hello!"), reply(), reply(OSLO)])))
    assert label.answers[0].calls == () and label.example.calls == ()
    assert label.agreement == pytest.approx(2 / 3) and label.kind == "irrelevant"


def test_other_answers_pass_the_gates_too(tmp_path: Path) -> None:
    made_up = [reply(call("get_weather", city="Lima")), reply(call("get_weather", town="Rome")), reply(call("nothing"))]
    label = only(filtered(tmp_path, (WHERE, [reply(OSLO)] * 4 + [reply(ROME)] + made_up)))
    assert [a.share for a in label.answers] == [0.5, 0.125]


def reasons(found: Filtered) -> dict[str, int]:
    return found.report.dropped


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        ([], "not answered"),
        ([DROPPED, DROPPED, reply(finish="length")], "blocked"),
        ([reply(OSLO, finish="length")], "cut off"),
        ([reply(finish="malformed")], "malformed"),
        ([reply(ToolCall("get_weather", '{"city": "Os'))], "malformed"),
        ([reply(OSLO), reply(ROME)], "samples disagree"),
        ([reply(OSLO), DROPPED, DROPPED], "samples disagree"),
        ([reply(OSLO)] * 2 + [reply(ROME)] + [reply()] + [DROPPED], "samples disagree"),
        ([reply(call("get_climate", city="Oslo"))], "unknown tool"),
        ([reply(call("get_weather", town="Oslo"))], "not valid under the schema"),
        ([reply(call("get_weather", city="Oslo", days="3"))], "not valid under the schema"),
        ([reply(call("get_weather", city="Lima"))], "text not said"),
        ([reply(call("get_weather", city="Oslo", days=3))] * 2, "number not said"),
    ],
)
def test_each_gate_has_its_reason(tmp_path: Path, replies: list[Reply], reason: str) -> None:
    found = filtered(tmp_path, (WHERE, replies))
    assert reasons(found) == {reason: 1} and len(found.labels) == 1


def test_the_threshold_of_agreement_is_the_users(tmp_path: Path) -> None:
    replies = [reply(OSLO)] * 3 + [reply(ROME)] * 2
    assert reasons(filtered(tmp_path, (WHERE, replies), config=FilterConfig(agreement=0.6, held_out=0.0))) == {}
    stricter = filtered(tmp_path, (WHERE, replies), config=FilterConfig(agreement=0.61, held_out=0.0))
    assert reasons(stricter) == {"samples disagree": 1}


def test_a_value_that_is_not_said_is_believed_when_three_samples_give_it(tmp_path: Path) -> None:
    half = (asked("a timer for half an hour"), [reply(call("set_timer", minutes=30))])
    assert reasons(filtered(tmp_path, (half[0], half[1] * 2))) == {"number not said": 1}
    found = filtered(tmp_path, (half[0], half[1] * 3))
    assert only(found).example.calls == (Call("set_timer", {"minutes": 30}),) and found.report.derived == 1
    assert reasons(filtered(tmp_path, (half[0], half[1] * 3 + [reply()]))) == {"number not said": 1}


def test_whole_numbers_and_the_order_of_keys_are_as_serving_writes_them(tmp_path: Path) -> None:
    replies = [reply(ToolCall("get_weather", '{"days": 3.0, "city": "Oslo"}'))] * 2
    label = only(filtered(tmp_path, (asked("weather in Oslo for 3 days"), replies)))
    assert list(label.example.calls[0].arguments.items()) == [("city", "Oslo"), ("days", 3)]


LONG = "could you please be so kind and tell me what the weather in Oslo is going to be like at the weekend {} thanks"


def test_of_near_requests_with_one_answer_the_first_is_kept(tmp_path: Path) -> None:
    pair = [(asked(LONG.format(word)), [reply(OSLO)] * 2) for word in ("many", "a lot of")]
    found = filtered(tmp_path, *pair)
    assert reasons(found) == {"near-duplicate": 1}
    assert only(found).example.messages == pair[0][0].question.messages


def test_near_requests_with_other_answers_are_both_kept(tmp_path: Path) -> None:
    oslo, rome = asked(LONG.format("many")), asked(LONG.format("many").replace("Oslo", "Rome"))
    found = filtered(tmp_path, (oslo, [reply(OSLO)] * 2), (rome, [reply(ROME)] * 2))
    assert reasons(found) == {} and len(found.labels) == 3


def many(count: int) -> Iterator[tuple[Asked, list[Reply]]]:
    rng = random.Random(4)
    for n in range(count):
        word = " ".join(rng.sample(WORDS, 3))
        city = rng.choice(CITIES)
        if n % 10 == 0:
            yield asked(f"what about {word} number {n}", "irrelevant"), [reply()] * 2
        elif n % 10 == 1:
            text = f"tell {city} that {word}"
            yield asked(text), [reply(call("send_message", to=city, text=word))] * 2
        else:
            yield asked(f"{word}: {city}, {n} days"), [reply(call("get_weather", city=city, days=n))] * 2


def test_a_tenth_is_held_out_of_every_tool_and_kind(tmp_path: Path) -> None:
    found = filter_ledger(contents(*many(300)), tmp_path, tokenizer(), FilterConfig(balance=100.0))
    sides = [
        Counter((label.example.calls[0].name if label.example.calls else "", label.kind) for label in side)
        for side in (found.labels, found.heldout)
    ]
    total = sides[0] + sides[1]
    assert len(found.heldout) == round(0.1 * total.total())
    assert all(abs(sides[1][s] - 0.1 * n) <= 1 for s, n in total.items()) and len(total) == 3


def test_near_requests_are_on_one_side(tmp_path: Path) -> None:
    pairs = []
    for n, (question, replies) in enumerate(many(120)):
        text = question.question.messages[0].text
        filler = f"well now {n} and {n} again if you would be so very kind, as I said before, number {n} of them all: "
        pairs += [(asked(filler + text), replies), (asked(f"{filler}{text} or not"), [reply()] * 2)]
    found = filter_ledger(contents(*pairs), tmp_path, tokenizer(), FilterConfig(held_out=0.3, balance=100.0))
    held = {label.example.messages[0].text.removesuffix(" or not") for label in found.heldout}
    trained = {label.example.messages[0].text.removesuffix(" or not") for label in found.labels}
    assert held and trained and not held & trained


def test_a_tool_that_has_too_many_is_cut_back(tmp_path: Path) -> None:
    found = filter_ledger(contents(*many(300)), tmp_path, tokenizer(), FilterConfig(balance=1.0))
    assert reasons(found) == {"too many of this tool": found.report.counts["too many of this tool"]}
    counts = Counter(c.name for side in (found.labels, found.heldout) for each in side for c in each.example.calls)
    assert counts["get_weather"] == 135 and counts["send_message"] == 30  # half of 270 calls


@contextmanager
def shuffled(ledger: Contents, seed: int) -> Iterator[Contents]:
    """The answers in another order; that of the questions stays."""
    answers = list(ledger.answers.items())
    random.Random(seed).shuffle(answers)
    yield Contents(questions=ledger.questions, answers=dict(answers))


def test_what_is_written_is_what_is_returned_and_the_same_each_time(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l", {}) as ledger:
        generate(Toy(), TOOLS, ledger, GenerateConfig(examples=80, concurrency=4), price)
    ledger = read_ledger(tmp_path / "l")
    found = filter_ledger(ledger, tmp_path / "a", tokenizer(), FilterConfig())
    assert read_labels(tmp_path / "a" / "labels.jsonl") == found.labels and len(found.labels) > 50
    assert read_labels(tmp_path / "a" / "heldout.jsonl") == found.heldout and len(found.heldout) >= 5
    texts = [label.example.messages for side in (found.labels, found.heldout) for label in side]
    assert len(texts) == len(set(texts))
    with shuffled(ledger, 1) as other:
        filter_ledger(other, tmp_path / "b", tokenizer(), FilterConfig())
    names = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert names == ["heldout.jsonl", "labels.jsonl", "report.json", "report.md"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_report_counts_and_shows_what_was_dropped(tmp_path: Path) -> None:
    rejected: list[tuple[Asked, list[Reply]]] = [
        (asked(f"the weather in {city}|here"), [reply(OSLO), reply(call("set_timer"))] * 2 + [reply(OSLO)])
        for city in CITIES[:5]
    ]
    blocked = (asked("something rude", "near_miss"), [DROPPED] * 2)
    config = FilterConfig(agreement=0.7, held_out=0.0, balance=100.0)
    found = filtered(tmp_path, (WHERE, [reply(OSLO)] * 5), *rejected, blocked, config=config)
    data: dict[str, Any] = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert (data["questions"], data["train"], data["held_out"]) == (8, 2, 0)
    assert data["dropped"] == reasons(found) == {"samples disagree": 5, "blocked": 1}
    assert data["tools"]["get_weather"] == {"train": 1, "samples disagree": 5}
    assert data["tools"]["send_message"] == {"train": 1} and data["tools"]["(no answer)"] == {"blocked": 1}
    assert data["kinds"] == {"call": {"train": 2, "samples disagree": 5}, "near_miss": {"blocked": 1}}
    assert data["agreement"] == [0] * 6 + [5, 0, 0, 2]
    assert len(data["examples"]["samples disagree"]) == 3
    assert data["examples"]["samples disagree"][0]["request"] == ["user: the weather in Oslo|here"]
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    for line in (
        "Of 8 requests **2 are to learn from and 0 are held out**; 6 were dropped.",
        "| samples disagree | 5 | 62.5 |",
        "| tool | train | held out | samples disagree | blocked |",
        "| get_weather | 1 |  | 5 |  |",
        "| 60–70 % | 5 | ██████████████████████████████ |",
        "## Examples: samples disagree",
        "    user: the weather in Oslo|here",
        '    → 3 × [{"name":"get_weather","arguments":{"city":"Oslo"}}]',
    ):
        assert line in text.splitlines() or line in text, line
    assert text.count("|here") == 3


def test_a_filter_that_leaves_nothing_says_where_to_look(tmp_path: Path) -> None:
    ledger = contents((WHERE, [DROPPED] * 2))
    with pytest.raises(ValueError, match="nothing is left to learn from: .*report.md says what was dropped, and why"):
        filter_ledger(ledger, tmp_path, tokenizer(), FilterConfig())
    assert "| blocked | 1 | 100.0 |" in (tmp_path / "report.md").read_text()
    assert read_labels(tmp_path / "labels.jsonl") == []
