"""The samples of one question, counted: which answers are the same, and how often each was given."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model.prompt import dumps
from model.types import Tool, ToolCall
from training.data.example import Call
from training.scoring import Annotated, right
from training.teacher.base import Reply

MAX_REFERENCES = 16
_TYPES: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}


@dataclass(frozen=True)
class Tally:
    """One answer and the number of samples that gave it."""

    calls: tuple[Call, ...]
    count: int


def tally(replies: Sequence[Reply], tools: Sequence[Tool]) -> list[Tally]:
    """The distinct answers among the replies that are one, most frequent first, then the more probable to the teacher.

    Answers are the same where an evaluation would take one for the other (`training.scoring.right`): calls in any
    order, numbers by value, strings up to case, spaces and some punctuation. Each is given in its most frequent
    spelling, as serving would write it.
    """
    groups: list[list[tuple[tuple[Call, ...], float | None]]] = []
    for reply in replies:
        calls = _calls(reply, tools)
        if calls is None:
            continue
        group = next((g for g in groups if same(g[0][0], calls)), None)
        if group is None:
            groups.append(group := [])
        group.append((calls, reply.logprob))
    groups.sort(key=lambda g: (-len(g), -_mean([p for _, p in g if p is not None])))
    return [Tally(_most_frequent([calls for calls, _ in g]), len(g)) for g in groups]


def same(a: Iterable[Call], b: Iterable[Call]) -> bool:
    """Whether two answers are the same, as `tally` has it."""
    return right([Annotated(c.name, c.arguments) for c in a], [(c.name, c.arguments) for c in b])


def canonical(value: Any, schema: Any, root: Mapping[str, Any]) -> Any:
    """`value` as serving would write it: keys in the order of the schema's properties, whole numbers without a point.

    `root` is the schema that local references point into.
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if not isinstance(value, dict | list):
        return value
    schema = schema_of(value, schema, root)
    if isinstance(value, list):
        prefix, items = schema.get("prefixItems") or (), schema.get("items")
        return [canonical(v, prefix[i] if i < len(prefix) else items, root) for i, v in enumerate(value)]
    properties = schema.get("properties") or {}
    names = [*(n for n in properties if n in value), *(n for n in value if n not in properties)]
    return {n: canonical(value[n], properties.get(n, schema.get("additionalProperties")), root) for n in names}


def schema_of(value: Any, schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a schema that tells of `value`: references followed, the alternative chosen that fits it best."""
    for _ in range(MAX_REFERENCES):
        if not isinstance(schema, Mapping):
            return {}
        if isinstance(reference := schema.get("$ref"), str):
            schema = _target(reference, root)
            continue
        options = [o for key in ("anyOf", "oneOf", "allOf") for o in schema.get(key) or ()]
        if not options:
            return schema
        best = max((schema_of(value, o, root) for o in options), key=lambda o: _fit(value, o))
        return best if _fit(value, best) > _fit(value, schema) else schema
    return {}


def _calls(reply: Reply, tools: Sequence[Tool]) -> tuple[Call, ...] | None:
    """The calls of a reply; None where it is no answer."""
    if reply.finish != "stop":
        return None
    schemas = {t.name: t.parameters for t in tools}
    made = []
    for call in reply.calls:
        arguments = arguments_of(call)
        if arguments is None:
            return None
        schema = schemas.get(call.name, {})
        made.append(Call(call.name, canonical(arguments, schema, schema)))
    return tuple(made)


def arguments_of(call: ToolCall) -> dict[str, Any] | None:
    """The arguments object; None where the text is none."""
    try:
        arguments = json.loads(call.arguments)
    except (ValueError, RecursionError):
        return None
    return arguments if isinstance(arguments, dict) else None


def _most_frequent(answers: Sequence[tuple[Call, ...]]) -> tuple[Call, ...]:
    """The commonest spelling, the first of equals."""
    spelt = [dumps([[c.name, c.arguments] for c in calls]) for calls in answers]
    return answers[spelt.index(Counter(spelt).most_common(1)[0][0])]


def _mean(logprobs: Sequence[float]) -> float:
    return sum(logprobs) / len(logprobs) if logprobs else -1e9


def _target(reference: str, root: Mapping[str, Any]) -> Any:
    """What a local reference such as "#/$defs/Unit" points at; None for any other."""
    target: Any = root
    for part in reference.removeprefix("#").split("/")[1:]:
        target = target.get(part) if isinstance(target, Mapping) else None
    return target


def _fit(value: Any, schema: Mapping[str, Any]) -> int:
    """How much a schema says about `value`."""
    if isinstance(value, list):
        return int("items" in schema or "prefixItems" in schema)
    if isinstance(value, dict):
        return len(value.keys() & (schema.get("properties") or {}).keys())
    if value in (schema.get("enum") or ()) or schema.get("const", not value) == value:
        return 2
    return int(schema.get("type") == _TYPES.get(type(value)))
