"""One request to score and what became of it: right, or wrong in which way and where."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from model.errors import RequestError
from model.types import Engine, GenerationRequest, Message, Tool
from training.scoring import Fault, Gold, Made, right

# What a failed request counts as, in the order of tables. Only wrong arguments can be several at once.
ERRORS = (
    "refused",
    "cut off",
    "missed call",
    "spurious call",
    "too few calls",
    "too many calls",
    "wrong tool",
    "missing argument",
    "extra argument",
    "wrong string",
    "wrong enum",
    "wrong integer",
    "wrong number",
    "wrong boolean",
    "wrong array",
    "wrong object",
    "wrong null",
)
_JSON_TYPES: dict[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    type(None): "null",
}


@dataclass(frozen=True)
class Task:
    """A request with the calls that are due. `rows` are the table's rows it counts in, from the whole set down."""

    id: str
    rows: tuple[str, ...]
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]
    gold: tuple[Gold, ...]


class Mark(NamedTuple):
    """A place where gold and answer differ: an argument of one of their calls, or with None the whole call."""

    side: Literal["gold", "answer"]
    call: int
    argument: str | None


@dataclass(frozen=True)
class Outcome:
    """What was answered. `errors` (of `ERRORS`) is empty when all is right.

    `refusal` is the engine's reason when it would not answer; `tool` says whether the right names were called, each as
    often as it is due; `confidence` is None from an artifact without a calibration.
    """

    task: Task
    calls: tuple[tuple[str, dict[str, Any]], ...]
    confidence: float | None
    refusal: str | None
    tool: bool
    errors: tuple[str, ...]
    marks: frozenset[Mark]

    @property
    def exact(self) -> bool:
        return not self.errors


def answer(engine: Engine, task: Task) -> Outcome:
    """Ask the engine and judge. A request that it refuses counts as wrong, not as an accident."""
    try:
        result = engine.generate(GenerationRequest(task.messages, task.tools))
    except RequestError as error:
        return Outcome(task, (), None, error.message, False, ("refused",), frozenset())
    calls = tuple((c.name, json.loads(c.arguments)) for c in result.calls)
    if result.finish_reason == "length":  # a call was begun that nobody can use: not even "no call" was answered
        return Outcome(task, calls, result.confidence, None, False, ("cut off",), frozenset())
    tool = Counter(g.name for g in task.gold) == Counter(name for name, _ in calls)
    if right(task.gold, calls):
        return Outcome(task, calls, result.confidence, None, tool, (), frozenset())
    pairs = _pairs(task.gold, calls)
    errors = _argument_errors(task, pairs) if tool else (_call_error(task.gold, calls),)
    return Outcome(task, calls, result.confidence, None, tool, errors, _marks(task.gold, calls, pairs))


class _Pair(NamedTuple):
    gold: int
    call: int
    faults: list[Fault]


def _pairs(gold: Sequence[Gold], calls: Sequence[Made]) -> list[_Pair]:
    """Which call was meant for which gold call: those that fit, then of the same name those with the fewest faults."""
    options = [
        _Pair(g, c, gold[g].faults(calls[c][1]))
        for g in range(len(gold))
        for c in range(len(calls))
        if gold[g].name == calls[c][0]
    ]
    pairs: list[_Pair] = []
    for option in sorted(options, key=lambda o: len(o.faults)):
        if all(option.gold != p.gold and option.call != p.call for p in pairs):
            pairs.append(option)
    return pairs


def _call_error(gold: Sequence[Gold], calls: Sequence[Made]) -> str:
    if not calls:
        return "missed call"
    if not gold:
        return "spurious call"
    if len(calls) == len(gold):
        return "wrong tool"
    return "too many calls" if len(calls) > len(gold) else "too few calls"


def _argument_errors(task: Task, pairs: Sequence[_Pair]) -> tuple[str, ...]:
    """Every kind that occurs, once, in the order of `ERRORS`."""
    found = set()
    for pair in pairs:
        gold = task.gold[pair.gold]
        schema = next(t.parameters for t in task.tools if t.name == gold.name)
        for fault in pair.faults:
            declared = (schema.get("properties") or {}).get(fault.argument) or {}
            kind = _kind(declared, gold.arguments.get(fault.argument))
            found.add(f"wrong {kind}" if fault.kind == "wrong" else f"{fault.kind} argument")
    return tuple(e for e in ERRORS if e in found)


def _kind(schema: Any, gold: Any) -> str:
    """The declared JSON type, "enum" where values are listed; the gold value's own type where several are allowed."""
    declared = schema.get("type") if isinstance(schema, dict) else None
    if isinstance(schema, dict) and "enum" in schema:
        return "enum"
    return str(declared) if declared in _JSON_TYPES.values() else _JSON_TYPES[type(gold)]


def _marks(gold: Sequence[Gold], calls: Sequence[Made], pairs: Sequence[_Pair]) -> frozenset[Mark]:
    marks = {Mark("gold", i, None) for i in range(len(gold)) if all(i != p.gold for p in pairs)}
    marks |= {Mark("answer", i, None) for i in range(len(calls)) if all(i != p.call for p in pairs)}
    for pair in pairs:
        for fault in pair.faults:
            if fault.kind != "extra":
                marks.add(Mark("gold", pair.gold, fault.argument))
            if fault.kind != "missing":
                marks.add(Mark("answer", pair.call, fault.argument))
    return frozenset(marks)
