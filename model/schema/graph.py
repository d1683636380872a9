"""The definitions of a normalised schema as a graph: cycles without an end, values without an end, and how deep
references lead. Nothing here recurses along references: a chain of them may be longer than Python's stack."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

Definitions = Mapping[str, Any]


def target(schema: Mapping[str, Any]) -> str:
    """The name of the definition that `schema`'s `$ref` stands for."""
    reference: str = schema["$ref"]
    return reference.removeprefix("#/$defs/")


def subschemas(schema: Mapping[str, Any]) -> Iterator[Any]:
    """The schemas directly below a normalised one, `$defs` and the targets of references excepted."""
    for keyword in ("properties", "patternProperties"):
        yield from schema.get(keyword, {}).values()
    for keyword in ("prefixItems", "allOf", "anyOf"):
        yield from schema.get(keyword, ())
    for keyword in ("items", "additionalProperties"):
        if keyword in schema:
            yield schema[keyword]


# Cycles --------------------------------------------------------------------------------------------------------------


def endless_names(definitions: Definitions) -> set[str]:
    """The names of those that refer to themselves for the same value: no validator gets anywhere."""
    follows = {name: set(in_place_references(schema)) for name, schema in definitions.items()}
    return {name for group in components(follows) for name in group if len(group) > 1 or name in follows.get(name, ())}


def in_place_references(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if "$ref" in schema:
            yield target(schema)
        for keyword in ("allOf", "anyOf"):
            for part in schema.get(keyword, ()):
                yield from in_place_references(part)


def components(edges: Mapping[str, Collection[str]]) -> list[list[str]]:
    """The strongly connected components, each after all those that it leads to (Tarjan's algorithm)."""
    found: list[list[str]] = []
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    for start in edges:
        if start in index:
            continue
        work: list[tuple[str, Iterator[str]]] = [(start, iter(edges[start]))]
        index[start] = low[start] = len(index)
        stack.append(start)
        on_stack.add(start)
        while work:
            name, others = work[-1]
            for other in others:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(edges.get(other, ()))))
                    break
                if other in on_stack:
                    low[name] = min(low[name], index[other])
            else:
                work.pop()
                if work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[name])
                if low[name] == index[name]:
                    group: list[str] = []
                    while not group or group[-1] != name:
                        group.append(stack.pop())
                        on_stack.remove(group[-1])
                    found.append(group)
    return found


# Depth ---------------------------------------------------------------------------------------------------------------


def reach(schema: Any, definitions: Definitions) -> int:
    """An upper bound on the levels that lie above each other when references are followed, each at most once.

    Definitions that refer to each other count as if each were below all the others: which is, depends on where one
    begins.
    """
    edges = {name: set(references(body)) for name, body in definitions.items()}
    total: dict[str, int] = {}
    for group in components(edges):
        beyond = max((total[other] for name in group for other in edges[name] if other in total), default=0)
        levels = beyond + sum(_levels(definitions[name]) for name in group)
        total.update(dict.fromkeys(group, levels))
    return _levels(schema) + max((total[name] for name in references(schema)), default=0)


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if "$ref" in schema:
            yield target(schema)
        for part in subschemas(schema):
            yield from references(part)


def _levels(schema: Any) -> int:
    if not isinstance(schema, Mapping):
        return 1
    return 1 + max(map(_levels, subschemas(schema)), default=0) + ("$ref" in schema)


# Finite values -------------------------------------------------------------------------------------------------------


def finite_names(definitions: Definitions) -> set[str]:
    """The names of those that some finite value satisfies, as far as recursion decides it."""
    users: dict[str, set[str]] = {name: set() for name in definitions}
    for name, schema in definitions.items():
        for other in references(schema):
            users.setdefault(other, set()).add(name)
    known: set[str] = set()
    waiting = dict.fromkeys(definitions)  # as a queue without repetitions
    while waiting:
        name = next(iter(waiting))
        del waiting[name]
        if _is_finite(definitions[name], known.__contains__):
            known.add(name)
            waiting.update(dict.fromkeys(users[name] - known))
    return known


def _is_finite(schema: Any, known: Callable[[str], bool]) -> bool:
    if schema is False:
        return False
    if "$ref" in schema and not known(target(schema)):
        return False
    if not all(_is_finite(part, known) for part in schema.get("allOf", ())):
        return False
    if "anyOf" in schema and not any(_is_finite(part, known) for part in schema["anyOf"]):
        return False
    if "enum" in schema or "const" in schema:
        return True
    return all(_is_finite(part, known) for part in _needed(schema))


def _needed(schema: Mapping[str, Any]) -> Iterable[Any]:
    """The parts that every value of `schema` contains."""
    if schema.get("type") == "object":
        others = schema.get("additionalProperties", {})
        return [schema.get("properties", {}).get(name, others) for name in schema.get("required", ())]
    if schema.get("type") == "array" and schema.get("minItems"):
        first = schema.get("prefixItems", [])[: schema["minItems"]]
        return first if len(first) == schema["minItems"] else [*first, schema.get("items", {})]
    return []
