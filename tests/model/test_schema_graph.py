"""Definitions as a graph, against definitions of the same that take their time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from model.schema.graph import components, endless_names, finite_names, reach, references, subschemas

NAMES = ("a", "b", "c", "d", "e")
edges = st.dictionaries(st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES), max_size=3))


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    """Those that `start` leads to, in one step or more."""
    found: set[str] = set()
    waiting = list(graph.get(start, ()))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(graph.get(name, ()))
    return found


@given(edges)
def test_components(graph: dict[str, set[str]]) -> None:
    groups = components(graph)
    names = [name for group in groups for name in group]
    assert sorted(names) == sorted(graph.keys() | set().union(*graph.values()))
    index = {name: i for i, group in enumerate(groups) for name in group}
    for a in names:
        for b in names:
            together = a == b or (b in reachable(graph, a) and a in reachable(graph, b))
            assert (index[a] == index[b]) is together
            if b in graph.get(a, ()):
                assert index[b] <= index[a]  # what one leads to comes first


@given(edges)
def test_endless_names(graph: dict[str, set[str]]) -> None:
    definitions = {name: {"anyOf": [ref(other) for other in sorted(graph.get(name, ()))] or [{}]} for name in NAMES}
    assert endless_names(definitions) == {name for name in NAMES if name in reachable(graph, name)}
    # A property lies between: it is another value.
    below = {name: {"type": "object", "properties": {"p": body}} for name, body in definitions.items()}
    assert endless_names(below) == set()


@given(edges)
def test_finite_names(graph: dict[str, set[str]]) -> None:
    def body(name: str) -> dict[str, Any]:
        others = sorted(graph.get(name, ()))
        return {"type": "object", "properties": {other: ref(other) for other in others}, "required": others}

    definitions = {name: body(name) for name in NAMES}
    leads_into_a_cycle = {
        name for name in NAMES if any(other in reachable(graph, other) for other in {name} | reachable(graph, name))
    }
    assert finite_names(definitions) == set(NAMES) - leads_into_a_cycle
    # One way out is enough, and an empty list is one.
    for schema in definitions.values():
        schema["properties"] = {
            name: {"anyOf": [part, {"type": "null"}]} for name, part in schema["properties"].items()
        }
    assert finite_names(definitions) == set(NAMES)
    lists = {name: {"type": "array", "items": ref(name)} for name in NAMES}
    assert finite_names(lists) == set(NAMES)
    assert finite_names({name: {**schema, "minItems": 1} for name, schema in lists.items()}) == set()


@given(edges)
def test_reach_bounds_every_path(graph: dict[str, set[str]]) -> None:
    definitions = {
        name: {
            "type": "object",
            "properties": {f"p{i}": ref(other) for i, other in enumerate(sorted(graph.get(name, ())))},
        }
        for name in NAMES
    }

    def longest(name: str, seen: frozenset[str]) -> int:
        """Levels from a definition on: each is one, and so is each reference."""
        below = [longest(other, seen | {name}) for other in graph.get(name, ()) if other not in seen | {name}]
        return 1 + (2 + max(below, default=0) if graph.get(name) else 0)

    for name in NAMES:
        assert reach(ref(name), definitions) >= longest(name, frozenset())


def test_reach_of_a_chain_is_its_length() -> None:
    chain: dict[str, Any] = {a: ref(b) for a, b in pairwise(NAMES)} | {NAMES[-1]: {"type": "string"}}
    assert reach({}, chain) == 1
    assert reach(ref("a"), chain) == 2 * len(NAMES) + 1


def test_every_place_of_a_subschema_is_looked_into() -> None:
    schema = {
        "properties": {"a": ref("a")},
        "patternProperties": {"^x": ref("b")},
        "prefixItems": [ref("c")],
        "items": ref("d"),
        "additionalProperties": ref("e"),
        "allOf": [ref("f")],
        "anyOf": [False, ref("g")],
    }
    assert set(references(schema)) == set("abcdefg")
    assert len(list(subschemas(schema))) == 8
