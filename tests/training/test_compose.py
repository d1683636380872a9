"""Visits to the library: every kind of conversation, honest about what is on offer."""

from __future__ import annotations

import json
import random
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from model.types import Message, Tool
from tests.training.domains import load, small_library, tool
from training.data import compose
from training.data.compose import KINDS, LOWER_CASE, OFFERED, OPENERS, SYSTEM, VARIANTS, VISIT, Composer
from training.data.example import Call, Example
from training.data.quality import unsupported
from training.data.scenarios import draw

KETTLE, DOCK = small_library()["kettle"], small_library()["dock"]
VISITS = 250


def visits(seed: int = 0, count: int = VISITS) -> list[Example]:
    composer = Composer([KETTLE, DOCK], seed)
    return [e for v in range(count) for e in composer.visit(random.Random(v))]


@cache
def made() -> list[Example]:
    return visits()


def only(kind: str, monkeypatch: pytest.MonkeyPatch, count: int = 60) -> list[Example]:
    """Examples when every draw is of one kind."""
    monkeypatch.setattr(compose, "KINDS", {kind: 1.0})
    return visits(count=count)


def home(example: Example) -> str:
    return example.group.removeprefix("scenario:").partition("#")[0]


def originals(example: Example, composer: Composer) -> list[str]:
    """The names that the example's tools have in their files."""
    domain, number = home(example), int(example.group.partition("#")[2] or 0)
    names = {}
    for each in sorted(composer.domains, key=lambda d: d.name == domain):
        names |= {new.name: old for old, new in composer.variant(each, number).tools.items()}
    return [names[t.name] for t in example.tools]


def test_a_seed_repeats_the_examples() -> None:
    assert visits(count=40) == visits(count=40)
    assert visits(seed=1, count=40) != visits(count=40)


def test_a_visit_does_not_depend_on_those_before_it() -> None:
    composer = Composer([KETTLE, DOCK])
    later = list(composer.visit(random.Random(7)))
    list(composer.visit(random.Random(8)))
    assert list(composer.visit(random.Random(7))) == later == list(Composer([KETTLE, DOCK]).visit(random.Random(7)))


def test_a_visit_stays_in_one_variant_of_one_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(KINDS, "other domain too")
    composer = Composer([KETTLE, DOCK])
    groups = Counter()
    for seed in range(80):
        examples = list(composer.visit(random.Random(seed)))
        assert len(examples) == VISIT
        numbered = {e.group for e in examples if "#" in e.group}
        assert len({home(e) for e in examples}) == 1 and len(numbered) <= 1
        groups.update(numbered)
    assert len(groups) > VARIANTS


def test_one_to_twenty_tools_of_different_names_are_on_offer() -> None:
    for example in made():
        names = [t.name for t in example.tools]
        assert 1 <= len(names) == len(set(names)) <= max(OFFERED) == 20


def test_calls_and_history_fit_the_tools_on_offer() -> None:
    for example in made():
        tools = {t.name: t.parameters for t in example.tools}
        for call in example.calls:
            Draft202012Validator(tools[call.name]).validate(call.arguments)
            assert list(call.arguments) == [p for p in tools[call.name]["properties"] if p in call.arguments]
        for message in example.messages:
            for earlier in message.tool_calls:
                if earlier.name in tools:
                    Draft202012Validator(tools[earlier.name]).validate(json.loads(earlier.arguments))


def test_every_call_is_supported_by_its_conversation() -> None:
    for example in made():
        assert unsupported(example) is None, (example.messages, example.calls)


def test_each_kind_of_conversation_occurs() -> None:
    shapes = Counter(
        (
            tuple(m.role for m in e.messages if m.role != "system"),
            min(len(e.calls), 2),
            len({c.name for c in e.calls}) > 1,
        )
        for e in made()
    )
    one, request = ("user",), ("user", "assistant", "tool")
    assert shapes[one, 1, False] > 700  # single requests, and some of the kinds that a tool has nothing for
    for shape in [
        (one, 2, False),
        (one, 2, True),
        (one, 0, False),
        (("user", "assistant", "user"), 1, False),  # asked back
        (request, 0, False),
        (request, 1, False),  # a chain
        ((*request, "user"), 1, False),
        ((*request, "user"), 0, False),  # chat
        ((*request, "assistant", "user"), 1, False),
        ((*request, "assistant", "tool"), 0, False),
    ]:
        assert shapes[shape] > 3, shape
    without = sum(not e.calls for e in made()) / len(made())
    assert 0.08 < without < 0.25
    assert set(KINDS) == {
        *(
            "single",
            "same tool twice",
            "as written",
            "told together",
            "several tools",
            "same values",
            "other domain too",
            "value missing",
            "no such tool",
            "chat",
        ),
        *("later turn", "after another request", "finished", "chain"),
    }


def test_requests_without_their_tool_never_offer_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of both domains' tools, those that are not on offer must hold the one whose request it is."""
    composer = Composer([KETTLE, DOCK])
    examples = [e for e in only("no such tool", monkeypatch) if not e.calls]
    assert len(examples) > 300
    texts = {
        t.tool.name: {draw.single(d, t, random.Random(s)).messages[0].text for s in range(3_000)}
        for d in (KETTLE, DOCK)
        for t in d.tools
    }
    known = 0
    for example in examples:
        offered = originals(example, composer)
        said = example.messages[-1].text
        right = {name for name, each in texts.items() if said in each}
        known += len(right) == 1
        assert not right or right - set(offered), (said, offered)
        domain = {t.tool.name for t in (KETTLE if home(example) == "kettle" else DOCK).tools}
        assert domain - set(offered)
    assert known > 100


def test_near_names_are_no_siblings_of_a_request_without_its_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `find_room` is asked may be `find_rooms_nearby`'s business too; `ring_bell` cannot be."""
    names = ("find_room", "find_room_nearby", "ring_bell")
    domain = load(tmp_path, *(tool(name=n, say=[f"{n} {{room}} {{level}}"]) for n in names))
    monkeypatch.setattr(compose, "KINDS", {"no such tool": 1.0})
    composer = Composer([domain])
    seen = Counter()
    for seed in range(60):
        for example in composer.visit(random.Random(seed)):
            asked = next(n for n in sorted(names, key=len, reverse=True) if n in example.messages[-1].text.lower())
            offered = set(originals(example, composer))
            assert not example.calls
            assert offered == ({"ring_bell"} if asked != "ring_bell" else offered)
            assert asked not in offered
            seen[asked] += 1
    assert set(seen) == set(names)


def test_a_missing_value_is_not_joined_by_siblings(monkeypatch: pytest.MonkeyPatch) -> None:
    composer = Composer([KETTLE, DOCK])
    closed = 0
    for example in only("value missing", monkeypatch):
        users = [m for m in example.messages if m.role == "user"]
        if example.calls or len(users) != 1 or example.messages[-1] is not users[0]:
            continue
        domain = KETTLE if home(example) == "kettle" else DOCK
        own = {t.tool.name for t in domain.tools} & set(originals(example, composer))
        assert len(own) == 1
        closed += 1
    assert closed > 20


def test_distractors_are_siblings_first_then_strangers() -> None:
    composer = Composer([KETTLE, DOCK])
    sizes = Counter()
    for example in made():
        if not example.calls or "#" not in example.group:
            continue
        own = {t.tool.name for t in (KETTLE if home(example) == "kettle" else DOCK).tools}
        offered = set(originals(example, composer))
        called = len({c.name for c in example.calls})
        if offered - own and called == 1:
            assert own <= offered
        sizes[len(offered)] += 1
    assert sizes[1] > 20 and sizes[2] > 100 and sizes[4] > 20


def test_a_domain_alone_needs_no_strangers() -> None:
    composer = Composer([KETTLE])
    examples = [e for s in range(60) for e in composer.visit(random.Random(s))]
    assert {len(e.tools) for e in examples} == {1, 2}


@pytest.mark.parametrize("kind", ["several tools", "other domain too", "same tool twice", "told together"])
def test_several_requests_in_one_have_a_call_each(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = only(kind, monkeypatch)
    several = [e for e in examples if len(e.calls) > 1]
    assert len(several) > 100
    for example in several:
        names = {c.name for c in example.calls}
        assert len({str(c) for c in example.calls}) == len(example.calls)
        assert (len(names) == 1) == (kind in ("same tool twice", "told together"))


def test_up_to_five_calls_are_told_together(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = Counter(len(e.calls) for e in only("told together", monkeypatch))
    assert min(counts[n] for n in (2, 3, 4, 5)) > 10 and max(counts) == 5


def test_a_domains_own_requests_are_among_them(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [e.messages[-1].text.lower() for e in only("as written", monkeypatch)]
    assert 20 < sum("for the early riser" in text for text in texts) < len(texts)  # the other domain has none


def test_a_request_after_another_calls_only_what_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    again = opened = replied = 0
    examples = only("after another request", monkeypatch)
    for example in examples:
        messages = [m for m in example.messages if m.role != "system"]
        if len(messages) == 1:
            continue  # it would have asked for what was done
        assert [m.role for m in messages[:3]] == ["user", "assistant", "tool"] and messages[-1].role == "user"
        assert [m.role for m in messages[3:-1]] in ([], ["assistant"]) and len(example.calls) == 1
        before = [c for m in messages for c in m.tool_calls]
        assert {c.name for c in before} <= {t.name for t in example.tools}
        [call] = example.calls
        assert (call.name, call.arguments) not in [(c.name, json.loads(c.arguments)) for c in before]
        again += call.name == before[0].name
        opened += messages[-1].text.startswith(OPENERS)
        replied += len(messages) == 5
    assert min(again, opened, replied) > len(examples) // 10


def test_some_requests_are_lower_case_and_their_arguments_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    boats = [
        (e.messages[-1].text, c.arguments[p])
        for e in only("single", monkeypatch, 200)
        for c in e.calls
        for t in e.tools
        if t.name == c.name
        for p in t.parameters["properties"]
        if "boat" in p and len(e.messages) == 1
    ]
    lower = [(text, boat) for text, boat in boats if text == text.lower() and not text.startswith(boat.lower())]
    assert len(boats) > 200 and 0.02 < len(lower) / len(boats) < 3 * LOWER_CASE
    assert all(boat in text for text, boat in lower)


ENUM = {"type": "string", "enum": ["Eco", "Turbo"]}
PROSE = {"type": "string", "description": "How. One of: Eco, Turbo"}


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"type": "string"}, "Sea Otter", "sea otter"),
        ({"type": "string"}, "Elsewhere", "Elsewhere"),
        (ENUM, "Eco", "Eco"),
        (PROSE, "Eco", "Eco"),
        ({"type": "array", "items": ENUM}, ["Eco", "Turbo"], ["Eco", "Turbo"]),
        ({"type": "array", "items": {"type": "string"}}, ["Eco", "Sea Otter"], ["eco", "sea otter"]),
        ({"type": "object", "properties": {"a": ENUM, "b": {}}}, {"a": "Eco", "b": "Eco"}, {"a": "Eco", "b": "eco"}),
        ({"type": "string", "pattern": "^[A-Z]"}, "Eco", "Eco"),
        ({"const": "Eco"}, "Eco", "Eco"),
        ({"type": "string"}, "2026-03-14T19:30:00", "2026-03-14T19:30:00"),
        ({"type": "integer"}, 5, 5),
        ({"type": "boolean"}, True, True),
    ],
)
def test_lower_casing_keeps_what_is_no_free_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schema: dict, value: object, expected: object
) -> None:
    monkeypatch.setattr(compose, "LOWER_CASE", 1.0)
    monkeypatch.setattr(compose, "SYSTEM", 0.0)
    text = "Sea Otter in Eco or Turbo at 2026-03-14T19:30:00, 5 times"
    offered = Tool("f", "", {"type": "object", "properties": {"x": schema}})
    example = Example("s", "g", (Message("user", text),), (offered,), (Call("f", {"x": value}),))
    surfaced = compose._surface(example, DOCK, random.Random(0))
    assert surfaced.messages[0].text == text.lower()
    assert surfaced.calls == (Call("f", {"x": expected}),)
    assert example.calls[0].arguments == {"x": value}


def test_a_request_whose_first_letter_is_small_says_its_values_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of the lower-cased share, a name is a name."""
    monkeypatch.setattr(compose, "LOWER_CASE", 0.0)
    monkeypatch.setattr(compose, "KINDS", {"single": 1.0})
    composer = Composer([DOCK])
    for seed in range(80):
        for example in composer.visit(random.Random(seed)):
            names = [v for c in example.calls for v in c.arguments.values() if isinstance(v, str) and v[0].isupper()]
            assert all(name in example.messages[-1].text for name in names), example.messages[-1].text


def test_some_conversations_begin_with_a_system_prompt() -> None:
    prompts = [e.messages[0].text for e in made() if e.messages[0].role == "system"]
    assert SYSTEM / 2 < len(prompts) / len(made()) < 2 * SYSTEM
    assert not any("{" in p for p in prompts) and len(set(prompts)) > 5
    assert "You are an assistant for a kettle that listens." in prompts


def test_the_last_turn_is_never_empty() -> None:
    for example in made():
        assert example.messages[-1].text.strip() or example.messages[-1].role != "user"


def test_a_variant_is_the_same_whatever_was_drawn_before() -> None:
    one, other = Composer([KETTLE, DOCK]), Composer([DOCK, KETTLE])
    other.variant(DOCK, 2)
    for number in range(VARIANTS):
        assert one.variant(KETTLE, number) == other.variant(KETTLE, number)
    assert one.variant(KETTLE, 0).tools == {t.tool.name: t.tool for t in KETTLE.tools}
    assert one.variant(KETTLE, 3) is one.variant(KETTLE, 3)


def test_tools_of_two_variants_never_meet() -> None:
    composer = Composer([KETTLE, DOCK])
    for example in made()[:600]:
        if "#" not in example.group:
            continue
        number = int(example.group.partition("#")[2])
        declared = [t for d in composer.domains for t in composer.variant(d, number).tools.values()]
        assert all(t in declared for t in example.tools)
