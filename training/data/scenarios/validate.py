"""What is wrong with a domain, beyond what keeps it from being read: coverage, duplicates, calls that do not fit."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError as InvalidSchema

from model.errors import SchemaError
from model.schema import normalise
from training.data.scenarios import draw
from training.data.scenarios.library import (
    Chain,
    Domain,
    ScenarioError,
    ScenarioTool,
    Together,
    Wording,
    load_domain,
)
from training.data.scenarios.phrasing import Choice, Part
from training.data.scenarios.together import as_written

FEWEST_PHRASINGS = 8
DRAWS = 4  # of every wording
SHARED_WORDS = 7  # phrasings of up to so many words may recur in other tools


def validate(paths: Iterable[Path]) -> tuple[list[Domain], dict[Path, list[str]]]:
    """The domains that can be read, and every file's problems (only files that have some)."""
    domains: list[Domain] = []
    problems: dict[Path, list[str]] = defaultdict(list)
    said: dict[str, str] = {}
    for path in paths:
        try:
            domain = load_domain(path)
        except ScenarioError as error:
            problems[path] += error.problems
            continue
        domains.append(domain)
        if domain.name != path.stem:
            problems[path].append(f"domain: {domain.name!r} is not the file's name")
        for tool in domain.tools:
            problems[path] += check_tool(domain, tool)
            for wording in tool.say:
                here = f"{domain.name}.{tool.tool.name}"
                key = _key(wording, here)
                if key in said:
                    problems[path].append(f"{tool.tool.name}: {wording.phrasing.source!r} is also said in {said[key]}")
                said.setdefault(key, here)
        for link in domain.chains:
            problems[path] += check_chain(domain, link)
        for told in domain.together:
            problems[path] += check_together(domain, told)
    return domains, {path: found for path, found in problems.items() if found}


def check_tool(domain: Domain, tool: ScenarioTool) -> list[str]:
    """Problems of one tool."""
    name, problems = tool.tool.name, []
    properties: Mapping[str, Any] = tool.tool.parameters["properties"]
    required: Sequence[str] = tool.tool.parameters["required"]
    try:
        Draft202012Validator.check_schema(tool.tool.parameters)
        normalise(tool.tool.parameters, "parameters")
    except (InvalidSchema, SchemaError) as error:
        return [f"{name}: {getattr(error, 'message', error)}"]
    problems += [f"{name}: required {r} is no parameter" for r in required if r not in properties]
    if len(tool.say) < FEWEST_PHRASINGS:
        problems.append(f"{name}: {len(tool.say)} phrasings, {FEWEST_PHRASINGS} are wanted")
    reachable: set[str] = set()
    for wording in tool.say:
        always, some = wording.phrasing.slots()
        stated = {slot.split(".")[0] for slot in always} | {p.split(".")[0] for p in wording.implied}
        reachable |= stated | {slot.split(".")[0] for slot in some}
        if lacking := [r for r in required if r not in stated]:
            problems.append(f"{name}: {wording.phrasing.source!r} says no {', '.join(lacking)}")
    for wording in (*tool.say, *tool.then, *(m.wording for m in tool.missing)):
        problems += _bracket_problems(name, wording)
    for lacking_ in tool.missing:
        always, _ = lacking_.wording.phrasing.slots()
        for slot in re.findall(r"\{([^{}]+)\}", lacking_.ask or ""):
            if slot not in always:
                problems.append(
                    f"{name}: `ask` uses {{{slot}}}, which {lacking_.wording.phrasing.source!r} does not always say"
                )
    for parameter in properties:
        if parameter not in reachable:
            problems.append(f"{name}: no phrasing ever says {parameter}")
    for wording in (*tool.say, *tool.then, *(lacking.wording for lacking in tool.missing)):
        problems += _implied_slots(name, wording)
    if problems:
        return problems
    rng = random.Random(f"{domain.name}.{name}")
    for lacking_ in tool.missing:
        drawn = draw.draw_slots(tool, sorted(lacking_.wording.phrasing.slots()[1]), rng)
        if not _fault(draw.render(tool, lacking_.wording, drawn, rng)[1], tool):
            problems.append(
                f"{name}: {lacking_.wording.phrasing.source!r} is under `missing` and lacks nothing required"
            )
    for wording in tool.say:
        for _ in range(DRAWS):
            text, arguments = draw.request(tool, wording, rng)
            if fault := _fault(arguments, tool):
                problems.append(f"{name}: {text!r} gives {arguments!r}: {fault}")
                break
    makers = [(draw.missing, tool.missing), (draw.follow_up, tool.then)]
    for make, wordings in makers:
        for _ in range(DRAWS * len(wordings)):
            example = make(domain, tool, rng)
            faults = [f for c in example.calls if (f := _fault(c.arguments, tool))] if example else []
            if example and faults:
                texts = [m.text for m in example.messages if m.role == "user"]
                problems.append(f"{name}: {' / '.join(texts)!r} gives {example.calls[0].arguments!r}: {faults[0]}")
                break
    return problems


def check_chain(domain: Domain, link: Chain) -> list[str]:
    """Problems of one chain."""
    steps = {t.tool.name: t for t in (link.first, link.second)}
    rng = random.Random(f"{domain.name}.{link.first.tool.name}.{link.second.tool.name}")
    for _ in range(2 * DRAWS * len(link.say)):
        example = draw.chain(domain, link, rng)
        for call in example.calls:
            if fault := _fault(call.arguments, steps[call.name]):
                where = f"chain {' -> '.join(steps)}"
                return [f"{where}: {example.messages[0].text!r} gives {call.name} {call.arguments!r}: {fault}"]
    return []


def check_together(domain: Domain, told: Together) -> list[str]:
    """Problems of one request for several calls."""
    names = [tool.tool.name for tool in told.calls]
    where = f"together {', '.join(names)}"
    rng = random.Random(f"{domain.name}.{'.'.join(names)}")
    for wording in told.say:
        problems = _bracket_problems(where, wording)
        if "{" in "".join(_texts(wording.implied)):
            problems.append(f"{where}: `with` of {wording.phrasing.source!r} may hold no slots")
        for path in wording.implied:
            fixed = told.place(path)
            slots = map(told.place, wording.phrasing.slots()[1])
            if any(slot.name == fixed.name and slot.calls & fixed.calls for slot in slots):
                problems.append(f"{where}: {wording.phrasing.source!r} says {path}, and `with` another value for it")
        if problems:
            return problems
        drawn = (as_written(domain, replace(told, say=(wording,)), rng) for _ in range(3 * DRAWS))
        made = list(islice(filter(None, drawn), DRAWS))
        if not made:
            return [f"{where}: {wording.phrasing.source!r} gives two equal calls, or an end before its start"]
        for example in made:
            for tool, call in zip(told.calls, example.calls, strict=True):
                if fault := _fault(call.arguments, tool):
                    return [f"{where}: {example.messages[0].text!r} gives {call.name} {call.arguments!r}: {fault}"]
    return []


def _fault(arguments: Mapping[str, Any], tool: ScenarioTool) -> str | None:
    error = next(iter(Draft202012Validator(tool.tool.parameters).iter_errors(arguments)), None)
    if error is not None:
        return error.message
    unknown = arguments.keys() - tool.tool.parameters["properties"].keys()
    return f"no parameter {', '.join(sorted(unknown))}" if unknown else None


def _implied_slots(name: str, wording: Wording) -> list[str]:
    always, some = wording.phrasing.slots()
    source = wording.phrasing.source
    used = set(re.findall(r"\{([^{}]+)\}", str(list(_texts(wording.implied)))))
    problems = [f"{name}: `with` uses {{{s}}}, which {source!r} does not always say" for s in used - always]
    twice = [p for p in wording.implied if p in some and f"{{{p}}}" not in _texts(wording.implied[p])]
    return problems + [f"{name}: {source!r} says {{{p}}}, and `with` another value for it" for p in twice]


def _bracket_problems(name: str, wording: Wording) -> list[str]:
    if not _lone_bracket(wording.phrasing.parts):
        return []
    return [f"{name}: {wording.phrasing.source!r} has (…) without |; write \\( and \\) for the signs"]


def _lone_bracket(parts: Sequence[Part]) -> bool:
    choices = [part for part in parts if isinstance(part, Choice)]
    return any(
        not c.optional and len(c.options) == 1 or any(_lone_bracket(option) for option in c.options) for c in choices
    )


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _key(wording: Wording, where: str) -> str:
    """What makes two phrasings the same: their words. Where they are few ("cancel {order}"), only within one tool."""
    literal = re.sub(r"\{[^{}]*\}", "{}", wording.phrasing.source.lower())
    plain = re.sub(r"[^\w{}|()\[\]]+", " ", literal).strip()
    return plain if len(re.findall(r"\w+", plain)) > SHARED_WORDS else f"{where}: {wording.phrasing.source}"
