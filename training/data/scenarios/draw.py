"""Examples drawn from the library: single requests, requests that lack a value, later turns, chains of calls."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Iterable, Mapping
from typing import Any

from model.prompt import dumps
from model.types import Message, ToolCall
from training.data.augment import ordered
from training.data.example import Call, Example
from training.data.scenarios.drawn import Drawn
from training.data.scenarios.library import Chain, Domain, ScenarioTool, Wording, step_of
from training.data.scenarios.phrasing import Phrasing, Said, Slot, fill
from training.data.scenarios.times import in_order, is_timeline
from training.data.sources.naming import words

SOURCE = "scenarios"
_SLOT = re.compile(r"\{([^{}]+)\}")
_DIFFERENT = 6  # draws to make two texts of one request differ
_ADDS = re.compile(r"\W*(and|also|plus|same|another|what about|how about|then)\b", re.IGNORECASE)
_CORRECTS = re.compile(
    r"\b(actually|instead|no|wait|sorry|change|make (it|that)|rather|hmm|oops|meant|correction|now|again|more|less)\b",
    re.IGNORECASE,
)
_CLOSING = ("Done.", "All set.", "OK, that's done.", "Here you go.", "Sure, done.", "")


def group(domain: Domain) -> str:
    return f"scenario:{domain.name}"


def single(domain: Domain, tool: ScenarioTool, rng: random.Random) -> Example:
    """A request and its call."""
    text, arguments = request(tool, rng.choice(tool.say), rng)
    return _example(domain, [Message("user", text)], [tool], [Call(tool.tool.name, arguments)])


def missing(domain: Domain, tool: ScenarioTool, rng: random.Random) -> Example:
    """A request that lacks a required value: no call, unless the assistant asked and the user answered."""
    lacking = rng.choice(tool.missing)
    slots = _slots(lacking.wording.phrasing) + (_slots(lacking.answer) if lacking.answer else [])
    drawn = draw_slots(tool, dict.fromkeys(slots), rng)
    text, stated = render(tool, lacking.wording, drawn, rng)
    if lacking.answer is None or lacking.ask is None or rng.random() < 0.4:
        return _example(domain, [Message("user", text)], [tool], [])
    answer, more = render(tool, Wording(lacking.answer, {}), drawn, rng)
    arguments = ordered(_merged(stated, more), tool.tool.parameters)
    ask = _SLOT.sub(lambda m: drawn[m[1]].text if m[1] in drawn else m[0], lacking.ask)
    turns = [Message("user", text), Message("assistant", ask), Message("user", answer)]
    return _example(domain, turns, [tool], [Call(tool.tool.name, arguments)])


def finished(domain: Domain, tool: ScenarioTool, rng: random.Random) -> Example:
    """A request, its call and the call's result: nothing more is to be done."""
    return _example(domain, _answered(tool, rng)[0], [tool], [])


def replied(tool: ScenarioTool, rng: random.Random) -> list[Message]:
    """The turns of a request that is done; most end in the assistant's reply, some of them with what came of it."""
    turns, *_ = _answered(tool, rng)
    chance = rng.random()
    if chance < 0.4:
        turns.append(Message("assistant", rng.choice(_CLOSING[:-1])))
    elif chance < 0.75:
        told = ", ".join(
            f"{' '.join(words(name))} {dumps(value)}" for name, value in json.loads(turns[-1].text).items()
        )
        turns.append(
            Message("assistant", rng.choice(("Here it is: {}.", "Done: {}.", "{}.", "I got {}.")).format(told))
        )
    return turns


def follow_up(domain: Domain, tool: ScenarioTool, rng: random.Random) -> Example:
    """A later turn that repeats the call with something changed."""
    turns, arguments, drawn = _answered(tool, rng)
    if rng.random() < 0.5:
        turns.append(Message("assistant", rng.choice(_CLOSING[:-1])))
    for _ in range(_DIFFERENT):
        wording = rng.choice(tool.then)
        text, changed = render(tool, wording, draw_slots(tool, _slots(wording.phrasing), rng, avoid=drawn), rng)
        merged = ordered(_merged(arguments, changed), tool.tool.parameters)
        if merged != arguments and _rises(tool, merged):
            break
    return _example(domain, [*turns, Message("user", text)], [tool], [Call(tool.tool.name, merged)])


def both(domain: Domain, tool: ScenarioTool, rng: random.Random) -> Example | None:
    """One request for two calls of the same tool, the second told in passing ("... and the garage too").

    Built from a later turn that adds to the first request; None when the tool has none (only corrections).
    """
    adding = [w for w in tool.then if _ADDS.match(w.phrasing.source) and not _CORRECTS.search(w.phrasing.source)]
    if not adding:
        return None
    turns, arguments, drawn = _answered(tool, rng)
    wording = rng.choice(adding)
    text, changed = render(tool, wording, draw_slots(tool, _slots(wording.phrasing), rng, avoid=drawn), rng)
    second = ordered(_merged(arguments, changed), tool.tool.parameters)
    if second == arguments:
        return None
    first = turns[0].text
    joined = f"{first} {text[:1].upper()}{text[1:]}" if first[-1] in ".?!" else f"{first}, {text[:1].lower()}{text[1:]}"
    calls = [Call(tool.tool.name, a) for a in (arguments, second)]
    return _example(domain, [Message("user", joined)], [tool], calls)


def together(domain: Domain, tool: ScenarioTool, rng: random.Random) -> Example | None:
    """One request for several calls of the same tool, told in one breath: "… in Paris, Rome and Oslo", or "… for Ann
    at 3 and for Bo at 5". None for a phrasing that cannot be told so."""
    wording = rng.choice(tool.say)
    pieces = wording.phrasing.expand(rng)
    count = rng.choice((2, 2, 2, 3, 3, 4))
    told = _repeated_end(tool, pieces, count, rng) if rng.random() < 0.5 else None
    told = told or _listed_value(tool, pieces, count, rng)
    if told is None:
        return None
    text, values = told
    arguments = [ordered(arguments_of(tool, drawn, wording.implied), tool.tool.parameters) for drawn in values]
    if len({dumps(a) for a in arguments}) < len(arguments) or not all(_rises(tool, a) for a in arguments):
        return None
    return _example(domain, [Message("user", text)], [tool], [Call(tool.tool.name, a) for a in arguments])


_Told = tuple[str, list[dict[str, Drawn]]]  # a text, and the slots' values call by call


def _listed_value(tool: ScenarioTool, pieces: list[str | Slot], count: int, rng: random.Random) -> _Told | None:
    """One slot says a list; the others are the same in every call."""
    names = [p.name for p in pieces if isinstance(p, Slot)]
    places = [i for i, p in enumerate(pieces) if isinstance(p, Slot) and names.count(p.name) == 1]
    rng.shuffle(places)
    for place in places:
        before = pieces[place - 1] if place else ""
        behind = pieces[place + 1] if place + 1 < len(pieces) else ""
        if not isinstance(before, str) or not isinstance(behind, str):
            continue
        if _NO_LIST_BEHIND.search(before) or _NO_LIST_BEFORE.match(behind):
            continue
        piece = pieces[place]
        assert isinstance(piece, Slot)
        shared = draw_slots(tool, names, rng)
        values = [shared[piece.name]]
        for _ in range(count - 1):
            avoid = {str(k): v for k, v in enumerate(values)} | {n: d for n, d in shared.items() if n != piece.name}
            values.append(draw_slots(tool, [piece.name], rng, avoid=avoid)[piece.name])
        if any(not _may_be_listed(v) for v in values) or len({v.text.lower() for v in values}) < count:
            continue
        text = _list_of([v.text for v in values], rng)
        said = {n: _said(d) for n, d in shared.items()} | {piece.name: Said(text, text)}
        return fill(pieces, said), [shared | {piece.name: v} for v in values]
    return None


# "between 3 and 5" holds no list, and a list beside another "and" cannot be read.
_NO_LIST_BEHIND = re.compile(
    r"(\b(between|and|or|than|an?|one|this|that|every|each|named|called|saying)\s*|,\s*|[\w$€£¥#+/.:'\"(-])$", re.I
)
_NO_LIST_BEFORE = re.compile(r"\s*(and|or|to|'s|through|until|till)\b|\s*,|[\w%°$€£/'\")-]", re.I)
_PREPOSITION = re.compile(
    r"\s(at|for|in|on|with|from|to|of|by|over|around|near|under|using|about)(\s+(a|an|the))?\s+$", re.I
)
_ARTICLE = re.compile(r"\s(a|an|the)\s+$", re.I)
_IN_PARTS = re.compile(r",|\b(and|or)\b")  # what holds one of these cannot stand in a list
_SHORT = 4  # words between the slots of what is said again


def _may_be_listed(drawn: Drawn) -> bool:
    short = len(drawn.text.split()) <= 3 and not _IN_PARTS.search(drawn.text)
    return short and isinstance(drawn.value, str | int | float) and not isinstance(drawn.value, bool)


def _list_of(texts: list[str], rng: random.Random) -> str:
    link = rng.choice((" and ",) * 6 + (" & ", ", ", " and also "))
    last = f",{link}" if len(texts) > 2 and link == " and " and rng.random() < 0.4 else link
    return ", ".join(texts[:-1]) + last + texts[-1]


def _repeated_end(tool: ScenarioTool, pieces: list[str | Slot], count: int, rng: random.Random) -> _Told | None:
    """From the first slot on, or from the preposition or article before it, the request is said again with other
    values: "… for Ann at 3 and for Bo at 5", "set the kitchen lights to 40 and the hall lights to 60"."""
    first = next((i for i, p in enumerate(pieces) if isinstance(p, Slot)), 0)
    head = "".join(str(p) for p in pieces[:first])
    found = _PREPOSITION.search(head) or _ARTICLE.search(head)
    again = found[0] if found else " "
    plain = found is None or found.re is _ARTICLE
    start = found.start() if found else len(head.rstrip())
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
    text: list[str | Slot] = [head[:start]]
    said: dict[str, Said] = {}
    values: list[dict[str, Drawn]] = []
    link = rng.choice((" and", ", and", " and then", " and also"))
    for k in range(count):
        avoid = {f"{name}#{i}": d for i, earlier in enumerate(values) for name, d in earlier.items()}
        drawn = draw_slots(tool, names, rng, avoid=avoid)
        if any(_IN_PARTS.search(d.text) for d in drawn.values()):
            return None
        values.append(drawn)
        text.append(("" if not k else "," if k < count - 1 else link) + again)
        text += [Slot(f"{p.name}#{k}") if isinstance(p, Slot) else p for p in end]
        said |= {f"{name}#{k}": _said(d) for name, d in drawn.items()}
    return fill([*text, once], said), values


def chain(domain: Domain, link: Chain, rng: random.Random) -> Example:
    """A request for two calls: the first of them, or after its result the second, or after both nothing."""
    wording = rng.choice(link.say)
    pieces = wording.phrasing.expand(rng)
    names = (link.first.tool.name, link.second.tool.name)
    steps = {name: tool for name, tool in zip(names, (link.first, link.second), strict=True)}
    slots = [
        (piece.name, found) for piece in pieces if isinstance(piece, Slot) if (found := step_of(piece.name, names))
    ]
    drawn: dict[str, dict[str, Drawn]] = {
        name: draw_slots(tool, [slot for _, (step, slot) in slots if step == name], rng) for name, tool in steps.items()
    }
    text = fill(pieces, {full: _said(drawn[step][slot]) for full, (step, slot) in slots})
    implied: dict[str, dict[str, Any]] = {name: {} for name in names}
    for full, value in wording.implied.items():
        if found := step_of(full, names):
            implied[found[0]][found[1]] = value
    said = drawn[names[0]]
    returned = {name: (said[name] if name in said else make(rng)).value for name, make in link.returns.items()}
    arguments = [arguments_of(steps[name], drawn[name], implied[name]) for name in names]
    for argument, field in link.passed.items():
        arguments[1][argument] = returned[field]
    calls = [Call(n, ordered(a, steps[n].tool.parameters)) for n, a in zip(names, arguments, strict=True)]
    turns = [Message("user", text)]
    stage = rng.choice((0, 1, 1, 2))
    if stage:
        turns += [_called(calls[:1]), Message("tool", dumps(returned), name=names[0])]
    if stage == 2:
        result = _result(link.second, drawn[names[1]], rng)
        turns += [_called(calls[1:]), Message("tool", dumps(result), name=names[1])]
    return _example(domain, turns, [link.first, link.second], calls[stage : stage + 1])


def request(tool: ScenarioTool, wording: Wording, rng: random.Random) -> tuple[str, dict[str, Any]]:
    """(text, arguments) of one wording."""
    return render(tool, wording, draw_slots(tool, _slots(wording.phrasing), rng), rng)


def draw_slots(
    tool: ScenarioTool, slots: Iterable[str], rng: random.Random, avoid: Mapping[str, Drawn] | None = None
) -> dict[str, Drawn]:
    """A value for each slot, no two said alike where the generators allow; `avoid` are values not to repeat."""
    drawn: dict[str, Drawn] = {}
    taken = {key for d in (avoid or {}).values() for key in _identity(d)}
    for slot in slots:
        for _ in range(_DIFFERENT):
            drawn[slot] = tool.draws[slot](rng)
            if not taken & _identity(drawn[slot]):
                break
        taken |= _identity(drawn[slot])
    # Days and hours rise in the order of the tool's parameters: check-in before check-out.
    order = list(tool.tool.parameters["properties"])
    for kind in dict.fromkeys(tool.draws[slot] for slot in drawn):
        same = [slot for slot in drawn if tool.draws[slot] is kind]
        same.sort(key=lambda slot: order.index(slot) if slot in order else len(order))
        drawn.update(zip(same, in_order(kind, [drawn[s] for s in same], rng), strict=True))
    return drawn


def _rises(tool: ScenarioTool, arguments: Mapping[str, Any]) -> bool:
    """Whether the days, and the hours, of a call rise in the order of its parameters."""
    for kind in dict.fromkeys(tool.draws.values()):
        values = [str(v) for name, v in arguments.items() if tool.draws.get(name) is kind]
        if is_timeline(kind) and values != sorted(values):
            return False
    return True


def _identity(drawn: Drawn) -> set[str]:
    """What two slots of a request should not share: the wording, and a text's value."""
    return {drawn.text.lower()} | ({f"={drawn.value}"} if isinstance(drawn.value, str) else set())


def render(
    tool: ScenarioTool, wording: Wording, drawn: Mapping[str, Drawn], rng: random.Random
) -> tuple[str, dict[str, Any]]:
    """The text of one expansion of `wording`, and the arguments that it states."""
    pieces = wording.phrasing.expand(rng)
    present = {piece.name: drawn[piece.name] for piece in pieces if isinstance(piece, Slot)}
    text = fill(pieces, {name: _said(d) for name, d in present.items()})
    return text, ordered(arguments_of(tool, present, wording.implied), tool.tool.parameters)


def arguments_of(tool: ScenarioTool, drawn: Mapping[str, Drawn], implied: Mapping[str, Any]) -> dict[str, Any]:
    """Slots and implied values as an arguments object; slots that are no parameter only serve the implied ones."""
    arguments: dict[str, Any] = {}
    properties = tool.tool.parameters["properties"]
    for slot, value in drawn.items():
        if slot.split(".")[0] in properties:
            _put(arguments, slot, value.value)
    for path, value in implied.items():
        _put(arguments, path, _with_slots(value, drawn))
    return arguments


def _answered(tool: ScenarioTool, rng: random.Random) -> tuple[list[Message], dict[str, Any], dict[str, Drawn]]:
    """A request, its call and the result."""
    wording = rng.choice(tool.say)
    drawn = draw_slots(tool, _slots(wording.phrasing), rng)
    text, arguments = render(tool, wording, drawn, rng)
    result = Message("tool", dumps(_result(tool, drawn, rng)), name=tool.tool.name)
    return [Message("user", text), _called([Call(tool.tool.name, arguments)]), result], arguments, drawn


def _result(tool: ScenarioTool, drawn: Mapping[str, Drawn], rng: random.Random) -> dict[str, Any]:
    """What the tool returns; a field that has a slot's name repeats what was said."""
    if tool.returns:
        return {name: (drawn[name] if name in drawn else make(rng)).value for name, make in tool.returns.items()}
    return rng.choice(
        ({"status": "ok"}, {"success": True}, {"result": "done"}, {"ok": True, "id": rng.randint(1, 99_999)})
    )


def _called(calls: list[Call]) -> Message:
    return Message("assistant", "", tuple(ToolCall(c.name, dumps(c.arguments)) for c in calls))


def _example(domain: Domain, turns: list[Message], tools: list[ScenarioTool], calls: list[Call]) -> Example:
    offered = {t.tool.name: t.tool for t in tools}
    return Example(SOURCE, group(domain), tuple(turns), tuple(offered.values()), tuple(calls))


def _slots(phrasing: Phrasing) -> list[str]:
    return sorted(phrasing.slots()[1])


def _said(drawn: Drawn) -> Said:
    return Said(drawn.text, drawn.glued)


def _put(arguments: dict[str, Any], path: str, value: Any) -> None:
    *outer, last = path.split(".")
    for step in outer:
        arguments = arguments.setdefault(step, {})
    arguments[last] = value


def _with_slots(value: Any, drawn: Mapping[str, Drawn]) -> Any:
    """`value` with its slots' values in place: "{count}" alone is the value itself, inside a text it is written out."""
    if isinstance(value, dict):
        return {name: _with_slots(inner, drawn) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_slots(inner, drawn) for inner in value]
    if not isinstance(value, str):
        return value
    whole = _SLOT.fullmatch(value)
    if whole and whole[1] in drawn:
        return drawn[whole[1]].value
    return _SLOT.sub(lambda m: str(drawn[m[1]].value) if m[1] in drawn else m[0], value)


def _merged(before: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    merged = copy.deepcopy(dict(before))
    for name, value in changed.items():
        inside = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = _merged(merged[name], value) if inside else value
    return merged
