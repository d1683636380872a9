"""Our tools as Gemini's function declarations, and what of them does not carry over.

Gemini takes a function's parameters either as an OpenAPI subset, which has no numbers in an enum and refuses the whole
request for a keyword that it does not know, or as JSON Schema, of which it heeds a part and ignores the rest
(`parameters_json_schema`; google-genai lists the part at `GenerateContentConfig.response_json_schema`). We send the
latter, and nothing outside that part: what else constrains a value is said in words in the description, where words
for it are short. Each such keyword is reported as a `Loss`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any

from google.genai import types
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from model.prompt import dumps
from model.schema import ENFORCED, normalise
from model.types import Tool

# References are replaced by what they refer to, up to so many subschemas; from there on they stay references.
MAX_NODES = 1_000

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_FORMATS = frozenset({"date", "date-time", "time"})
_HEEDED = ("title", "minItems", "maxItems", "minimum", "maximum")
_IN_WORDS = {
    "pattern": "matches the regular expression {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "multipleOf": "a multiple of {}",
    "minProperties": "at least {} properties",
    "maxProperties": "at most {} properties",
}
# What is missed where it cannot be passed on; of the rest, nothing constrains a value or explains it.
_MISSED = (ENFORCED.keys() | {"description"}) - {"$ref", "$defs", "definitions", "discriminator"}
_UNSAID = ("patternProperties", "propertyNames", "unevaluatedProperties")
_ANNOTATIONS = {"default": "by default {}", "examples": "for example {}", "example": "for example {}"}


@dataclass(frozen=True)
class Loss:
    """A keyword of a tool's schema that Gemini does not get as such; `in_words` when the description says it."""

    tool: str
    path: str
    keyword: str
    in_words: bool = False

    def __str__(self) -> str:
        return (
            f"{self.tool}: {self.path}: {self.keyword} is {'passed on in words' if self.in_words else 'not passed on'}"
        )


def declare(tool: Tool) -> types.FunctionDeclaration:
    """`tool` for Gemini. Raises `model.errors.SchemaError` where Bodkin could not serve it."""
    return _declared(tool.name, tool.description, dumps(tool.parameters))


@lru_cache(maxsize=1024)  # a run asks thousands of questions about the same tools
def _declared(name: str, description: str, parameters: str) -> types.FunctionDeclaration:
    return types.FunctionDeclaration(
        name=accepted_name(name),
        description=description or name,  # which Gemini requires
        parameters_json_schema=_Conversion(Tool(name, description, json.loads(parameters))).run(),
    )


def losses(tools: Sequence[Tool]) -> list[Loss]:
    """What Gemini is not told of `tools`, or told only in words. Raises as `declare` does."""
    found: list[Loss] = []
    for tool in tools:
        conversion = _Conversion(tool)
        conversion.run()
        found += dict.fromkeys(conversion.losses)
    return found


def accepted_name(name: str) -> str:
    """`name`, or another that Gemini accepts: 1 to 64 letters, digits, `_`, `.` and `-`, the first a letter or `_`.

    Names that differ still do, whatever other tools there are.
    """
    if _NAME.fullmatch(name):
        return name
    cleaned = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
    return f"{cleaned if _NAME.match(cleaned) else f'_{cleaned}'}"[:55] + f"_{sha256(name.encode()).hexdigest()[:8]}"


class _Conversion:
    """One tool's schema, reduced to what Gemini heeds."""

    def __init__(self, tool: Tool) -> None:
        normalise(tool.parameters, tool.name)  # refuses what is no sound schema, and references that lead nowhere
        self.tool = tool
        self.losses: list[Loss] = []
        self.nodes = 0
        self.names: dict[str, str] = {}
        self.pending: list[str] = []
        self.resolver = Registry().with_resource("", DRAFT202012.create_resource(dict(tool.parameters))).resolver()

    def run(self) -> dict[str, Any] | None:
        """The schema; None for a function without parameters."""
        schema = self.node(self.tool.parameters, "parameters", frozenset({"#"})) | {"type": "object"}
        if not (schema.get("properties") or schema.get("additionalProperties") or schema.keys() & {"anyOf", "oneOf"}):
            return None
        definitions: dict[str, Any] = {}
        while self.pending:
            reference = self.pending.pop()
            path = reference.removeprefix("#/").replace("/", ".")
            definitions[self.names[reference]] = self.node(self.target(reference), path, frozenset({reference}))
        return schema | ({"$defs": definitions} if definitions else {})

    def node(self, declared: Any, path: str, inside: frozenset[str]) -> dict[str, Any]:
        """The schema at `path`. `inside` are the references that led here: another to one of them would not end."""
        self.nodes += 1
        if not isinstance(declared, Mapping):
            if declared is False:
                self.losses.append(Loss(self.tool.name, path, "false"))
            return {}
        node, inside = self.merged(declared, path, inside)
        if "$ref" in node:
            return {"$ref": f"#/$defs/{self.name(node['$ref'])}"}
        out: dict[str, Any] = {key: node[key] for key in _HEEDED if key in node}
        words: list[str] = []
        kinds = _kinds(node)
        self.literals(node, kinds, path, out, words)
        if kinds:
            out["type"] = kinds[0] if len(kinds) == 1 else kinds
        if node.get("format") in _FORMATS:
            out["format"] = node["format"]
        elif "format" in node:
            self.say("format", "format {}", node["format"], path, words)
        self.exclusive_bounds(node, kinds, path, out, words)
        for keyword, text in _IN_WORDS.items():
            if keyword in node:
                self.say(keyword, text, node[keyword], path, words)
        if node.get("uniqueItems"):
            self.say("uniqueItems", "no item twice", True, path, words)
        self.losses += [Loss(self.tool.name, path, key) for key in _UNSAID if node.get(key, True) is not True]
        words += [text.format(dumps(node[key])) for key, text in _ANNOTATIONS.items() if key in node]
        description = " ".join([str(node.get("description") or ""), f"({'; '.join(words)})" if words else ""]).strip()
        return out | ({"description": description} if description else {}) | self.children(node, path, inside)

    def children(self, node: Mapping[str, Any], path: str, inside: frozenset[str]) -> dict[str, Any]:
        """The keywords that hold schemas."""
        out: dict[str, Any] = {}
        if "properties" in node:
            members = node["properties"].items()
            out["properties"] = {name: self.node(member, f"{path}.{name}", inside) for name, member in members}
        if node.get("required"):
            out["required"] = list(node["required"])
        items, first = node.get("items"), node.get("prefixItems")
        if isinstance(items, list):  # as draft 4 has it
            items, first = node.get("additionalItems"), items
        if first:
            out["prefixItems"] = [self.node(item, f"{path}[{i}]", inside) for i, item in enumerate(first)]
        for keyword, schema, step in (
            ("additionalProperties", node.get("additionalProperties"), ".*"),
            ("items", items, "[]"),
        ):
            if schema is not None:
                out[keyword] = schema if isinstance(schema, bool) else self.node(schema, path + step, inside)
        for keyword in ("anyOf", "oneOf"):
            if keyword in node:
                options = enumerate(node[keyword])
                out[keyword] = [self.node(option, f"{path}.{keyword}[{i}]", inside) for i, option in options]
        return out

    def merged(
        self, node: Mapping[str, Any], path: str, inside: frozenset[str]
    ) -> tuple[dict[str, Any], frozenset[str]]:
        """`node` without `$ref` and `allOf`: what they add is merged into it; and what it is inside of then.

        Or nothing but a `$ref`, where following it would not end: Gemini allows nothing beside one.
        """
        out = {key: value for key, value in node.items() if key not in ("$ref", "allOf")}
        parts = list(node.get("allOf", ()))
        if "$ref" in node:
            if node["$ref"] in inside or self.nodes > MAX_NODES:
                self.losses += [Loss(self.tool.name, path, key) for key in node if key in _MISSED]
                return {"$ref": node["$ref"]}, inside
            inside |= {node["$ref"]}
            parts.insert(0, self.target(node["$ref"]))
        for part in parts:
            addition, inside = self.merged(part, path, inside) if isinstance(part, Mapping) else ({}, inside)
            for keyword, value in addition.items():
                if keyword == "properties":
                    out[keyword] = {**value, **out.get(keyword, {})}
                elif keyword == "required":
                    out[keyword] = list(dict.fromkeys([*out.get(keyword, ()), *value]))
                elif keyword == "$ref":
                    self.losses.append(Loss(self.tool.name, path, keyword))
                elif out.setdefault(keyword, value) != value and keyword in _MISSED and keyword != "description":
                    self.losses.append(Loss(self.tool.name, path, keyword))
        return out, inside

    def literals(
        self, node: Mapping[str, Any], kinds: list[str], path: str, out: dict[str, Any], words: list[str]
    ) -> None:
        """`const` and `enum`: members may be strings or numbers, and null is a type, added to `kinds`."""
        keyword = "const" if "const" in node else "enum"
        if keyword not in node:
            return
        values = [node["const"]] if keyword == "const" else list(node["enum"])
        others = [value for value in values if value is not None]
        implied = {_kind(value) for value in others}
        if implied == {"integer", "number"}:
            implied = {"number"}
        if not others:
            kinds[:] = ["null"]
            return
        if not kinds:
            kinds += sorted(implied)
        if len(others) < len(values) and "null" not in kinds:
            kinds.append("null")
        if implied in ({"string"}, {"integer"}, {"number"}):
            out["enum"] = others
        else:
            self.say(keyword, "one of {}", others, path, words)

    def exclusive_bounds(
        self, node: Mapping[str, Any], kinds: list[str], path: str, out: dict[str, Any], words: list[str]
    ) -> None:
        """An exclusive bound of integers is the inclusive one beside it; other numbers have none."""
        for keyword, bound, step, text in (
            ("exclusiveMinimum", "minimum", 1, "greater than {}"),
            ("exclusiveMaximum", "maximum", -1, "less than {}"),
        ):
            limit = node.get(keyword, False)
            if limit is True:  # draft 4: a flag beside the bound
                limit = node.get(bound, False)
            if limit is False:
                continue
            if "integer" in kinds and set(kinds) <= {"integer", "null"} and float(limit).is_integer():
                tighter = max if step > 0 else min
                out[bound] = tighter(int(limit) + step, out.get(bound, int(limit) + step))
            else:
                self.say(keyword, text, limit, path, words)

    def say(self, keyword: str, text: str, value: Any, path: str, words: list[str]) -> None:
        self.losses.append(Loss(self.tool.name, path, keyword, in_words=True))
        words.append(text.format(value if isinstance(value, str) else dumps(value)))

    def target(self, reference: str) -> Any:
        return self.resolver.lookup(reference).contents

    def name(self, reference: str) -> str:
        """The name in `$defs` of what stays a reference."""
        if reference not in self.names:
            label = re.sub(r"\W", "_", reference.rsplit("/", 1)[-1]).strip("_") or "root"
            self.names[reference] = f"{label}_{len(self.names)}"
            self.pending.append(reference)
        return self.names[reference]


def _kinds(node: Mapping[str, Any]) -> list[str]:
    """The types that a schema names; none for any."""
    given = node.get("type")
    if given is None or given == "any":
        return []
    return list(
        dict.fromkeys([*([given] if isinstance(given, str) else given), *["null"] * bool(node.get("nullable"))])
    )


def _kind(value: Any) -> str:
    for name, kind in (("boolean", bool), ("string", str), ("array", list), ("object", dict)):
        if isinstance(value, kind):
            return name
    return "integer" if float(value).is_integer() else "number"
