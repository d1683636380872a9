"""The briefs: the same for a seed, balanced in every prefix, complete, and different from one another."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Sequence
from itertools import islice

import pytest

from model.types import Tool
from tests.training.distil.toys import MESSAGE, TIMER, TOOLS, WEATHER
from training.distil import manners
from training.distil.briefs import COUNT, KINDS, MAX_TOOLS, Aim, briefs, some_of

PING = Tool("ping", "Answer at once.")


def first(count: int, tools: Sequence[Tool] = TOOLS, seed: int = 1) -> list[Aim]:
    return list(islice(briefs(tools, seed), count))


def of_kind(kind: str, tools: Sequence[Tool] = TOOLS) -> list[Aim]:
    return [aim for aim in first(120, tools) if aim.brief.kind == kind]


def shown(aim: Aim) -> list[dict[str, object]]:
    """The tools that stand in the brief as JSON."""
    return [json.loads(line) for line in aim.brief.text.splitlines() if line.startswith("{")]


def test_a_seed_gives_the_same_briefs_and_more_of_them_the_same_ones_first() -> None:
    assert first(50) == first(120)[:50]
    assert [a.brief.id for a in first(50)] == [a.brief.id for a in first(50)]
    assert not {a.brief.id for a in first(50)} & {a.brief.id for a in first(50, seed=2)}


def test_no_brief_comes_twice() -> None:
    assert len({a.brief.id for a in first(1_000)}) == 1_000
    assert len({a.brief.id for a in first(1_000, [PING])}) == 1_000


@pytest.mark.parametrize("tools", [TOOLS, [PING], [*TOOLS, PING]])
def test_every_prefix_is_balanced_over_the_tools(tools: Sequence[Tool]) -> None:
    plain = Counter(next(iter(a.tools)) for a in first(len(tools), tools))
    assert plain == {t.name: 1 for t in tools}
    for rounds in (2, 7, 20):
        aims = [a for a in first(rounds * len(tools), tools) if a.brief.kind in ("call", "missing", "near_miss")]
        counts = Counter(name for a in aims for name in a.tools)
        assert max(counts.values()) - min(counts.values()) <= 6


def test_the_kinds_come_in_their_proportions_and_with_every_tool() -> None:
    aims = first(20 * len(TOOLS) * 3)
    counts = Counter(a.brief.kind for a in aims)
    assert counts == {kind: 9 * n for kind, n in KINDS.items()}
    assert {a.brief.kind for a in first(3)} == {"call"}  # so that the smallest run has every tool
    for tool in TOOLS:
        assert {a.brief.kind for a in aims if tool.name in a.tools} == KINDS.keys() - {"irrelevant"}


def test_a_brief_shows_the_tools_that_it_is_about_and_names_the_others() -> None:
    for aim in first(120):
        about = [tool["name"] for tool in shown(aim)]
        assert set(about) == aim.tools
        others = set(re.findall(r"^- (\w+): ", aim.brief.text, re.MULTILINE)) & {t.name for t in TOOLS}
        assert others == {t.name for t in TOOLS} - aim.tools
        assert all(
            tool in [{"name": t.name, "description": t.description, "parameters": t.parameters} for t in TOOLS]
            for tool in shown(aim)
        )
        assert f"Write {COUNT} " in aim.brief.text and aim.brief.count == COUNT


def test_what_is_asked_for_is_of_the_kind() -> None:
    for aim in of_kind("call"):
        [name] = aim.tools
        assert f"each of which takes exactly one call of {name} to fulfil" in aim.brief.text
    assert all(not aim.tools and not shown(aim) for aim in of_kind("irrelevant"))
    assert any(len(aim.tools) == 2 for aim in of_kind("several"))
    assert any(len(aim.tools) == 1 for aim in of_kind("several"))
    for aim in of_kind("follow_up"):
        # The tool of the last turn is shown first.
        assert f"it takes exactly one call of {shown(aim)[0]['name']}" in aim.brief.text
    assert any("it requires: to, text" in aim.brief.text for aim in of_kind("missing"))


def test_nothing_can_be_missing_of_a_tool_that_requires_nothing() -> None:
    assert not of_kind("missing", [PING])
    assert {next(iter(a.tools)) for a in of_kind("missing", [PING, TIMER])} == {"set_timer"}


def test_optional_parameters_are_given_and_left_out() -> None:
    given = Counter()
    for aim in of_kind("call", [TIMER]):
        match = re.search(r"give values for: ([\w, ]+)\. No others", aim.brief.text)
        given[match[1] if match else ""] += 1
    assert set(given) == {"", "label", "sound", "label, sound"}
    assert not any("optional" in aim.brief.text for aim in of_kind("call", [MESSAGE]))


def test_every_manner_is_drawn() -> None:
    text = "\n".join(aim.brief.text for aim in first(1_500))
    for each in (*manners.STYLES, *manners.PERSONAS, *manners.PLACES):
        assert each in text
    for table in (manners.LANGUAGE, manners.LENGTHS, manners.SHORT_LENGTHS, manners.EXPRESSION):
        assert all(each in text and weight > 0 for each, weight in table.items())


def test_very_many_tools_are_not_all_told_of() -> None:
    many = [WEATHER, *(Tool(f"tool_{n}", f"Does {n}.") for n in range(200))]
    for aim in first(30, many):
        told = len(re.findall(r"^- \w+: (?:Does|Weather)", aim.brief.text, re.MULTILINE)) + len(shown(aim))
        assert told == MAX_TOOLS
    others = {frozenset(re.findall(r"^- (\w+): Does", a.brief.text, re.MULTILINE)) for a in first(30, many)}
    assert len(others) == 30


def test_some_of_very_many_tools_are_those_that_are_needed_and_a_sample() -> None:
    many = [Tool(f"tool_{n}") for n in range(100)]
    some = some_of(many, {"tool_99", "tool_3"}, random.Random(1))
    numbers = [int(t.name.removeprefix("tool_")) for t in some]
    assert len(some) == MAX_TOOLS and numbers == sorted(numbers) and {3, 99} <= set(numbers)
    assert some != some_of(many, {"tool_99", "tool_3"}, random.Random(2))
    assert some_of(many[:MAX_TOOLS], (), random.Random(1)) == tuple(many[:MAX_TOOLS])
    assert len(some_of(many, {t.name for t in many[:50]}, random.Random(1))) == 50
