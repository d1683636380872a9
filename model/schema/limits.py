"""How large a schema may be.

Each bound keeps some work of ours or of the engine's within about a second on one core and a few dozen MB; beside it
stands what it costs there, or what happens without it.

The engine (llguidance 1.9) bounds its own work only in part: it recurses along references until the stack ends, which
ends the process, and some of what it compiles grows with the square of the schema, or exponentially.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from model.errors import SchemaError
from model.schema.graph import Definitions, components, in_place_references, reach, subschemas, target

MAX_BYTES = 128 * 1024
MAX_JSON_DEPTH = 100
"""Of the schema as JSON text, constants included; no recursion of ours or of the engine's comes near its end."""
MAX_NODES = 2_000
"""Subschemas, and required names without one: 1 s where each has a format."""
MAX_DEPTH = 32
MAX_REACH = 160
"""Levels when references are followed. At about 250 the engine overflows a stack of 1 MB, at 1,800 one of 8 MB."""
MAX_COUNT = 100_000
MAX_PATTERN_CHARACTERS = 20_000
"""Of all patterns together: 0.4 s."""
MAX_MULTIPLES = 20_000
"""Sum of the significant digits of all `multipleOf`: the engine's automaton has a state for each remainder. 0.2 s."""
MAX_NAME_PAIRS = 2_000
"""Pairs of `patternProperties` that must be proven disjoint, 0.1 ms each."""
MAX_ONE_OF_MANY = 5_000
"""Sum, over objects with `minProperties`, of the square of how many optional properties each has: 0.3 s. The engine
writes a rule for each pair, and gives up near 200 properties."""
MAX_CONJUNCTS = 8
"""Patterns and formats that one string must satisfy at once: each doubles the time, 16 take 0.2 s and 25 hours."""
MAX_COMBINATIONS = 2_000
"""Ways to choose one option of each `anyOf` in an `allOf`, in all of the schema: each is compiled."""


class Ledger:
    """Adds up what a schema costs, by the names of the bounds above."""

    def __init__(self) -> None:
        self._spent: Counter[str] = Counter()
        self._exceeded: set[str] = set()

    def spend(self, what: str, amount: int, most: int, path: str, message: str) -> None:
        """Raises SchemaError, saying `message`, when this makes it more than `most` of `what`."""
        before = self._spent[what]
        self._spent[what] += amount
        if before <= most < self._spent[what]:
            self._exceeded.add(what)
            raise SchemaError(message.format(most=f"{most:,}"), path)

    def exceeded(self, what: str | None = None) -> bool:
        """Whether more than allowed was spent of `what`, or of anything."""
        return bool(self._exceeded) if what is None else what in self._exceeded


def json_depth(value: Any) -> int:
    """How deep containers are nested in each other, level by level rather than by recursion; counts no further than
    `MAX_JSON_DEPTH`."""
    level, depth = [value], 0
    while level and depth <= MAX_JSON_DEPTH:
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, Mapping) else parent)
            if isinstance(child, Mapping | list)
        ]
        depth += 1
    return depth


def excesses(schema: Mapping[str, Any], definitions: Definitions) -> Iterator[str]:
    """What makes a normalised schema more than the engine can be trusted with.

    None of `definitions` may refer to itself for the same value.
    """
    if reach(schema, definitions) > MAX_REACH:
        yield f"Its references lead more than {MAX_REACH} levels deep."
    patterns: dict[str, int] = {}
    ways: dict[str, int] = {}
    in_place = {name: set(in_place_references(body)) for name, body in definitions.items()}
    for [name] in components(in_place):  # each after those that it refers to
        patterns[name] = _patterns_at_once(definitions[name], patterns)
        ways[name] = _ways(definitions[name], ways)
    everywhere = [part for body in (schema, *definitions.values()) for part in _parts(body)]
    if any(_patterns_at_once(part, patterns) > MAX_CONJUNCTS for part in everywhere):
        yield f"A string must match more than {MAX_CONJUNCTS} patterns and formats at once."
    if sum(_ways(part, ways) for part in everywhere if _combines(part)) > MAX_COMBINATIONS:
        yield f"Its 'allOf' and 'anyOf' combine in more than {MAX_COMBINATIONS:,} ways."


def _parts(schema: Any) -> Iterator[Mapping[str, Any]]:
    """A normalised schema and all below it, references not followed."""
    if isinstance(schema, Mapping):
        yield schema
        for part in subschemas(schema):
            yield from _parts(part)


def _patterns_at_once(schema: Any, known: Mapping[str, int]) -> int:
    """How many patterns and formats one string must satisfy; `known` tells it of the definitions."""
    if not isinstance(schema, Mapping):
        return 0
    return (
        ("pattern" in schema)
        + ("format" in schema)
        + (known[target(schema)] if "$ref" in schema else 0)
        + sum(_patterns_at_once(part, known) for part in schema.get("allOf", ()))
        + max((_patterns_at_once(part, known) for part in schema.get("anyOf", ())), default=0)
    )


def _ways(schema: Any, known: Mapping[str, int]) -> int:
    """In how many ways a value may satisfy the schema, one option of each `anyOf` chosen; no more than bound + 1."""
    if not isinstance(schema, Mapping):
        return 1
    ways = known[target(schema)] if "$ref" in schema else 1
    for part in schema.get("allOf", ()):
        ways *= _ways(part, known)
    if "anyOf" in schema:
        ways *= sum(_ways(part, known) for part in schema["anyOf"])
    return min(ways, MAX_COMBINATIONS + 1)


def _combines(schema: Mapping[str, Any]) -> bool:
    """Whether the engine must intersect the parts of the schema, rather than offer one after the other."""
    return "allOf" in schema or len(schema) > 1 and ("anyOf" in schema or "$ref" in schema)
