"""Whether a grammar can write a value, and whether a schema admits it: by two parties that do not know each other.

The grammar's side is a `Writer`, which tries every spelling that stays within compact JSON. The truth is the
`jsonschema` package with exact arithmetic (`valid`). The two must agree, but for these limits, which `valid(…,
narrow=True)` and `writable` state; each makes the grammar narrower than the schema, never wider:

* An object that declares properties and says nothing of others has no others (`model.schema.normalise` says why).
* A schema without `type` that has keywords of one type means that type.
* Control characters, but for \\b \\f \\n \\r \\t, are not written: without \\u a character has one spelling.
* Numbers beyond 2^63 are not written where a bound is set, nor constants of more than 15 digits. Clients read numbers
  as doubles: so what is nearer to an excluded bound than 15 digits tell apart is not written, nor multiples of
  fractions of more digits.
* Property order is the grammar's: a value counts as writable if it is so in some order.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from model.grammar import Grammar, GrammarCompiler
from model.schema import normalise
from model.schema.keywords import ARRAY, COMBINING, LITERAL, MODIFIERS, NUMBER, OBJECT, STRING
from tests.model.sampling import sample
from tests.model.tiny_tokenizer import TinyTokenizer

# The grammar's side --------------------------------------------------------------------------------------------------


class Writer:
    """Tries to write values with the grammar of one schema, which stands as the required property `v` of the arguments.

    Raises `SchemaError` where the schema is refused.
    """

    def __init__(self, schema: Any, definitions: Any, compiler: GrammarCompiler, tokenizer: TinyTokenizer) -> None:
        self._grammar: Grammar = compiler.compile(normalise(arguments(schema, definitions), "p"))
        self._tokenizer = tokenizer
        # Multiples of 0.25, say, are all written with two decimals.
        self._zeros = 2 if "multipleOf" in dumps([schema, definitions]) else 0

    def can_write(self, value: Any) -> bool:
        """Whether some spelling of the value is in the grammar, and complete."""
        start = self._grammar.matcher()._engine  # the engine can be copied in the middle, a matcher cannot
        return any(state.is_accepting() for state in self._write(start, {"v": value}))

    def written(self, rng: random.Random) -> list[Any]:
        """A value that the grammar writes, by chance; none where that has no end."""
        text = sample(self._grammar, self._tokenizer, rng)
        return [] if text is None else [json.loads(text)["v"]]

    def _write(self, state: Any, value: Any) -> Iterator[Any]:
        """The states after the value, one for each spelling that the grammar follows."""
        if isinstance(value, dict):
            yield from self._write_members(self._after(state, "{"), value, "")
        elif isinstance(value, list):
            yield from self._write_items(self._after(state, "["), value, "")
        else:
            for text in spellings(value, self._zeros):
                if after := self._after(state, text):
                    yield after

    def _write_members(self, state: Any, members: dict[str, Any], separator: str) -> Iterator[Any]:
        if state is None:
            return
        if not members:
            if after := self._after(state, "}"):
                yield after
        for name in members:
            rest = {other: value for other, value in members.items() if other != name}
            if after := self._after(state, f"{separator}{dumps(name)}:"):
                for written in self._write(after, members[name]):
                    yield from self._write_members(written, rest, ",")

    def _write_items(self, state: Any, items: list[Any], separator: str) -> Iterator[Any]:
        if state is None:
            return
        if not items:
            if after := self._after(state, "]"):
                yield after
        elif after := self._after(state, separator):
            for written in self._write(after, items[0]):
                yield from self._write_items(written, items[1:], ",")

    def _after(self, state: Any, text: str) -> Any:
        """The state after the text, None if the grammar refuses it."""
        after = state.deep_copy()
        after.consume_tokens(self._tokenizer.encode(text))
        return None if after.is_error() else after


def arguments(schema: Any, definitions: Any) -> dict[str, Any]:
    """The schema of a tool with one parameter."""
    return {"type": "object", "properties": {"v": schema}, "required": ["v"], "$defs": definitions}


def dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def spellings(value: Any, zeros: int = 0) -> list[str]:
    """The texts of a scalar; a number has several that mean the same, with up to so many `zeros` at its end."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return [dumps(value)]
    exact = Decimal(repr(value))
    if exact == exact.to_integral_value():
        return list(dict.fromkeys([dumps(value), f"{exact:f}", str(int(exact))]))
    return list(dict.fromkeys([dumps(value), *(f"{exact:f}{'0' * count}" for count in range(zeros + 1))]))


# The truth -----------------------------------------------------------------------------------------------------------


def _exact_multiple(validator: Any, divisor: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """As it is written: as doubles, 0.3 is no multiple of 0.1."""
    if (
        not validator.is_type(instance, "number") or isinstance(instance, float) and math.isinf(instance)
    ):  # 1e999, which has no fraction
        return
    if Fraction(repr(instance)) % Fraction(repr(divisor)):
        yield ValidationError(f"{instance!r} is not a multiple of {divisor!r}")


def _ecma_pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """As ECMA-262 reads it, JSON Schema's dialect. Python's `$` also matches before a final line break, its `\\d` and
    `\\w` more than ASCII."""
    pattern = at_the_very_end(pattern).replace("(?<", "(?P<")
    if validator.is_type(instance, "string") and not re.search(pattern, instance, re.ASCII):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def at_the_very_end(pattern: str) -> str:
    """`pattern`, its `$` spelt as Python does; no `$` in it may be escaped or in a class."""
    return pattern.replace("$", r"\Z")


_Validator = extend(Draft202012Validator, {"multipleOf": _exact_multiple, "pattern": _ecma_pattern})


def valid(
    schema: Any, definitions: Any, value: Any, checker: FormatChecker | None = None, narrow: bool = False
) -> bool:
    """Whether the schema admits the value; with `narrow`, in the narrower reading of the module's docstring."""
    change = narrowed if narrow else standard
    root = {"properties": {"v": change(schema)}, "$defs": {name: change(body) for name, body in definitions.items()}}
    return bool(_Validator(root, format_checker=checker).is_valid({"v": value}))


def writable(value: Any) -> bool:
    """Whether all of the value can be spelt."""
    if isinstance(value, str):
        return all(c >= " " and c != "\x7f" or c in "\b\f\n\r\t" for c in value)
    if isinstance(value, list):
        return all(map(writable, value))
    if isinstance(value, dict):
        return all(writable(name) and writable(item) for name, item in value.items())
    return True


def _everywhere(schema: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """`schema` with `change` made to it and to every schema in it, the inner ones first."""
    if not isinstance(schema, dict):
        return schema
    out = dict(schema)
    for key, value in schema.items():
        if key in ("properties", "patternProperties", "$defs", "definitions"):
            out[key] = {name: _everywhere(part, change) for name, part in value.items()}
        elif isinstance(value, list) and key in ("prefixItems", "items", "anyOf", "oneOf", "allOf"):
            out[key] = [_everywhere(part, change) for part in value]
        elif key in ("items", "additionalItems", "additionalProperties", "propertyNames", "unevaluatedProperties"):
            out[key] = _everywhere(value, change)
    return change(out)


def standard(schema: Any) -> Any:
    """In the words of draft 2020-12: without draft 4's, OpenAPI's and smolagents'."""
    return _everywhere(schema, _standard)


def _standard(node: dict[str, Any]) -> dict[str, Any]:
    node = dict(node)
    if isinstance(node.get("items"), list):
        node["prefixItems"] = node.pop("items")
        if "additionalItems" in node:
            node["items"] = node.pop("additionalItems")
    node.pop("additionalItems", None)
    for bound, excluding in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(node.get(excluding), bool) and node.pop(excluding) and bound in node:
            node[excluding] = node.pop(bound)
    if node.pop("nullable", False) and node.get("type", "any") != "any":
        types = node["type"] if isinstance(node["type"], list) else [node["type"]]
        node["type"] = list(dict.fromkeys([*types, "null"]))
    if node.get("type") == "any":
        del node["type"]
    return node


def narrowed(schema: Any) -> Any:
    """`standard`, types that are implied spelt out, and objects closed. Only where all branches are written out: a
    reference beside other keywords would have to be followed."""
    return _closed(_everywhere(standard(schema), _typed), alone=True)


def _typed(node: dict[str, Any]) -> dict[str, Any]:
    if not any(key in node for key in ("type", *COMBINING, *LITERAL)):
        for keywords, name in ((OBJECT, "object"), (ARRAY, "array"), (STRING, "string"), (NUMBER, "number")):
            if not keywords.isdisjoint(node):
                return {**node, "type": name}
    return node


def _closed(schema: Any, alone: bool) -> Any:
    """`alone`: no other schema applies to the same value."""
    if not isinstance(schema, dict):
        return schema
    out = dict(schema)
    combining = [key for key in COMBINING if key in schema]
    separate = (
        alone and len(combining) == 1 and "allOf" not in schema and schema.keys() <= {*combining, "type", *MODIFIERS}
    )
    for key in ("properties", "patternProperties"):
        if key in schema:
            out[key] = {name: _closed(part, True) for name, part in schema[key].items()}
    for key in ("items", "additionalProperties"):
        if key in schema:
            out[key] = _closed(schema[key], True)
    if "prefixItems" in schema:
        out["prefixItems"] = [_closed(part, True) for part in schema["prefixItems"]]
    for key in ("allOf", "anyOf", "oneOf"):
        if key in schema:
            out[key] = [_closed(part, separate) for part in schema[key]]
    members = list(_in_place(schema))
    speaks = {"additionalProperties", "unevaluatedProperties"}
    if combining:
        speaks |= {"patternProperties", "propertyNames"}
    elif schema.get("propertyNames", {"type": "string"}) != {"type": "string"}:
        speaks.add("propertyNames")
    if (
        alone
        and not separate
        and any("properties" in m for m in members)
        and not any(speaks & m.keys() for m in members)
    ):
        out["unevaluatedProperties"] = False
    return out


def _in_place(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for key in ("allOf", "anyOf", "oneOf"):
            for part in schema.get(key, ()):
                yield from _in_place(part)
