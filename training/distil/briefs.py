"""What to ask a teacher to invent: an endless stream of briefs over the user's tools, the same for the same seed.

A model that is asked for a thousand requests in one manner writes the same few over and over. So each brief asks for a
few requests only, and fixes what a model would not vary by itself: one tool, one kind of situation, one way of writing,
one sort of person, which optional values are given, how they are expressed, and with which letters names begin.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from model.prompt import dumps
from model.types import Tool
from training.distil import manners
from training.teacher.base import Brief

COUNT = 8  # requests of one brief: more of them get alike, fewer cost more prompt
MAX_TOOLS = 40  # that a teacher is told of at once: more cost more in every call than they teach
# How often each kind comes up with a tool, in twenty.
KINDS = {"call": 11, "follow_up": 3, "several": 2, "near_miss": 2, "missing": 1, "irrelevant": 1}


@dataclass(frozen=True)
class Aim:
    """A brief, and the names of the tools that its requests are about."""

    brief: Brief
    tools: frozenset[str]


def briefs(tools: Sequence[Tool], seed: int) -> Iterator[Aim]:
    """Every round of as many briefs as there are tools aims at each tool once, in the first at plain calls of it.

    Over the rounds each tool sees the kinds in the proportions of `KINDS`.
    """
    rng = random.Random(f"{seed}:decks")
    decks = {tool.name: _deck(rng, "call") for tool in tools}
    number = 0
    while True:
        for tool in rng.sample(list(tools), len(tools)):
            if not decks[tool.name]:
                decks[tool.name] = _deck(rng)
            # A generator for each brief: a change in how one is drawn does not move the others.
            yield _aim(decks[tool.name].pop(), tool, tools, random.Random(f"{seed}:{number}"))
            number += 1


def some_of(tools: Sequence[Tool], needed: Collection[str], rng: random.Random) -> tuple[Tool, ...]:
    """All tools, or of very many those that are needed and a sample; in the declared order."""
    if len(tools) <= MAX_TOOLS:
        return tuple(tools)
    rest = [t.name for t in tools if t.name not in needed]
    chosen = {*needed, *rng.sample(rest, max(0, min(len(rest), MAX_TOOLS - len(needed))))}
    return tuple(t for t in tools if t.name in chosen)


def _deck(rng: random.Random, first: str | None = None) -> list[str]:
    """The kinds of twenty briefs, to be drawn from the end: in random order, `first` before the others."""
    deck = [kind for kind, count in KINDS.items() for _ in range(count)]
    rng.shuffle(deck)
    if first:
        deck.remove(first)
        deck.append(first)
    return deck


def _aim(kind: str, tool: Tool, tools: Sequence[Tool], rng: random.Random) -> Aim:
    if kind == "missing" and not tool.parameters.get("required"):
        kind = "call"  # nothing can be missing
    partners = [t for t in tools if t.name != tool.name]
    partner = rng.choice(partners) if partners and kind in ("several", "follow_up") and rng.random() < 0.7 else tool
    about = {} if kind == "irrelevant" else {tool.name: tool, partner.name: partner}
    others = [t for t in some_of(tools, about, rng) if t.name not in about]
    parts = [
        _setting(list(about.values()), others),
        _task(kind, tool, partner),
        _manner(kind, rng),
        *([] if kind in ("irrelevant", "near_miss") else [_values(kind, tool, rng)]),
        _rules(kind),
    ]
    return Aim(Brief(kind, "\n\n".join(parts), COUNT), frozenset(about))


def _setting(about: Sequence[Tool], others: Sequence[Tool]) -> str:
    lines = [
        "You write realistic test data for an assistant that is built into an application. The assistant reads what a "
        "user says and can use the application's functions. You write what users say."
    ]
    if about:
        lines.append("The functions that this is about, as JSON:")
        lines += [dumps({"name": t.name, "description": t.description, "parameters": t.parameters}) for t in about]
    if others:
        lines.append("The application's other functions:" if about else "The application's functions:")
        lines += [f"- {t.name}: {' '.join(t.description.split())}" for t in others]
    return "\n".join(lines)


def _task(kind: str, tool: Tool, partner: Tool) -> str:
    name, other = tool.name, "the same function, with other values" if partner is tool else partner.name
    required = ", ".join(tool.parameters.get("required") or ())
    tasks = {
        "call": f"Write {COUNT} requests, each of which takes exactly one call of {name} to fulfil.",
        "several": f"Write {COUNT} requests, each of which asks for two things in one breath: one takes a call of "
        f"{name}, the other a call of {other}. Name the two in either order, and join them in different ways (one "
        "sentence, two sentences, an afterthought).",
        "missing": f"Write {COUNT} requests that clearly want {name}, but leave out something without which it cannot "
        f"be called (it requires: {required}) and which cannot be guessed from what is said. The user does not notice "
        "that it is missing and does not mention it. Leave out different things, where there are several.",
        "near_miss": f"Write {COUNT} requests that are close to {name} in topic and wording, so that a careless reader "
        "would call it, but that none of the application's functions can fulfil: another action on the same things, a "
        "question about how or why, a wish outside of what it offers, something that was already done, or a mere "
        "remark.",
        "irrelevant": f"Write {COUNT} things that users of such an application say to its assistant, but that have "
        "nothing to do with any of its functions: small talk, general knowledge, advice, a joke, a complaint, a "
        "request for a text, a sum.",
        "follow_up": f"Write {COUNT} conversations. In each, the user first asks for something else that takes a call "
        f"of {other}; the assistant makes that call, with arguments that fit the function's JSON Schema; the function "
        "returns a short, realistic JSON result; the assistant may say one sentence about it. Then comes the user's "
        f"last turn, the one that matters: it takes exactly one call of {name}. Half of these last turns refer to what "
        'was said or returned before ("the second one", "same place", "and for tomorrow?", "make it 20 instead"), so '
        "that values have to be taken from there; the other half stand alone.",
    }
    return tasks[kind]


def _manner(kind: str, rng: random.Random) -> str:
    lines = ["How all of them are written:"]
    lines.append(f"- Style: {rng.choice(manners.STYLES)}")
    lines.append(f"- Who speaks: {rng.choice(manners.PERSONAS)}, {rng.choice(manners.PLACES)}")
    lines.append(f"- Language: {rng.choices(*manners.weighted(manners.LANGUAGE))[0]}")
    lengths = manners.SHORT_LENGTHS if kind == "follow_up" else manners.LENGTHS
    lines.append(f"- Length: {rng.choices(*manners.weighted(lengths))[0]}")
    return "\n".join(lines)


def _values(kind: str, tool: Tool, rng: random.Random) -> str:
    required = set(tool.parameters.get("required") or ())
    optional = [n for n in tool.parameters.get("properties") or {} if n not in required]
    lines = ["The values in them:"]
    if optional and kind != "missing":
        given = [n for n in optional if rng.random() < 0.4]
        lines.append(
            f"- Besides what is required, give values for: {', '.join(given)}. No others."
            if given
            else "- Give no optional values: what is not required is not mentioned."
        )
    lines.append(f"- {rng.choices(*manners.weighted(manners.EXPRESSION))[0]}")
    letters = ", ".join(rng.sample("ABCDEFGHIJKLMNOPRSTVWZ", 4))
    lines.append(
        "- Concrete and different in every request: no placeholders, no example values from the descriptions, numbers "
        f"that are not all round, and names of people, places and things that begin with {letters} where any do. Where "
        "a parameter lists the allowed values, go through all of them."
    )
    return "\n".join(lines)


def _rules(kind: str) -> str:
    rules = [
        "Say what a person would say to get something done; never the names of functions or parameters, never JSON, "
        "never an explanation.",
        "Everything that the call needs is in the words: the assistant sees nothing but the conversation and cannot "
        "ask back, nor look anything up."
        if kind in ("call", "several", "follow_up")
        else "The assistant sees nothing but the conversation.",
        f"The {COUNT} differ in how they begin, how they are built and what they are about: no two from one template.",
        "No numbering, no quotation marks around a request, no greeting in more than one of them.",
        "Each is complete by itself: they do not refer to one another."
        if kind != "follow_up"
        else "Each conversation is complete by itself and ends with the user's last turn, unanswered.",
    ]
    return "Rules:\n" + "\n".join(f"- {rule}" for rule in rules)
