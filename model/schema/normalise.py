"""From the schema that a tool declares to the one that the grammar is compiled of.

`examine` decides for every keyword: enforce it, drop it because it is an annotation, or refuse the schema and say
where. It goes on after a refusal, so that one pass finds all of them; `normalise` raises the first. Nothing that
constrains a value is ever dropped. Where the engine would be laxer than the schema, the schema is tightened or refused,
so that every text of the compiled grammar is valid under the schema as declared.

Two readings are deliberately narrower than JSON Schema's:

* An object that declares `properties` and says nothing of others admits no others. A validator would accept invented
  arguments; the function behind the tool would not.
* A schema without `type` that has keywords of objects, arrays, strings or numbers means that type.

Left alone, the engine (llguidance 1.9) skips keywords it does not know, lets a repeated additional key count towards
`minProperties`, overflows when it intersects two `multipleOf`, compiles a schema that no finite value satisfies, and
judges `oneOf` by what is written, that is by the narrower reading. `numbers` and `patterns` tell of more.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal
from urllib.parse import unquote

from model.errors import SchemaError
from model.schema import limits
from model.schema.graph import endless_names, finite_names
from model.schema.keywords import (
    ARRAY,
    COMBINING,
    LITERAL,
    NUMBER,
    OBJECT,
    OPENING,
    REFUSED,
    STRING,
    TYPES,
)
from model.schema.numbers import constant, number_keywords, significant
from model.schema.patterns import FORMATS, UNENFORCED_FORMATS, translate
from model.schema.proofs import Prover
from model.schema.reading import any_name, constraints, count, nested_ids, options, requires_one_name
from model.schema.record import Enough, Located, Noting, Record, Refusal, Visit

JSONObject = dict[str, Any]
Normal = JSONObject | Literal[False]
"""A normalised schema: an object, or False for "no value"."""

_IMPLIED_TYPES = ((OBJECT, "object"), (ARRAY, "array"), (STRING, "string"), (NUMBER, "number"))
_MAX_CHAIN = 32  # of references to references that a proof follows


@dataclass(frozen=True)
class Examination:
    """What became of a schema.

    `schema` is what the grammar is compiled of; where `refusals` are, it lacks what they name, and may not be used.
    `visits` has every schema that counts, in the order of the pass; definitions that nothing refers to do not count.
    The pass is `complete` unless the schema was too large or had too many refusals to go on. `schema` is `safe` to hand
    to the engine, refusals or not, when it is within all bounds of `model.schema.limits`.
    """

    schema: JSONObject
    visits: tuple[Visit, ...]
    refusals: tuple[Refusal, ...]
    complete: bool
    safe: bool


def normalise(parameters: Mapping[str, Any] | None, param: str) -> JSONObject:
    """The schema of a tool's arguments object, as `GrammarCompiler.compile` takes it.

    Args:
        parameters: what the tool declares; None, `{}` and an object schema without keywords mean "no arguments".
        param: where it stands in the request, such as "tools[2].function.parameters"; errors extend it.

    Raises:
        SchemaError: not a JSON Schema, or not enforceable exactly; `param` ends in the keyword at fault.
    """
    examination = examine(parameters, param)
    if examination.refusals:
        raise examination.refusals[0].error()
    return examination.schema


def examine(parameters: Mapping[str, Any] | None, param: str) -> Examination:
    """`normalise`, and all that is wrong with the schema, not only the first."""
    record = Record()
    schema: JSONObject = {}
    complete = safe = False
    with contextlib.suppress(Enough), record.noting(param):
        normaliser = _Normaliser(_plain_root(parameters, param), param, record)
        schema = normaliser.run()
        complete, safe = True, not normaliser.unsafe
    return Examination(schema, tuple(record.visits), tuple(record.refusals), complete, safe)


def _plain_root(parameters: Any, param: str) -> Mapping[str, Any]:
    root = {} if parameters is None else parameters
    if not isinstance(root, Mapping):
        raise SchemaError("A tool's parameters must be a JSON Schema object.", param)
    if limits.json_depth(root) > limits.MAX_JSON_DEPTH:
        raise SchemaError(f"The schema is nested more than {limits.MAX_JSON_DEPTH} levels deep.", param)
    try:
        size = len(json.dumps(root, ensure_ascii=False, allow_nan=False).encode())
    except (TypeError, ValueError) as error:
        raise SchemaError(f"The schema is not plain JSON: {error}.", param) from error
    if size > limits.MAX_BYTES:
        raise SchemaError(f"The schema has {size} bytes; at most {limits.MAX_BYTES} are allowed.", param)
    return root


class _Normaliser:
    """One pass over one schema.

    A location is *independent* when nothing else constrains the same value; only there may an object be closed.
    Branches of `allOf`, and branches beside other keywords, are not: the location that they belong to is closed over
    the names of all of them.
    """

    def __init__(self, root: Mapping[str, Any], param: str, record: Record) -> None:
        self.root = root
        self.param = param
        self.record = record
        self.ledger = limits.Ledger()
        self.prover = Prover(self.dereferenced)
        self.names: dict[tuple[str, bool], str] = {}
        self.pending: list[tuple[str, bool]] = []
        self.rebased = any(nested_ids(root))
        self.combines = False
        self.endless: set[str] = set()
        self.excesses: list[str] = []

    @property
    def unsafe(self) -> bool:
        """Whether the result may be more than the engine can be trusted with."""
        return bool(self.endless or self.excesses or self.ledger.exceeded())

    def run(self) -> JSONObject:
        root = dict(self.root)
        types = root.get("type", "object")
        if types not in ("object", "any") and not (isinstance(types, list) and "object" in types):
            with self.record.noting(self.param, "type"):
                message = f"The arguments of a tool are an object, not {json.dumps(types)}."
                raise SchemaError(message, f"{self.param}.type")
        if not any(key in root for key in (*COMBINING, *LITERAL, *OPENING, "additionalProperties")):
            root.setdefault("properties", {})
        root["type"] = "object"
        root.pop("nullable", None)
        schema = self.schema(root, self.param, 0, independent=True)
        self.record.visits[:] = [replace(v, node=self.root) if v.node is root else v for v in self.record.visits]
        assert isinstance(schema, dict)  # only a boolean schema becomes a boolean
        definitions: dict[str, Normal] = {}
        paths: dict[str, str] = {}
        while self.pending:
            reference, independent = self.pending.pop()
            name = self.names[reference, independent]
            paths[name] = self.param + _path(self.root, reference)
            target = self.resolve(reference, self.param)
            definitions[name] = self.schema(target, paths[name], 0, independent)
        if self.combines:
            self.check(schema, definitions, paths)
        return Located({**schema, "$defs": definitions}, self.param, self.root) if definitions else schema

    def check(self, schema: JSONObject, definitions: dict[str, Normal], paths: dict[str, str]) -> None:
        """What only shows when all is known: whether references end, and what they and branches amount to."""
        self.endless = endless_names(definitions)
        for name in definitions:
            with self.record.noting(paths[name]):
                if name in self.endless:
                    raise SchemaError("This definition refers to itself without end.", paths[name])
        if not self.endless:
            finite = finite_names(definitions)
            for name in definitions:
                with self.record.noting(paths[name]):
                    if name not in finite:
                        raise SchemaError("No finite value satisfies this definition.", paths[name])
            self.excesses = list(limits.excesses(schema, definitions))
            for excess in self.excesses:
                with self.record.noting(self.param):
                    raise SchemaError(f"The schema is too complex. {excess}", self.param)

    # One schema ------------------------------------------------------------------------------------------------------

    def schema(self, node: Any, path: str, depth: int, independent: bool) -> Normal:
        """The normal form of `node`, which stands at `path`, without what is refused of it."""
        with self.record.noting(path):
            self.ledger.spend("nodes", 1, limits.MAX_NODES, path, "The schema has more than {most} subschemas.")
            if depth > limits.MAX_DEPTH:
                raise SchemaError(f"The schema is nested more than {limits.MAX_DEPTH} levels deep.", path)
            if isinstance(node, bool):
                return {} if node else False
            if not isinstance(node, Mapping):
                raise SchemaError("A schema must be an object or a boolean.", path)
            return self.object_schema(node, path, depth, independent)
        if self.ledger.exceeded("nodes"):
            raise Enough
        return {}

    def object_schema(self, node: Mapping[str, Any], path: str, depth: int, independent: bool) -> Normal:
        declared = node
        noting = partial(self.record.noting, path)
        for keyword in node:
            if keyword in REFUSED:
                with noting(keyword):
                    raise SchemaError(f"The keyword {keyword!r} cannot be enforced.", f"{path}.{keyword}")
        constraining = constraints(node)
        combining = [key for key in node if key in COMBINING]
        if constraining == set(combining) and len(combining) == 1 and combining != ["$ref"]:
            # OpenAPI 3.0 writes {"allOf": [X]} to put a description beside a $ref.
            given = node[combining[0]]
            if isinstance(given, list) and len(given) == 1:
                schema = self.schema(given[0], f"{path}.{combining[0]}[0]", depth + 1, independent)
                self.record.visits.append(Visit(path, declared, frozenset(TYPES), schema or {}))
                return schema

        alone = independent and not combining
        # Whether each branch has its value to itself: nothing beside it but the type, which all share.
        separate = (
            independent and len(combining) == 1 and "allOf" not in node and constraining <= {combining[0], "type"}
        )
        if independent and combining and not separate:
            node = self.closed_over_branches(node, path)

        out: JSONObject = Located({}, path, declared)
        all_of: list[Normal] = []
        types: list[str] | None = None
        with noting("type"):
            types = self.types(node, path, independent)
        if types is not None:
            out["type"] = types[0] if len(types) == 1 else types
        may_be = set(types or TYPES)
        self.record.visits.append(Visit(path, declared, may_be, out))
        if "object" in may_be:
            out |= self.object_keywords(node, path, depth, close=alone)
        if "array" in may_be:
            out |= self.array_keywords(node, path, depth)
        if "string" in may_be:
            out |= self.string_keywords(node, path, all_of)
        if may_be & {"integer", "number"}:
            number = number_keywords(node, path, may_be, alone, noting)
            if "multipleOf" in number:
                self.count_remainders(number["multipleOf"], f"{path}.multipleOf", noting)
            out |= number
        for keyword in LITERAL:
            if keyword in node:
                with noting(keyword):
                    out[keyword] = self.literal(node[keyword], f"{path}.{keyword}", keyword)
        if "$ref" in node:
            with noting("$ref"):
                out["$ref"] = self.reference(node["$ref"], f"{path}.$ref", separate)
        self.combines |= bool(combining)
        branches: list[Normal] = []
        for keyword in ("allOf", "anyOf", "oneOf"):
            if keyword in node:
                with noting(keyword):
                    given = options(node, keyword, path)
                    before = len(self.record.refusals)
                    branches = [
                        self.schema(option, f"{path}.{keyword}[{i}]", depth + 1, separate)
                        for i, option in enumerate(given)
                    ]
                    if keyword == "oneOf" and len(self.record.refusals) == before:
                        branches = self.one_of(node, given, branches, may_be, separate, f"{path}.oneOf")
                    all_of += branches if keyword == "allOf" else [{"anyOf": branches}]
        if separate and combining != ["$ref"]:
            if branches:
                out["anyOf"] = branches
        elif all_of:
            out["allOf"] = all_of
        return out

    def count_remainders(self, multiple: int | float, path: str, noting: Callable[[str], Noting]) -> None:
        with noting("multipleOf"):
            message = "The values of 'multipleOf' add up to more than {most} in significant digits."
            self.ledger.spend("multiples", significant(multiple), limits.MAX_MULTIPLES, path, message)

    def types(self, node: Mapping[str, Any], path: str, independent: bool) -> list[str] | None:
        """The types that `node` names, or implies where nothing else does; None for any."""
        given = node.get("type")
        if given == "any":
            return None
        if given is None:
            if independent and not any(key in node for key in (*COMBINING, *LITERAL)):
                for keywords, implied in _IMPLIED_TYPES:
                    if not keywords.isdisjoint(node):
                        return [implied]
            return None
        types = [given] if isinstance(given, str) else given
        if not isinstance(types, list) or any(name not in TYPES for name in types):
            raise SchemaError(f"{json.dumps(given)} is not a JSON Schema type.", f"{path}.type")
        if not types:
            raise SchemaError("No type is allowed, so no value is.", f"{path}.type")
        return list(dict.fromkeys(types + (["null"] if node.get("nullable") is True else [])))

    def literal(self, value: Any, path: str, keyword: str) -> Any:
        if keyword == "const":
            return constant(value, path)
        if not isinstance(value, list):
            raise SchemaError("'enum' must be an array.", path)
        if not value:
            raise SchemaError("'enum' is empty, so no value is allowed.", path)
        values = constant(value, path)
        return list({json.dumps(item, sort_keys=True): item for item in values}.values())

    def counts(self, node: Mapping[str, Any], least: str, most: str, path: str) -> JSONObject:
        """The two bounds of a length, checked against each other and against what can be generated at all."""
        if least not in node and most not in node:
            return {}
        low = high = None
        with self.record.noting(path, least):
            low = count(node, least, path)
        with self.record.noting(path, most):
            high = count(node, most, path)
        with self.record.noting(path, least):
            if low is not None and high is not None and low > high:
                raise SchemaError(f"{least!r} exceeds {most!r}, so no value is allowed.", f"{path}.{least}")
            if low is not None and low > limits.MAX_COUNT:
                message = f"{least!r} exceeds {limits.MAX_COUNT}, more than can be generated."
                raise SchemaError(message, f"{path}.{least}")
        out: JSONObject = {}
        if low:
            out[least] = low
        if high is not None:
            out[most] = min(high, limits.MAX_COUNT)
        return out

    # References and combinations -------------------------------------------------------------------------------------

    def reference(self, reference: Any, path: str, independent: bool) -> str:
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise SchemaError("Only references inside the schema ('#/…') can be followed.", path)
        if self.rebased:
            raise SchemaError("References in a schema with a nested '$id' cannot be followed.", path)
        self.resolve(reference, path)
        key = (reference, independent)
        if key not in self.names:
            self.names[key] = f"d{len(self.names)}"
            self.pending.append(key)
        return f"#/$defs/{self.names[key]}"

    def resolve(self, reference: str, path: str) -> Any:
        target: Any = self.root
        for part in _parts(reference):
            if isinstance(target, Mapping) and part in target:
                target = target[part]
            elif isinstance(target, list) and part.isdecimal() and int(part) < len(target):
                target = target[int(part)]
            else:
                raise SchemaError(f"The reference {reference!r} points nowhere.", path)
        return target

    def dereferenced(self, node: Any) -> Any:
        """`node`, or what it stands for when it is nothing but a reference."""
        for _ in range(_MAX_CHAIN):
            if not isinstance(node, Mapping) or constraints(node) != {"$ref"}:
                break
            target = self.target(node)
            if target is None:
                break
            node = target
        return node

    def target(self, node: Mapping[str, Any]) -> Any:
        """What the `$ref` of `node` leads to; None where it cannot be followed, which `reference` refuses."""
        reference = node.get("$ref")
        if isinstance(reference, str) and reference.startswith("#"):
            with contextlib.suppress(SchemaError):
                return self.resolve(reference, self.param)
        return None

    def one_of(
        self,
        node: Mapping[str, Any],
        given: list[Any],
        branches: list[Normal],
        types: set[str],
        closed: bool,
        path: str,
    ) -> list[Normal]:
        """Branches of which any value satisfies exactly one of the `given`, so that they may be read as `anyOf`."""
        names = [option["required"][0] for option in given if requires_one_name(option)]
        if len(names) == len(given) == len(set(names)) and types == {"object"}:
            self.spend_names(len(names) ** 2, path)  # each option excludes all other names
            return [
                {"type": "object", "properties": {n: False for n in names if n != name}, "required": [name]}
                for name in names
            ]
        discriminator = node.get("discriminator")
        tag = discriminator.get("propertyName") if isinstance(discriminator, Mapping) else None
        tag = tag if isinstance(tag, str) else None
        if pair := self.prover.not_exclusive(given, types, closed, tag):
            if self.prover.exhausted:
                raise SchemaError("The options of 'oneOf' are too many to prove that they exclude each other.", path)
            message = f"Options {pair[0]} and {pair[1]} may both hold; those of 'oneOf' must exclude each other."
            raise SchemaError(f"{message} ('anyOf' has no such need.)", path)
        if tag is None:
            return branches
        return [{"allOf": [branch, {"type": "object", "required": [tag]}]} for branch in branches]

    def closed_over_branches(self, node: Mapping[str, Any], path: str) -> Mapping[str, Any]:
        """`node` with the properties that its branches declare, and closed, unless a branch speaks of others itself."""
        members = list(self.in_place(node))
        speaks = any(key in member for member, _ in members for key in ("additionalProperties", *OPENING))
        speaks |= any("unevaluatedProperties" in member for member, _ in members[1:])
        unevaluated = node.get("unevaluatedProperties")
        with self.record.noting(path, "unevaluatedProperties"):
            if unevaluated is False and (speaks or any(in_alternative for _, in_alternative in members)):
                raise SchemaError("This 'unevaluatedProperties' cannot be enforced.", f"{path}.unevaluatedProperties")
        if speaks or unevaluated is True or not any("properties" in member for member, _ in members):
            return node
        properties: JSONObject = {}
        for member, _ in members:
            for keyword in ("properties",) if unevaluated is False else ("properties", "required"):
                names = member.get(keyword)
                names = names if isinstance(names, Mapping | list) else ()
                properties.update((name, True) for name in names if isinstance(name, str))
        own = node.get("properties")
        if isinstance(own, Mapping):
            properties.update(own)
        return {**node, "properties": properties, "additionalProperties": False}

    def in_place(self, node: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], bool]]:
        """`node` first, then every schema that applies to the same value, and whether it is one of alternatives.

        Each comes once, however often it is referred to: by the path over which it is met first.
        """
        seen: set[tuple[int, bool]] = set()
        waiting: list[tuple[Any, bool]] = [(node, False)]
        while waiting:
            member, in_alternative = waiting.pop()
            if not isinstance(member, Mapping) or (id(member), in_alternative) in seen:
                continue
            seen.add((id(member), in_alternative))
            yield member, in_alternative
            below: list[tuple[Any, bool]] = [(self.target(member), in_alternative)]
            for keyword in ("allOf", "anyOf", "oneOf"):
                given = member.get(keyword)
                below += [
                    (part, in_alternative or keyword != "allOf") for part in (given if isinstance(given, list) else ())
                ]
            waiting += reversed(below)

    # Objects ---------------------------------------------------------------------------------------------------------

    def object_keywords(self, node: Mapping[str, Any], path: str, depth: int, close: bool) -> JSONObject:
        noting = partial(self.record.noting, path)
        properties = self.members(node, "properties", path, depth)
        patterns = self.pattern_members(node, path, depth)
        required: list[str] = []
        with noting("required"):
            required = _names(node.get("required", []), f"{path}.required")
        additional: Normal | None = None
        if "additionalProperties" in node:
            additional = self.schema(node["additionalProperties"], f"{path}.additionalProperties", depth + 1, True)
        unevaluated = node.get("unevaluatedProperties")
        with noting("unevaluatedProperties"):
            if unevaluated not in (None, True) and (unevaluated is not False or not close and additional is not False):
                raise SchemaError("This 'unevaluatedProperties' cannot be enforced.", f"{path}.unevaluatedProperties")
        with noting("propertyNames"):
            if "propertyNames" in node and not any_name(node["propertyNames"]):
                if properties or patterns:
                    raise SchemaError("'propertyNames' beside properties cannot be enforced.", f"{path}.propertyNames")
                value: Normal = {} if additional is None else additional
                properties, patterns = self.named(node["propertyNames"], value, f"{path}.propertyNames")
                additional = False
        undeclared = [name for name in required if name not in properties]
        with noting("required"):
            self.spend_names(len(undeclared), f"{path}.required")
        declares = "properties" in node and unevaluated is None or unevaluated is False
        if additional is None and close and declares:
            if unevaluated is None:  # "no others" in so many words is a contradiction, which the engine finds
                properties |= {name: {} for name in undeclared}
            additional = False
        out: JSONObject = {}
        if properties:
            out["properties"] = properties
        if patterns:
            out["patternProperties"] = patterns
        if additional is not None:
            out["additionalProperties"] = additional
        if required:
            out["required"] = required
        return out | self.property_counts(node, path, out)

    def spend_names(self, count: int, path: str) -> None:
        """Names that are not declared take as much work as those that are."""
        message = "With all of its names the schema has more than {most} properties."
        self.ledger.spend("nodes", count, limits.MAX_NODES, path, message)

    def members(self, node: Mapping[str, Any], keyword: str, path: str, depth: int) -> dict[str, Normal]:
        members: Any = {}
        with self.record.noting(path, keyword):
            if not isinstance(node.get(keyword, {}), Mapping):
                raise SchemaError(f"{keyword!r} must be an object of schemas.", f"{path}.{keyword}")
            members = node.get(keyword, {})
        return {
            name: self.schema(member, f"{path}.{keyword}.{name}", depth + 1, True) for name, member in members.items()
        }

    def pattern_members(self, node: Mapping[str, Any], path: str, depth: int) -> dict[str, Normal]:
        out: dict[str, Normal] = {}
        members = self.members(node, "patternProperties", path, depth)
        for pattern, schema in members.items():
            place = f"{path}.patternProperties.{pattern}"
            with self.record.noting(path, "patternProperties"):
                translated = self.pattern(pattern, place)
                if translated in out:
                    raise SchemaError("Two of these patterns say the same, and must be disjoint.", place)
                out[translated] = schema
        with self.record.noting(path, "patternProperties"):
            message = "More than {most} pairs of patterns would have to be compared."
            pairs = len(members) * (len(members) - 1) // 2
            self.ledger.spend("pairs", pairs, limits.MAX_NAME_PAIRS, f"{path}.patternProperties", message)
        return out

    def named(self, names: Any, value: Normal, path: str) -> tuple[dict[str, Normal], dict[str, Normal]]:
        """The properties and pattern properties that `propertyNames` amounts to where nothing else is declared."""
        said = constraints(names) - {"type"} if isinstance(names, Mapping) else set()
        if said == {"enum"} and isinstance(names["enum"], list):
            listed = {name: value for name in names["enum"] if isinstance(name, str)}
            self.spend_names(len(listed), f"{path}.enum")
            return listed, {}
        if said == {"pattern"}:
            return {}, {self.pattern(names["pattern"], f"{path}.pattern"): value}
        raise SchemaError("Only an 'enum' or a 'pattern' of property names can be enforced.", path)

    def property_counts(self, node: Mapping[str, Any], path: str, out: JSONObject) -> JSONObject:
        counts = self.counts(node, "minProperties", "maxProperties", path)
        closed = out.get("additionalProperties") is False and "patternProperties" not in out
        least, required = counts.get("minProperties", 0), len(out.get("required", ()))
        with self.record.noting(path, "minProperties"):
            if least <= required:
                counts.pop("minProperties", None)
            elif not closed and least > required + 1:
                raise SchemaError("More than one undeclared property cannot be counted.", f"{path}.minProperties")
            else:
                message = "It is beside too many optional properties; name those that are needed in 'required'."
                optional = len(out.get("properties", ())) - required
                self.ledger.spend("one of many", optional**2, limits.MAX_ONE_OF_MANY, f"{path}.minProperties", message)
        if closed and counts.get("maxProperties", 0) >= len(out.get("properties", ())):
            counts.pop("maxProperties", None)
        return counts

    # Arrays and strings ----------------------------------------------------------------------------------------------

    def array_keywords(self, node: Mapping[str, Any], path: str, depth: int) -> JSONObject:
        first, first_name = node.get("prefixItems", []), "prefixItems"
        others, others_name = node.get("items"), "items"
        if isinstance(others, list):
            first, first_name = others, "items"
            others, others_name = node.get("additionalItems"), "additionalItems"
        with self.record.noting(path, "prefixItems"):
            if not isinstance(first, list):
                first = []
                raise SchemaError("'prefixItems' must be an array of schemas.", f"{path}.prefixItems")
        out: JSONObject = {}
        if first:
            out["prefixItems"] = [
                self.schema(item, f"{path}.{first_name}[{i}]", depth + 1, True) for i, item in enumerate(first)
            ]
        if others is not None:
            out["items"] = self.schema(others, f"{path}.{others_name}", depth + 1, True)
        out |= self.counts(node, "minItems", "maxItems", path)
        most = min(out.get("maxItems", limits.MAX_COUNT), len(first) if out.get("items") is False else limits.MAX_COUNT)
        with self.record.noting(path, "uniqueItems"):
            if node.get("uniqueItems", False) is not False and most > 1:
                raise SchemaError("'uniqueItems' cannot be enforced.", f"{path}.uniqueItems")
        return out

    def string_keywords(self, node: Mapping[str, Any], path: str, all_of: list[Normal]) -> JSONObject:
        """The keywords of strings; a second pattern goes to `all_of`."""
        out = self.counts(node, "minLength", "maxLength", path)
        if "pattern" in node:
            with self.record.noting(path, "pattern"):
                out["pattern"] = self.pattern(node["pattern"], f"{path}.pattern")
        if "format" not in node:
            return out
        with self.record.noting(path, "format"):
            name = node["format"]
            if name is not None and not isinstance(name, str):
                raise SchemaError("'format' must be a string.", f"{path}.format")
            if name in UNENFORCED_FORMATS:
                raise SchemaError(f"The format {name!r} cannot be enforced.", f"{path}.format")
            if name in FORMATS:
                expression = FORMATS[name]
                if expression is None:
                    out["format"] = name
                elif "pattern" in out:
                    all_of.append({"pattern": expression})
                else:
                    out["pattern"] = expression
        return out

    def pattern(self, pattern: Any, path: str) -> str:
        if not isinstance(pattern, str):
            raise SchemaError("A pattern must be a string.", path)
        try:
            translated = translate(pattern)
        except ValueError as error:
            shown = pattern if len(pattern) <= 60 else f"{pattern[:57]}..."
            raise SchemaError(f"The pattern {shown!r} cannot be enforced: {error}.", path) from error
        message = "The patterns of the schema have more than {most} characters."
        self.ledger.spend("characters", len(pattern), limits.MAX_PATTERN_CHARACTERS, path, message)
        return translated


def _names(required: Any, path: str) -> list[str]:
    """The names of a `required`, each once."""
    if not isinstance(required, list) or any(not isinstance(name, str) for name in required):
        raise SchemaError("'required' must be an array of property names.", path)
    return list(dict.fromkeys(required))


def _path(root: Any, reference: str) -> str:
    """Where a reference that can be followed leads to, in the notation of errors."""
    path = ""
    for part in _parts(reference):
        path += f"[{part}]" if isinstance(root, list) else f".{part}"
        root = root[int(part) if isinstance(root, list) else part]
    return path


def _parts(reference: str) -> list[str]:
    """The steps of a JSON pointer in a URI fragment."""
    return [part.replace("~1", "/").replace("~0", "~") for part in unquote(reference[1:]).split("/")[1:]]
