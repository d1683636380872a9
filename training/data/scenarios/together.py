"""Several calls told in one breath: as a domain's file has it, or made from its phrasings: values in a list, a request
said again in part, tools that share their values."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator

from model.prompt import dumps
from model.types import Message
from training.data.augment import ordered
from training.data.example import Call, Example
from training.data.scenarios.draw import arguments_of, draw_slots, example_of, label_of, named, rises, said_as
from training.data.scenarios.drawn import Drawn
from training.data.scenarios.library import Domain, ScenarioTool, Together
from training.data.scenarios.phrasing import Said, Slot, fill
from training.data.synthesis import CALLS, lower_first

_Told = tuple[str, list[dict[str, Drawn]]]  # a text, and the slots' values call by call

# "between 3 and 5" holds no list, and a list beside another "and" cannot be read.
_NO_LIST_BEHIND = re.compile(
    r"(\b(between|and|or|than|an?|one|this|that|every|each|named|called|saying)\s*|,\s*|[\w$€£¥#+/.:'\"(-])$", re.I
)
_NO_LIST_BEFORE = re.compile(r"\s*(and|or|to|'s|through|until|till)\b|\s*,|[\w%°$€£/'\")-]", re.I)
_PREPOSITION = re.compile(
    r"\s(at|for|in|on|with|from|to|of|by|over|around|near|under|using|about)(\s+(a|an|the))?\s+$", re.I
)
_LINKS = (" and", ", and", " and then", " and also", " and", ", and", ", then", ", plus", " as well as", ";")
_SAME = (
    ", then do the same",
    ", and do the same",
    " and the same",
    ". Do the same",
    ", followed by one",
    ", and finally",
)
_SAME_FOR = re.compile(r"\s(for|in|at|with|from|on)\b", re.I)
_ORDINALS = ("first", "second", "third", "fourth", "fifth")
_NUMBERS = ("two", "three", "four", "five")
# How a parameter and its value are said beside each other, and what is said between the last two of a case.
_NAMED = (
    ("a {} of {}", " and "),
    ("{} {}", ", "),
    ("{} {}", " and "),
    ("{} = {}", ", "),
    ("{}: {}", ", "),
)
# Begins what tells something, and asks for nothing.
_STATES = re.compile(
    r"(i(?!'d like| need| want)|my|we|with|for|there|it|it's|he|she|they|this|that|an?|if|when|since|because|once|at|in"
    r"|on|from|to|our|some|every|each|all|no|not|and|but|so)\b",
    re.IGNORECASE,
)
_OPENED = (
    (", once", " and once"),
    (" first", ", then"),
    (" first", " and then"),
    (": one", " and one"),
)
_ARTICLE = re.compile(r"\s(a|an|the)\s+$", re.I)
_IN_PARTS = re.compile(r",|\b(and|or)\b")  # what holds one of these cannot stand in a list
_OPEN_NUMBER = re.compile(r"\b(hundred|thousand)$")  # "one hundred, eighty and five" is one number as well as three
_SHORT = 4  # words between the slots of what is said again
_ASKS = re.compile(r"(what|how|which|who|when|where|is|are|do|does|can|could|will|would)\b", re.IGNORECASE)
_SEVERAL = re.compile(r"[.?!;:](\s+\S)|,")  # clauses
_OF = re.compile(r"\s(of|for|in|at|from|about)(\s+(a|an|the))?\s+$")
# What cannot do without the values: "how much money is" in the account, "get rid" of it.
_UNFINISHED = re.compile(
    r"(^(if|when|since|because|my|we|i'm)\b.*"
    r"|\b(is|are|was|were|be|been|am|rid|out|up|off|on|turn|put|set|go|goes|going|starts|ends|leads|comes|get|doing|have|has|had|need|want|like|look|looking"
    r"|live|living|staying|stand|stands|me|us|you|it|i|we|they|this|that|more|all|anything|everything|what's|whats))$",
    re.IGNORECASE,
)


def as_written(domain: Domain, together: Together, rng: random.Random) -> Example | None:
    """One of the domain's own requests for several calls; None where what is drawn makes two of them the same, or an
    end come before its start."""
    wording = rng.choice(together.say)
    pieces = wording.phrasing.expand(rng)
    slots = list(dict.fromkeys(p.name for p in pieces if isinstance(p, Slot)))
    said: dict[str, Drawn] = {}
    values: list[dict[str, Drawn]] = []
    implied: list[dict[str, Any]] = []
    for k, tool in enumerate(together.calls):
        mine = {place.name: slot for slot in slots if k in (place := together.place(slot)).calls}
        drawn = draw_slots(tool, [name for name, slot in mine.items() if slot not in said], rng, avoid=said)
        said |= {mine[name]: d for name, d in drawn.items()}
        values.append({name: said[slot] for name, slot in mine.items()})
        placed = ((together.place(path), value) for path, value in wording.implied.items())
        implied.append({place.name: value for place, value in placed if k in place.calls})
    calls = [
        Call(tool.tool.name, ordered(arguments_of(tool, drawn, meant), tool.tool.parameters))
        for tool, drawn, meant in zip(together.calls, values, implied, strict=True)
    ]
    risen = all(rises(tool, call.arguments) for tool, call in zip(together.calls, calls, strict=True))
    if not risen or len({dumps([c.name, c.arguments]) for c in calls}) < len(calls):
        return None
    text = fill(pieces, {slot: said_as(d) for slot, d in said.items()})
    return example_of(domain, [Message("user", text)], list(together.calls), calls)


def told_together(domain: Domain, tool: ScenarioTool, rng: random.Random) -> Example | None:
    """One request for several calls of the same tool, told in one breath: "… in Paris, Rome and Oslo", or "… for Ann
    at 3 and for Bo at 5". None for a phrasing that cannot be told so."""
    wording = rng.choice(tool.say)
    pieces = wording.phrasing.expand(rng)
    count = rng.choice(CALLS)
    way = rng.random()
    told = _repeated_end(tool, pieces, count, rng) if way < 0.4 else None
    told = told or (_case_by_case(tool, count, rng) if 0.4 <= way < 0.55 and not wording.implied else None)
    told = told or (_respectively(tool, pieces, count, rng) if way > 0.8 else None)
    told = told or _listed_value(tool, pieces, count, rng)
    if told is None:
        return None
    text, values = told
    arguments = [ordered(arguments_of(tool, drawn, wording.implied), tool.tool.parameters) for drawn in values]
    if len({dumps(a) for a in arguments}) < len(arguments) or not all(rises(tool, a) for a in arguments):
        return None
    return example_of(domain, [Message("user", text)], [tool], [Call(tool.tool.name, a) for a in arguments])


def _listed_value(tool: ScenarioTool, pieces: list[str | Slot], count: int, rng: random.Random) -> _Told | None:
    """One slot says a list; the others are the same in every call."""
    names = [p.name for p in pieces if isinstance(p, Slot)]
    places = [i for i, p in enumerate(pieces) if isinstance(p, Slot) and names.count(p.name) == 1]
    rng.shuffle(places)
    for place in places:
        piece = pieces[place]
        if not isinstance(piece, Slot) or not _holds_list(pieces, place):
            continue
        shared = draw_slots(tool, names, rng)
        values = [shared[piece.name]]
        for _ in range(count - 1):
            avoid = {str(k): v for k, v in enumerate(values)} | {n: d for n, d in shared.items() if n != piece.name}
            values.append(draw_slots(tool, [piece.name], rng, avoid=avoid)[piece.name])
        if any(not _may_be_listed(v) for v in values) or len({v.text.lower() for v in values}) < count:
            continue
        before = pieces[place - 1] if place else ""
        found = _PREPOSITION.search(str(before))
        text = _list_of(values, bool(found and not found[2]), rng)
        said = {n: said_as(d) for n, d in shared.items()} | {piece.name: Said(text, text)}
        return fill(pieces, said), [shared | {piece.name: v} for v in values]
    return None


def _may_be_listed(drawn: Drawn) -> bool:
    short = len(drawn.text.split()) <= 3 and not _IN_PARTS.search(drawn.text) and not _OPEN_NUMBER.search(drawn.text)
    return short and isinstance(drawn.value, str | int | float) and not isinstance(drawn.value, bool)


def _list_of(values: Sequence[Drawn], emphatic: bool, rng: random.Random) -> str:
    """The values as a list; "both Paris and Rome" only where it may be `emphatic`."""
    texts = [value.text for value in values]
    link = rng.choice(
        (" and ",) * 8 + (" & ", ", ", " and also ", " as well as ", ", then ", " plus ", " and finally ")
    )
    if link == " plus " and not all(isinstance(value.value, str) for value in values):
        link = " and "  # not their sum
    last = f",{link}" if len(texts) > 2 and link == " and " and rng.random() < 0.4 else link
    if all(re.fullmatch(r"\d\d?", text) for text in texts) and rng.random() < 0.2:
        return ",".join(texts[:-1]) + last + texts[-1]  # "5,10 and 15", as some type it
    together = rng.choice(("both " if len(texts) == 2 else "all of ", "each of "))
    return together * (emphatic and link == " and " and rng.random() < 0.4) + ", ".join(texts[:-1]) + last + texts[-1]


def _respectively(tool: ScenarioTool, pieces: list[str | Slot], count: int, rng: random.Random) -> _Told | None:
    """Two slots say lists, the first of one with the first of the other: "Ann and Bo at 3 and 5, respectively"."""
    names = [p.name for p in pieces if isinstance(p, Slot)]
    places = [i for i, p in enumerate(pieces) if isinstance(p, Slot) and names.count(p.name) == 1]
    places = [i for i in places if _holds_list(pieces, i)]
    # The last two, with nothing behind them and one clause between them: "respectively" is heard of what stands before.
    between = "".join(p for p in pieces[places[-2] :] if isinstance(p, str)) if len(places) > 1 else ";"
    chosen = [p.name for p in pieces if isinstance(p, Slot)][-2:]
    behind = pieces[-1] if isinstance(pieces[-1], str) else ""
    if re.search(r"[.?!;:,]\s", between) or behind.strip(" .?!") or not set(chosen) <= _parameters(tool):
        return None
    if chosen != [p.name for i in places[-2:] if isinstance(p := pieces[i], Slot)]:
        return None
    shared = draw_slots(tool, names, rng)
    values: list[dict[str, Drawn]] = []
    for k in range(count):
        avoid = {f"{n}#{i}": d for i, earlier in enumerate(values) for n, d in earlier.items()} | shared
        values.append({n: shared[n] for n in chosen} if not k else draw_slots(tool, chosen, rng, avoid=avoid))
    listed = {n: [v[n] for v in values] for n in chosen}
    for drawn in listed.values():
        if not all(map(_may_be_listed, drawn)) or len({d.text.lower() for d in drawn}) < count:
            return None
    texts = {n: ", ".join(d.text for d in drawn[:-1]) + f" and {drawn[-1].text}" for n, drawn in listed.items()}
    text = fill(pieces, {n: said_as(d) for n, d in shared.items()} | {n: Said(t, t) for n, t in texts.items()})
    body = text.rstrip(" .?!")
    return f"{body}{rng.choice((', respectively', ' respectively'))}{text[len(body) :]}", [shared | v for v in values]


def _case_by_case(tool: ScenarioTool, count: int, rng: random.Random) -> _Told | None:
    """What is asked, and each case's values by the names of their parameters: "I have two rooms. The first has a length
    of 5 and a width of 4, the second … What's the area of each?" A value may be "the same" as in the case before."""
    properties, required = tool.tool.parameters["properties"], tool.tool.parameters.get("required", [])
    head = _without_values(tool, list(properties), rng)
    names = [n for n in properties if n in tool.draws and (n in required or rng.random() < 0.3)]
    if not head or _STATES.match(head) or not set(required) <= set(names) or not 0 < len(names) <= 4:
        return None
    rng.shuffle(names)
    form, apart = rng.choice(_NAMED)
    values: list[dict[str, Drawn]] = []
    cases: list[str] = []
    for k in range(count):
        avoid = {f"{n}#{i}": d for i, earlier in enumerate(values) for n, d in earlier.items()}
        drawn = draw_slots(tool, names, rng, avoid=avoid)
        said = [named(form, label_of(n), d.text) for n, d in drawn.items()]
        if k and len(names) > 1 and rng.random() < 0.2:
            kept = rng.randrange(len(names))
            drawn[names[kept]] = values[-1][names[kept]]
            said[kept] = f"the same {label_of(names[kept])}"
        if any(_IN_PARTS.search(d.text) for d in drawn.values()):
            return None
        values.append(drawn)
        cases.append(", ".join(said[:-1]) + (apart if said[:-1] else "") + said[-1])
    asked, number = f"{head[:1].upper()}{head[1:]}", _NUMBERS[count - 2]
    if rng.random() < 0.5:
        opening = rng.choice((f" for these {number}: ", f" for {number} cases: ", " for each of these: ", ": "))
        numbered = rng.random() < 0.3
        told = [f"{k}) {case}" if numbered else case for k, case in enumerate(cases, 1)]
        return f"{asked}{opening}{'; '.join(told[:-1])}{rng.choice(('; ', '; and '))}{told[-1]}.", values
    has = " has " if form.startswith("a ") else rng.choice((": ", " has ", " with "))
    told = [f"the {ordinal}{has}{case}" for ordinal, case in zip(_ORDINALS, cases, strict=False)]
    start = rng.choice((f"I have {number} cases. ", f"{number.capitalize()} cases. ", ""))
    each = rng.choice(("for each of them", "in each case", "for each", "for both" if count == 2 else "for all of them"))
    link = rng.choice((". ", ", ", "; "))
    sentences = len(told) if link == ". " else 1
    told[:sentences] = [f"T{case[1:]}" for case in told[:sentences]]
    return f"{start}{link.join(told)}. {asked} {each}{'?' if _ASKS.match(head) else '.'}", values


def _parameters(tool: ScenarioTool) -> set[str]:
    return set(tool.tool.parameters["properties"])


def _holds_list(pieces: list[str | Slot], place: int) -> bool:
    """Whether a list may stand in place of the slot there."""
    before = pieces[place - 1] if place else ""
    behind = pieces[place + 1] if place + 1 < len(pieces) else ""
    if not isinstance(before, str) or not isinstance(behind, str):
        return False
    return not (_NO_LIST_BEHIND.search(before) or _NO_LIST_BEFORE.match(behind))


class _Again(NamedTuple):
    """A request taken apart: `before`, said once; `again` and `end`, its slots among them, said for each call; `once`,
    said behind the last. `plain` where `again` is no preposition."""

    before: str
    again: str
    end: list[str | Slot]
    once: str
    plain: bool


def _said_again(pieces: list[str | Slot]) -> _Again | None:
    """From the first slot on, or from the preposition or article before it; None where that cannot be said again."""
    first = next((i for i, p in enumerate(pieces) if isinstance(p, Slot)), 0)
    head = "".join(str(p) for p in pieces[:first])
    found = _PREPOSITION.search(head) or _ARTICLE.search(head)
    plain = found is None or found.re is _ARTICLE
    end = pieces[first:]
    names = [p.name for p in end if isinstance(p, Slot)]
    closing = end[-1] if end and isinstance(end[-1], str) else ""
    inner = "".join(p for p in end if isinstance(p, str)).rstrip(" .?!")
    if len(set(names)) < len(names) or re.search(r"[.?!;,:](\s|$)|\b(and|or)\b", inner):
        return None
    # Without a preposition it has to be short, and more than one value, to be heard as the same once more.
    if plain and (len(names) < 2 or len(inner.split()) > _SHORT or re.search(r"\S$", head)):
        return None
    if plain and re.match(r"[^\s.?!]", closing):
        return None  # "(16 m long) stay?" can be said neither once nor again
    once = closing if plain else closing[len(closing.rstrip(" .?!")) :]
    if closing:
        end[-1] = closing.removesuffix(once)
    before = head[: found.start()] if found else head.rstrip()
    return _Again(before, found[0] if found else " ", end, once, plain)


def _repeated_end(tool: ScenarioTool, pieces: list[str | Slot], count: int, rng: random.Random) -> _Told | None:
    """The end of the request is said again with other values: "… for Ann at 3 and for Bo at 5", "set the kitchen lights
    to 40 and the hall lights to 60"."""
    parts = _said_again(pieces)
    if parts is None:
        return None
    names = [p.name for p in parts.end if isinstance(p, Slot)]
    text: list[str | Slot] = [parts.before]
    said: dict[str, Said] = {}
    values: list[dict[str, Drawn]] = []
    opening, link = "", rng.choice(_LINKS)
    if not parts.plain and rng.random() < 0.2:
        opening, link = rng.choice(_OPENED)
    elif _SAME_FOR.match(parts.again) and not parts.plain and rng.random() < 0.3:
        link = rng.choice(_SAME)
    for k in range(count):
        avoid = {f"{name}#{i}": d for i, earlier in enumerate(values) for name, d in earlier.items()}
        drawn = draw_slots(tool, names, rng, avoid=avoid)
        if any(_IN_PARTS.search(d.text) for d in drawn.values()):
            return None
        values.append(drawn)
        text.append((opening if not k else "," if k < count - 1 else link) + parts.again)
        text += [Slot(f"{p.name}#{k}") if isinstance(p, Slot) else p for p in parts.end]
        said |= {f"{name}#{k}": said_as(d) for name, d in drawn.items()}
    return fill([*text, parts.once], said), values


def sharing(domain: Domain, tool: ScenarioTool, rng: random.Random) -> Example | None:
    """One request for calls of two tools over the same values, which are said once: "the mean and the median of 3, 5
    and 8", "what is the weather in Paris? And the air quality?"

    None where no other tool can do with the values that a phrasing of this one states.
    """
    wording = rng.choice(tool.say)
    if wording.implied:
        return None
    pieces = wording.phrasing.expand(rng)
    names = [p.name for p in pieces if isinstance(p, Slot)]
    others = [other for other in domain.tools if other is not tool and _serves(tool, other, names)]
    if not names or not others:
        return None
    other = rng.choice(others)
    question = _without_values(other, names, rng)
    if question is None:
        return None
    told = _listed_value(tool, pieces, 2, rng) if rng.random() < 0.25 else None
    if told is None:
        drawn = draw_slots(tool, names, rng)
        told = fill(pieces, {n: said_as(d) for n, d in drawn.items()}), [drawn]
    text, values = told
    calls: dict[str, Call] = {}
    for called in (tool, other):
        for drawn in values:
            slots = {n: d for n, d in drawn.items() if n in _parameters(called)}
            arguments = ordered(arguments_of(called, slots, {}), called.tool.parameters)
            if not rises(called, arguments) or not Draft202012Validator(called.tool.parameters).is_valid(arguments):
                return None
            calls.setdefault(dumps([called.tool.name, arguments]), Call(called.tool.name, arguments))
    head = _before_values(pieces)
    if head and len(values) == 1 and not _SEVERAL.search(text) and rng.random() < 0.6:
        link = rng.choice((" and ", " and ", ", and also ", " as well as "))
        text = f"{head}{link}{question}{text[len(head) :]}"
    else:
        end = "?" if _ASKS.match(question) else rng.choice((".", ""))
        if text[-1] in ".?!" or rng.random() < 0.5:
            openings = ("Also ", "And ", "Also, ", "And also ", "Then ")
            opening = rng.choice((*openings, "I also need to know: ") if end == "?" else openings)
            text = f"{text}{'' if text[-1] in '.?!' else '.'} {opening}{question}{end}"
        else:
            text = f"{text}{rng.choice((', and ', ' and ', ', and also ', '; ', ', plus '))}{question}{end}"
    return example_of(domain, [Message("user", text)], [tool, other], list(calls.values()))


def _serves(tool: ScenarioTool, other: ScenarioTool, names: Sequence[str]) -> bool:
    """Whether the values of slots `names` of `tool` are all that `other` needs, and mean the same there."""
    ours, theirs = tool.tool.parameters["properties"], other.tool.parameters["properties"]
    required = other.tool.parameters.get("required", [])
    if not required or not set(required) <= set(names) <= set(ours) or len(set(names)) < len(names):
        return False
    return all(
        name in theirs
        and all(ours[name].get(k) == theirs[name].get(k) for k in ("type", "enum", "items"))
        and (ours[name].get("type") != "string" or tool.draws[name] is other.draws.get(name))
        for name in names
        if name in theirs or name in required
    )


def _before_values(pieces: Sequence[str | Slot]) -> str:
    """The words before the preposition that is before the first value: "what's the median" of "what's the median of
    {values}?"; nothing where they do not make a request."""
    if len(pieces) < 2 or not isinstance(pieces[0], str) or isinstance(pieces[1], str):
        return ""
    found = _OF.search(pieces[0])
    head = pieces[0][: found.start()].strip() if found else ""
    short = len(head.split()) < 2
    return "" if short or re.search(r"[,.?!;:(]", head) or _UNFINISHED.search(head) else head


def _without_values(tool: ScenarioTool, names: Sequence[str], rng: random.Random) -> str | None:
    """A request for the tool that leaves its values, all of them among `names`, to what was said before."""
    for wording in rng.sample(tool.say, len(tool.say)):
        pieces = wording.phrasing.expand(rng)
        slots = {p.name for p in pieces if isinstance(p, Slot)}
        behind = "".join(p for p in pieces[1:] if isinstance(p, str)).strip(" .?!")
        head = _before_values(pieces)
        if head and not wording.implied and slots <= set(names) and len(behind.split()) <= 2:
            return lower_first(head)
    return None
