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
RECITED = 0.08  # share of single requests that name further parameters by their names
PROSE = 0.15  # share of tools' results that are told in words
QUOTED = 0.06  # share of texts that are put into quotes
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
    if rng.random() < RECITED:
        text, arguments = _recited(tool, text, arguments, rng)
    return example_of(domain, [Message("user", text)], [tool], [Call(tool.tool.name, arguments)])


def _recited(
    tool: ScenarioTool, text: str, arguments: dict[str, Any], rng: random.Random
) -> tuple[str, dict[str, Any]]:
    """The request with one or two more of the tool's parameters at its end, by the names they were written with: "...,
    limit 5"."""
    properties = tool.tool.parameters["properties"]
    free = [n for n in properties if n not in arguments and n in tool.draws and not is_timeline(tool.draws[n])]
    chosen = rng.sample(free, min(len(free), rng.choice((1, 1, 2))))
    drawn = draw_slots(tool, chosen, rng)
    body = text.rstrip(" .?!")
    apart = (", {} {}", ", {}: {}", ", {}={}", " ({}: {})")
    open_end = any(isinstance(v, str) and " " in v and body.endswith(v) for v in arguments.values())
    form = rng.choice(apart if open_end else (*apart, " with {} {}", " with a {} of {}", " and {} {}"))
    said = "".join(
        form.format(n, d.glued) if "=" in form else named(form, label_of(n), d.text) for n, d in drawn.items()
    )
    more = arguments_of(tool, drawn, {})
    return f"{body}{said}{text[len(body) :]}", ordered({**arguments, **more}, tool.tool.parameters)


def label_of(parameter: str) -> str:
    """A parameter's name in words."""
    return " ".join(words(parameter)).lower()


def named(form: str, label: str, value: str) -> str:
    """A label and a value in a `form` such as "with a {} of {}": "with a width of 4", "with an angle of 30"."""
    article = "" if label.endswith("s") else "an " if label[:1] in "aeiou" else "a "
    return form.replace("a {", f"{article}{{", 1).format(label, value)


def missing(domain: Domain, tool: ScenarioTool, rng: random.Random) -> Example:
    """A request that lacks a required value: no call, unless the assistant asked and the user answered."""
    lacking = rng.choice(tool.missing)
    slots = _slots(lacking.wording.phrasing) + (_slots(lacking.answer) if lacking.answer else [])
    drawn = draw_slots(tool, dict.fromkeys(slots), rng)
    text, stated = render(tool, lacking.wording, drawn, rng)
    if lacking.answer is None or lacking.ask is None or rng.random() < 0.4:
        return example_of(domain, [Message("user", text)], [tool], [])
    answer, more = render(tool, Wording(lacking.answer, {}), drawn, rng)
    arguments = ordered(_merged(stated, more), tool.tool.parameters)
    ask = _SLOT.sub(lambda m: drawn[m[1]].text if m[1] in drawn else m[0], lacking.ask)
    turns = [Message("user", text), Message("assistant", ask), Message("user", answer)]
    return example_of(domain, turns, [tool], [Call(tool.tool.name, arguments)])


def finished(domain: Domain, tool: ScenarioTool, rng: random.Random) -> Example:
    """A request, its call and the call's result: nothing more is to be done."""
    return example_of(domain, _answered(tool, rng)[0], [tool], [])


def replied(tool: ScenarioTool, rng: random.Random) -> list[Message]:
    """The turns of a request that is done; most end in the assistant's reply, some of them with what came of it."""
    turns, *_ = _answered(tool, rng)
    chance = rng.random()
    if chance < 0.4:
        turns.append(Message("assistant", rng.choice(_CLOSING[:-1])))
    elif chance < 0.75:
        result = turns[-1].text
        told = _in_words(json.loads(result)) if result.startswith("{") else re.sub(r"^[A-Z]\w+[:.] |\.$", "", result)
        turns.append(
            Message("assistant", rng.choice(("Here it is: {}.", "Done: {}.", "{}.", "I got {}.")).format(told))
        )
    return turns


def follow_up(domain: Domain, tool: ScenarioTool, rng: random.Random) -> Example | None:
    """A later turn that repeats the call with something changed; None where nothing drawn changes it soundly."""
    turns, arguments, drawn = _answered(tool, rng)
    if rng.random() < 0.5:
        turns.append(Message("assistant", rng.choice(_CLOSING[:-1])))
    for _ in range(_DIFFERENT):
        wording = rng.choice(tool.then)
        text, changed = render(tool, wording, draw_slots(tool, _slots(wording.phrasing), rng, avoid=drawn), rng)
        merged = ordered(_merged(arguments, changed), tool.tool.parameters)
        if merged != arguments and rises(tool, merged):
            return example_of(domain, [*turns, Message("user", text)], [tool], [Call(tool.tool.name, merged)])
    return None


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
    return example_of(domain, [Message("user", joined)], [tool], calls)


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
    text = fill(pieces, {full: said_as(drawn[step][slot]) for full, (step, slot) in slots})
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
        turns += [_called(calls[:1]), Message("tool", _as_text(returned, rng), name=names[0])]
    if stage == 2:
        result = _result(link.second, drawn[names[1]], rng)
        turns += [_called(calls[1:]), Message("tool", _as_text(result, rng), name=names[1])]
    return example_of(domain, turns, [link.first, link.second], calls[stage : stage + 1])


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


def rises(tool: ScenarioTool, arguments: Mapping[str, Any]) -> bool:
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
    said = {name: said_as(d) for name, d in present.items()}
    for before, piece, behind in zip(["", *pieces], pieces, [*pieces[1:], ""], strict=False):
        if not isinstance(piece, Slot) or piece.name not in tool.tool.parameters["properties"]:
            continue  # "my sister", in a slot for variety's sake, is nothing that one quotes
        if rng.random() < QUOTED and _may_be_quoted(before, present[piece.name], behind):
            quote = rng.choice("''\"")
            quoted = f"{quote}{present[piece.name].text}{quote}"
            said[piece.name] = Said(quoted, quoted)
    text = fill(pieces, said)
    return text, ordered(arguments_of(tool, present, wording.implied), tool.tool.parameters)


def _may_be_quoted(before: str | Slot, drawn: Drawn, behind: str | Slot) -> bool:
    """Whether what was drawn is a text that is said as it is, and stands apart."""
    apart = (
        isinstance(before, str) and isinstance(behind, str) and re.search(r"(^|(?<!\ba)(?<!\ban)(?<!\bon)\s)$", before)
    )
    return bool(
        apart
        and re.match(r"[\s.,?!]|$", str(behind))
        and drawn.value == drawn.text
        and re.fullmatch(r"[^'\"\d][^'\"]{2,99}", drawn.text)
    )


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
    result = Message("tool", _as_text(_result(tool, drawn, rng), rng), name=tool.tool.name)
    return [Message("user", text), _called([Call(tool.tool.name, arguments)]), result], arguments, drawn


def _result(tool: ScenarioTool, drawn: Mapping[str, Drawn], rng: random.Random) -> dict[str, Any]:
    """What the tool returns; a field that has a slot's name repeats what was said."""
    if tool.returns:
        return {name: (drawn[name] if name in drawn else make(rng)).value for name, make in tool.returns.items()}
    return rng.choice(
        ({"status": "ok"}, {"success": True}, {"result": "done"}, {"ok": True, "id": rng.randint(1, 99_999)})
    )


def _as_text(result: Mapping[str, Any], rng: random.Random) -> str:
    """A result as tools return it: JSON, or now and then a sentence."""
    if rng.random() >= PROSE:
        return dumps(result)
    told = _in_words(result)
    return rng.choice(("{}", "{}.", "Result: {}", "OK. {}.", "Success: {}")).format(told[:1].upper() + told[1:])


def _in_words(result: Mapping[str, Any]) -> str:
    """The fields as one says them: status shipped, arrives 2026-05-02."""
    parts = []
    for name, value in result.items():
        said = value if isinstance(value, str) and "," not in value else dumps(value)
        parts.append(f"{' '.join(words(name))} {said}")
    return ", ".join(parts)


def _called(calls: list[Call]) -> Message:
    return Message("assistant", "", tuple(ToolCall(c.name, dumps(c.arguments)) for c in calls))


def example_of(domain: Domain, turns: list[Message], tools: list[ScenarioTool], calls: list[Call]) -> Example:
    offered = {t.tool.name: t.tool for t in tools}
    return Example(SOURCE, group(domain), tuple(turns), tuple(offered.values()), tuple(calls))


def _slots(phrasing: Phrasing) -> list[str]:
    return sorted(phrasing.slots()[1])


def said_as(drawn: Drawn) -> Said:
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
