"""Random schemas, random tokens: whatever the grammar lets through is valid under the schema as it was declared."""

from __future__ import annotations

import ipaddress
import json
import random
from collections.abc import Callable
from datetime import date, datetime
from typing import Any
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from model.errors import SchemaError
from model.grammar import GrammarCompiler
from model.schema import normalise
from tests.model.sampling import sample
from tests.model.tiny_tokenizer import TinyTokenizer

SCHEMAS = 200
TEXTS_EACH = 3
PATTERNS = (
    r"^\d{3}-\d{4}$",
    r"[A-Z]{2}",
    r"^[\w.-]+@[\w-]+\.com$",
    r"^[^\s\"\\]{1,5}$",
    r"^(yes|no)?$",
    r"\W",
    r"^.{2,4}$",
    r"^[^a-z]*$",
    r"^\S+\s\S+$",
)
NAMES = ("a", "b", "city", "unit_name", "fooBar", "été", 'q"t', "x y", "ab")
WORDS = ("", "a", "red", "San Francisco", "<end>", 'say "hi"', "a\\b", "line\nbreak", "日本", "1.5", "null")

PARSERS: dict[str, Callable[[str], object]] = {
    "ipv4": ipaddress.IPv4Address,
    "ipv6": ipaddress.IPv6Address,
    "uuid": UUID,
    "date": date.fromisoformat,
    "date-time": datetime.fromisoformat,
}


def format_checker() -> FormatChecker:
    """Standard-library parsers, which are stricter than jsonschema's own checks."""
    checker = FormatChecker(formats=())
    for name, parse in PARSERS.items():
        checker.checks(name, ValueError)(lambda value, parse=parse: not isinstance(value, str) or bool(parse(value)))
    return checker


class Schemas:
    """Draws schemas of every keyword that is enforced, sensible ones more often than not."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.definitions: dict[str, Any] = {}

    def root(self) -> dict[str, Any]:
        self.definitions = {name: {} for name in ("node", "leaf")}
        root = self.object(0)
        for name in self.definitions:
            self.definitions[name] = self.any(2)
        return {**root, "$defs": self.definitions}

    def any(self, depth: int) -> Any:
        kinds = [self.string, self.integer, self.number, self.literal, self.simple]
        if depth < 4:
            kinds += [self.object, self.object, self.array, self.array, self.combined, self.reference]
        return self.rng.choice(kinds)(depth)

    def maybe(self, out: dict[str, Any], key: str, value: Any, chance: float = 0.3) -> None:
        if self.rng.random() < chance:
            out[key] = value

    def simple(self, depth: int) -> Any:
        return self.rng.choice(
            [True, {}, {"type": "null"}, {"type": "boolean"}, {"type": ["string", "integer", "null"]}, {"minimum": 3}]
        )

    def string(self, depth: int) -> Any:
        out: dict[str, Any] = {"type": "string"}
        low = self.rng.randint(0, 6)
        self.maybe(out, "minLength", low)
        self.maybe(out, "maxLength", low + self.rng.randint(0, 6))
        self.maybe(out, "pattern", self.rng.choice(PATTERNS))
        self.maybe(out, "format", self.rng.choice(("date", "date-time", "ipv4", "ipv6", "uuid", "custom")))
        return out

    def integer(self, depth: int) -> Any:
        out: dict[str, Any] = {"type": "integer"}
        low = self.rng.choice((-120, -9, -1, 0, 1, 7, 99, 12345, 2**53, -(2**60)))
        self.maybe(out, self.rng.choice(("minimum", "exclusiveMinimum")), low)
        high = low + self.rng.choice((1, 2, 20, 10**6, 2**62, 2**63))
        self.maybe(out, self.rng.choice(("maximum", "exclusiveMaximum")), high)
        self.maybe(out, "multipleOf", self.rng.choice((2, 3, 7, 10, 250)))
        return out

    def number(self, depth: int) -> Any:
        out: dict[str, Any] = {"type": "number"}
        low = self.rng.choice((-12.5, -1, -0.25, 0, 0.125, 3.75, 1e6, 1e-7))
        self.maybe(out, self.rng.choice(("minimum", "exclusiveMinimum")), low)
        self.maybe(out, self.rng.choice(("maximum", "exclusiveMaximum")), low + self.rng.choice((0.5, 3, 1e9, 1e300)))
        self.maybe(out, "multipleOf", self.rng.choice((0.25, 0.5, 2, 1.5)), 0.15)
        return out

    def literal(self, depth: int) -> Any:
        values = [*WORDS, 0, -7, 2.5, 1e-6, 10**17, None, True, False, ["a", 1], {"k": [1], 'q"': "<end>"}, [], {}]
        if self.rng.random() < 0.3:
            return {"const": self.rng.choice(values)}
        out: dict[str, Any] = {"enum": self.rng.sample(values, self.rng.randint(1, 5))}
        self.maybe(out, "type", ["string", "number", "null", "object"])
        return out

    def object(self, depth: int) -> Any:
        names = self.rng.sample(NAMES, self.rng.randint(0, 4))
        out: dict[str, Any] = {"type": "object", "properties": {name: self.any(depth + 1) for name in names}}
        self.maybe(out, "required", [name for name in names if self.rng.random() < 0.6], 0.7)
        self.maybe(out, "additionalProperties", self.rng.choice((True, False, {"type": "integer"}, {"enum": ["x"]})))
        self.maybe(out, "patternProperties", {r"^x_\d": self.any(depth + 1)}, 0.1)
        self.maybe(out, "minProperties", self.rng.randint(0, 2), 0.1)
        self.maybe(out, "maxProperties", self.rng.randint(2, 4), 0.1)
        self.maybe(out, "unevaluatedProperties", self.rng.choice((True, False, False)), 0.1)
        if self.rng.random() < 0.1:
            del out["properties"]
            names = self.rng.choice(({"enum": list(NAMES)}, {"pattern": "^[a-f]+$"}, {"type": "string"}))
            self.maybe(out, "propertyNames", names)
        if self.rng.random() < 0.15:
            more = {"type": "object", "properties": {self.rng.choice(NAMES): self.any(depth + 1)}}
            self.maybe(more, "required", list(more["properties"]))
            out[self.rng.choice(("allOf", "anyOf"))] = [more, {"required": [self.rng.choice(NAMES)]}]
        return out

    def array(self, depth: int) -> Any:
        out: dict[str, Any] = {"type": "array"}
        low = self.rng.randint(0, 3)
        self.maybe(out, "items", self.any(depth + 1), 0.8)
        self.maybe(out, "prefixItems", [self.any(depth + 1) for _ in range(self.rng.randint(1, 2))], 0.2)
        self.maybe(out, "minItems", low)
        self.maybe(out, "maxItems", low + self.rng.randint(0, 2), 0.5)
        return out

    def combined(self, depth: int) -> Any:
        keyword = self.rng.choice(("anyOf", "anyOf", "oneOf", "oneOf", "allOf"))
        if keyword == "allOf":
            kind = self.rng.choice((self.string, self.number, self.object))
            return {"allOf": [kind(depth + 1), kind(depth + 1)]}
        if keyword == "oneOf" and self.rng.random() < 0.5:
            tag = self.rng.choice(NAMES)
            options = [self.object(depth + 1) for _ in range(2)]
            for i, option in enumerate(options):
                option.setdefault("properties", {})[tag] = {"const": f"kind{i}"}
                option["required"] = [*option.get("required", []), tag]
            return {"oneOf": options}
        return {keyword: [self.any(depth + 1) for _ in range(self.rng.randint(2, 3))]}

    def reference(self, depth: int) -> Any:
        return {"$ref": f"#/$defs/{self.rng.choice(list(self.definitions))}"}


@pytest.mark.parametrize("block", range(10))
def test_what_is_sampled_validates(block: int, tiny_tokenizer: TinyTokenizer, compiler: GrammarCompiler) -> None:
    rng = random.Random(block)
    checked = refused = unended = 0
    while checked < SCHEMAS // 10:
        schema = Schemas(rng).root()
        try:
            grammar = compiler.compile(normalise(schema, "parameters"))
        except SchemaError:
            refused += 1
            continue
        validator = Draft202012Validator(schema, format_checker=format_checker())
        for _ in range(TEXTS_EACH):
            text = sample(grammar, tiny_tokenizer, rng)
            if text is None:
                unended += 1
                continue
            errors = [error.message for error in validator.iter_errors(json.loads(text))]
            assert not errors, f"{text}\n{json.dumps(schema)}\n{errors}"
        checked += 1
    assert refused < 2 * checked
    assert unended < checked
