"""Examples drawn from domains: text and arguments say the same, whatever the seed."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.training.domains import load, small_library, tool
from training.data.example import Call, Example
from training.data.quality import unsupported
from training.data.scenarios import draw
from training.data.scenarios.library import Domain, ScenarioTool
from training.data.scenarios.samples import conversation, print_samples
from training.data.scenarios.together import told_together

LIBRARY = small_library()
KETTLE, DOCK = LIBRARY["kettle"], LIBRARY["dock"]
BOIL, BREW = KETTLE.tools
SEEDS = range(80)
ALL = [(domain, tool) for domain in LIBRARY.values() for tool in domain.tools]
Make = Callable[[Domain, ScenarioTool, random.Random], Example | None]
MAKERS: list[tuple[Make, str]] = [
    (draw.single, "say"),
    (draw.missing, "missing"),
    (draw.finished, "say"),
    (draw.follow_up, "then"),
    (draw.both, "then"),
    (told_together, "say"),
]


def drawn(make: Make, phrasings: str, seeds: range = SEEDS) -> list[Example]:
    """Examples of every tool that has phrasings of the kind."""
    found = [make(d, t, random.Random(s)) for d, t in ALL if getattr(t, phrasings) for s in seeds]
    return [e for e in found if e is not None]


def check_calls(example: Example) -> None:
    """Gold calls and those of the history fit their schemas, arguments in the order of the schema."""
    tools = {t.name: t for t in example.tools}
    history = [(c.name, json.loads(c.arguments)) for m in example.messages for c in m.tool_calls]
    for name, arguments in [*history, *((c.name, c.arguments) for c in example.calls)]:
        schema = tools[name].parameters
        Draft202012Validator(schema).validate(arguments)
        assert list(arguments) == [p for p in schema["properties"] if p in arguments]


@pytest.mark.parametrize(("make", "phrasings"), MAKERS, ids=lambda p: getattr(p, "__name__", None))
def test_whatever_is_drawn_fits_its_schema_and_is_said(make: Make, phrasings: str) -> None:
    examples = drawn(make, phrasings)
    assert len(examples) >= len(SEEDS)
    for example in examples:
        check_calls(example)
        assert unsupported(example) is None, example
        assert (example.source, example.group.partition(":")[0]) == ("scenarios", "scenario")
        assert all(
            m.text == " ".join(m.text.split()) and "{" not in m.text for m in example.messages if m.role != "tool"
        )


@pytest.mark.parametrize(("make", "phrasings"), MAKERS, ids=lambda p: getattr(p, "__name__", None))
def test_a_seed_repeats_what_is_drawn(make: Make, phrasings: str) -> None:
    assert drawn(make, phrasings, range(20)) == drawn(make, phrasings, range(20))
    assert drawn(make, phrasings, range(20)) != drawn(make, phrasings, range(20, 40))


def test_a_single_request_states_exactly_its_arguments() -> None:
    for seed in SEEDS:
        example = draw.single(KETTLE, BREW, random.Random(seed))
        [message], [call] = example.messages, example.calls
        assert (message.role, call.name, example.tools) == ("user", "brew", (BREW.tool,))
        drink, sugar = call.arguments["drink"], call.arguments.get("sugar")
        assert drink in message.text
        assert ("cube" in message.text or "none" in message.text) == (sugar is not None)
        if sugar:
            assert sugar.replace("_", " ") in message.text
        assert any(c.isdigit() or w in message.text for c in message.text for w in ("past", "noon", "midnight")) == (
            "at" in call.arguments
        )


def test_every_phrasing_and_both_sides_of_an_option_are_drawn() -> None:
    texts = [draw.single(KETTLE, BOIL, random.Random(s)).messages[0].text for s in range(200)]
    assert any(t.startswith("please boil") for t in texts) and any(t.startswith("boil") for t in texts)
    assert any("keep it warm" in t for t in texts)
    arguments = [draw.single(KETTLE, BOIL, random.Random(s)).calls[0].arguments for s in range(200)]
    assert 5 < sum(a.get("keep_warm", False) for a in arguments) < 60


def test_slots_with_a_dot_become_parts_of_an_object() -> None:
    [reserve, _] = DOCK.tools
    found = [draw.single(DOCK, reserve, random.Random(s)) for s in SEEDS]
    berths = [(e.messages[0].text, e.calls[0].arguments["berth"]) for e in found if "berth" in e.calls[0].arguments]
    assert 5 < len(berths) < len(found)
    for text, berth in berths:
        assert list(berth) == ["pier", "place"] and berth["pier"] in text


def test_a_missing_value_gives_no_call_or_the_call_after_the_answer() -> None:
    lengths = {1: 0, 3: 0}
    for seed in range(150):
        example = draw.missing(KETTLE, BOIL, random.Random(seed))
        lengths[len(example.messages)] += 1
        if len(example.messages) == 1:
            assert example.calls == ()
            continue
        request, question, answer = example.messages
        assert (request.text, question.role, question.text) == ("heat the kettle", "assistant", "To what temperature?")
        [call] = example.calls
        assert set(call.arguments) == {"degrees"} and answer.role == "user"
    assert min(lengths.values()) > 20


def test_without_a_question_a_missing_value_never_gives_a_call() -> None:
    [reserve, _] = DOCK.tools
    for seed in SEEDS:
        example = draw.missing(DOCK, reserve, random.Random(seed))
        assert len(example.messages) == 1 and not example.calls and example.tools == (reserve.tool,)


def test_a_finished_request_ends_with_its_result() -> None:
    prose = 0
    for seed in SEEDS:
        example = draw.finished(KETTLE, BOIL, random.Random(seed))
        request, called, result = example.messages
        assert [m.role for m in example.messages] == ["user", "assistant", "tool"]
        assert not example.calls and called.text == "" and result.name == "boil_water"
        [call] = called.tool_calls
        degrees = json.loads(call.arguments)["degrees"]  # what was said is repeated
        if result.text.startswith("{"):
            assert json.loads(result.text)["degrees"] == degrees and set(json.loads(result.text)) == {
                "status",
                "degrees",
            }
        else:
            prose += 1
            assert re.search(rf"\bdegrees {degrees}\b", result.text) and "{" not in result.text
        assert request.text
    assert 0.05 < prose / len(SEEDS) < 0.3


def test_a_tool_without_returns_gives_some_result() -> None:
    texts = [draw.finished(KETTLE, BREW, random.Random(s)).messages[-1].text for s in SEEDS]
    results = [json.loads(text) for text in texts if text.startswith("{")]
    assert all(isinstance(r, dict) and r for r in results)
    assert len({tuple(r) for r in results}) > 2


def test_a_later_turn_changes_the_call_before_it() -> None:
    changed = 0
    for seed in SEEDS:
        example = draw.follow_up(KETTLE, BREW, random.Random(seed))
        before = json.loads(example.messages[1].tool_calls[0].arguments)
        [call] = example.calls
        assert example.messages[-1].role == "user" and len(example.messages) in (4, 5)
        assert {k: v for k, v in call.arguments.items() if k != "drink"} == {
            k: v for k, v in before.items() if k != "drink"
        }
        assert call.arguments["drink"] in example.messages[-1].text
        changed += call.arguments != before
    assert changed == len(SEEDS)


def test_what_history_shows_is_what_its_own_request_said() -> None:
    for example in drawn(draw.follow_up, "then"):
        request, called, *_ = example.messages
        [made] = called.tool_calls
        alone = Example("s", "g", (request,), example.tools, (Call(made.name, json.loads(made.arguments)),))
        assert unsupported(alone) is None, alone


def test_one_request_for_two_calls_names_both() -> None:
    made = [e for s in SEEDS if (e := draw.both(KETTLE, BREW, random.Random(s)))]
    assert len(made) == len(SEEDS)
    for example in made:
        [message], [first, second] = example.messages, example.calls
        assert first != second and (first.name, second.name) == ("brew", "brew")
        assert message.text.index(first.arguments["drink"]) < message.text.rindex(second.arguments["drink"])
        assert {k: v for k, v in first.arguments.items() if k != "drink"} == {
            k: v for k, v in second.arguments.items() if k != "drink"
        }


def test_a_correction_is_no_second_call(tmp_path: Path) -> None:
    then = ["actually make it {level}", "no, the {room}", "and now to {level}", "and make that {level} instead"]
    domain = load(tmp_path, tool(then=then))
    assert all(draw.both(domain, domain.tools[0], random.Random(s)) is None for s in SEEDS)


def test_a_chain_gives_the_next_call_or_none() -> None:
    [link] = KETTLE.chains
    lengths = {1: 0, 3: 0, 5: 0}
    for seed in range(150):
        example = draw.chain(KETTLE, link, random.Random(seed))
        check_calls(example)
        lengths[len(example.messages)] += 1
        names = [c.name for c in example.calls]
        assert names == {1: ["boil_water"], 3: ["brew"], 5: []}[len(example.messages)]
        assert [t.name for t in example.tools] == ["boil_water", "brew"]
        if names == ["brew"]:
            assert example.calls[0].arguments["at"] in example.messages[2].text
            assert example.calls[0].arguments["drink"] in example.messages[0].text
        assert unsupported(example) is None
    assert min(lengths.values()) > 15


def test_implied_arguments_of_a_chain_reach_their_steps(tmp_path: Path) -> None:
    report = tool(
        name="report",
        parameters={"id": {"type": "string", "values": "code L-##"}, "note": {"type": "string"}},
        required=["id"],
        say=["report {id}"],
    )
    chain = {
        "steps": ["set_light", "report"],
        "returns": {"id": "code L-##"},
        "pass": {"id": "id"},
        "say": [{"text": "{set_light.room} to {set_light.level}, tell me", "with": {"report.note": "told"}}],
    }
    domain = load(tmp_path, tool(), report, chains=[chain])
    found = [draw.chain(domain, domain.chains[0], random.Random(s)).calls for s in SEEDS]
    assert {c.arguments.get("note") for calls in found for c in calls if c.name == "report"} == {"told"}
    assert all("note" not in c.arguments for calls in found for c in calls if c.name == "set_light")


STAY = {
    "check_in": {"type": "string", "values": "date"},
    "check_out": {"type": "string", "values": "date"},
    "breakfast": {"type": "string", "values": "time"},
    "dinner": {"type": "string", "values": "time"},
}


def stay(folder: Path, **fields: Any) -> Domain:
    say = ["{check_out} is when I leave, {check_in} when I come; {dinner} and {breakfast}"]
    return load(folder, tool(name="stay", parameters=STAY, required=list(STAY), say=say, **fields))


def test_days_and_hours_rise_in_the_order_of_the_parameters(tmp_path: Path) -> None:
    domain = stay(tmp_path)
    for seed in SEEDS:
        [call] = draw.single(domain, domain.tools[0], random.Random(seed)).calls
        assert call.arguments["check_in"] < call.arguments["check_out"]
        assert call.arguments["breakfast"] <= call.arguments["dinner"]


def test_an_answer_keeps_the_order_of_time(tmp_path: Path) -> None:
    lacking = {
        "text": "a room from {check_in}, breakfast {breakfast}, dinner {dinner}",
        "ask": "Until when?",
        "answer": "until {check_out}",
    }
    domain = stay(tmp_path, missing=[lacking])
    calls = [c for s in SEEDS for c in draw.missing(domain, domain.tools[0], random.Random(s)).calls]
    assert len(calls) > 20
    assert all(c.arguments["check_in"] < c.arguments["check_out"] for c in calls)


def test_a_later_turn_keeps_the_order_of_time(tmp_path: Path) -> None:
    domain = stay(tmp_path, then=["leaving {check_out} after all", "make it from {check_in}"])
    made = [e for s in SEEDS if (e := draw.follow_up(domain, domain.tools[0], random.Random(s)))]
    assert len(made) > 0.9 * len(SEEDS)
    assert all(c.arguments["check_in"] < c.arguments["check_out"] for e in made for c in e.calls)


def test_some_texts_are_put_into_quotes_but_nothing_that_touches_another_word(tmp_path: Path) -> None:
    names = {"type": "string", "values": ["Rome", "New Delhi", "O'Hare", "Ur"]}
    kinds = {"type": "string", "enum": ["in_use"]}
    made = tool(
        name="go",
        parameters={"to": names, "by": names, "kind": kinds, "n": {"type": "integer", "values": "digits 1..9"}},
        required=[],
        say=["to {to}, by {by}. {kind} {n}", "{to}-bound, a {by}", "<{to}> and {by}'s"],
    )
    domain = load(tmp_path, made)
    said = Counter[str]()
    for seed in range(3_000):
        [message] = draw.single(domain, domain.tools[0], random.Random(seed)).messages
        said.update(re.findall(r"(?:^| )(['\"][^'\"]+['\"])", message.text))
        assert not re.search(r"['\"](in use|Ur|\d)|O'Hare(\"|'(?!s))|['\"]-bound|\ba ['\"]|['\"]'s", message.text)
    assert {'"Rome"', "'Rome'", '"New Delhi"', "'New Delhi'"} <= set(said)
    assert 30 < sum(said.values()) < 300


def test_a_later_turn_that_cannot_come_right_is_none(tmp_path: Path) -> None:
    domain = stay(tmp_path, then=["the same again"])
    assert draw.follow_up(domain, domain.tools[0], random.Random(0)) is None


def test_further_parameters_are_named_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw, "RECITED", 1.0)
    made = tool(
        name="find",
        parameters={
            "what": {"type": "string", "values": ["shoes"]},
            "maxPrice": {"type": "integer", "values": "digits 1..90"},
            "since": {"type": "string", "values": "date"},
            "deep": {"type": "boolean"},
        },
        required=["what"],
        say=["find {what}, please.", "{what} until {maxPrice}"],
    )
    domain = load(tmp_path, made)
    texts = {
        re.sub(r"\d+", "5", e.messages[0].text.replace('"', "'").replace("'", "")): set(e.calls[0].arguments)
        for s in range(300)
        for e in [draw.single(domain, domain.tools[0], random.Random(s))]
    }
    assert texts["find shoes, please, max price 5."] == texts["find shoes, please, maxPrice=5."] == {"what", "maxPrice"}
    assert texts["find shoes, please (max price: 5)."] == {"what", "maxPrice"}
    assert texts["shoes until 5"] == {"what", "maxPrice"}  # it names nothing twice, no days and no yes or no


def test_slots_of_one_request_differ_where_they_can(tmp_path: Path) -> None:
    names = {"type": "string", "values": [f"name{i}" for i in range(12)]}
    made = tool(name="swap", parameters={"one": names, "other": names}, required=[], say=["{one} with {other}"])
    domain = load(tmp_path, made)
    for seed in SEEDS:
        [call] = draw.single(domain, domain.tools[0], random.Random(seed)).calls
        assert call.arguments["one"] != call.arguments["other"]


def test_implied_values_are_built_from_slots(tmp_path: Path) -> None:
    items = {
        "type": "array",
        "items": {"type": "object", "properties": {"name": {"type": "string"}, "quantity": {"type": "integer"}}},
    }
    order = {
        "text": "{count} {dish} and a {other}",
        "with": {
            "items": [{"name": "{dish}", "quantity": "{count}"}, {"name": "{other}", "quantity": 1}],
            "note": "for {count} people: {unknown}",
        },
    }
    made = tool(
        name="order",
        parameters={"items": items, "note": {"type": "string"}},
        required=["items"],
        slots={"dish": ["ramen", "gyoza"], "other": ["miso soup", "tea"], "count": "digits 2..6"},
        say=[order],
    )
    domain = load(tmp_path, made)
    for seed in SEEDS:
        example = draw.single(domain, domain.tools[0], random.Random(seed))
        [call] = example.calls
        first, second = call.arguments["items"]
        count = first["quantity"]
        assert example.messages[0].text == f"{count} {first['name']} and a {second['name']}"
        assert isinstance(count, int) and second["quantity"] == 1
        assert call.arguments["note"] == f"for {count} people: {{unknown}}"
        assert set(call.arguments) == {"items", "note"}


def test_a_later_turn_changes_one_part_of_an_object(tmp_path: Path) -> None:
    parts = {"city": {"type": "string", "values": ["Oslo", "Rome"]}, "street": {"type": "string", "values": ["A", "B"]}}
    made = tool(
        name="ship",
        parameters={"to": {"type": "object", "properties": parts}},
        required=["to"],
        say=["ship to {to.street}, {to.city}"],
        then=["{to.city}, I mean"],
    )
    domain = load(tmp_path, made)
    for seed in SEEDS:
        example = draw.follow_up(domain, domain.tools[0], random.Random(seed))
        before = json.loads(example.messages[1].tool_calls[0].arguments)["to"]
        after = example.calls[0].arguments["to"]
        assert after["street"] == before["street"] and after["city"] in example.messages[-1].text


def test_samples_show_every_tool_and_kind(capsys: pytest.CaptureFixture[str]) -> None:
    print_samples(KETTLE, 2, random.Random(0))
    shown = capsys.readouterr().out
    assert shown.startswith("# kettle: A kettle that listens\n")
    # Requests, missing, later turn; requests, later turn; chain; several calls.
    assert shown.count("=>") == 2 + 1 + 1 + 2 + 1 + 1 + 2
    assert '{"name":"brew","arguments":{"drink":' in shown
    example = draw.single(KETTLE, BOIL, random.Random(1))
    text = conversation(example)
    assert f"user:      {example.messages[0].text}" in text
    assert f'[{{"name":"boil_water","arguments":{{"degrees":{example.calls[0].arguments["degrees"]}' in text


@pytest.mark.parametrize(
    ("label", "said"), [("width", "with a width of 4"), ("angle", "with an angle of 4"), ("years", "with years of 4")]
)
def test_a_named_value_has_its_article(label: str, said: str) -> None:
    assert draw.named("with a {} of {}", label, "4") == said
    assert draw.named("{}: {}", label, "4") == f"{label}: 4"
