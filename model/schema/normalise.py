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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from model.errors import SchemaError
from model.schema import limits
from model.schema.branches import check_exclusive, closed_over_branches, one_required, only_required, tag_of
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
from model.schema.numbers import constant, number_keywords, significant, unwritten
from model.schema.proofs import Prover
from model.schema.reading import any_name, constraints, options
from model.schema.record import Enough, Located, Noting, Record, Refusal, Visit
from model.schema.references import References
from model.schema.strings import counts, pattern, string_keywords

JSONObject = dict[str, Any]
Normal = JSONObject | Literal[False]
"""A normalised schema: an object, or False for "no value"."""

_IMPLIED_TYPES = ((OBJECT, "object"), (ARRAY, "array"), (STRING, "string"), (NUMBER, "number"))


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
        self.references = References(root)
        self.prover = Prover(self.references.dereferenced)
        self.names: dict[tuple[str, bool], str] = {}
        self.pending: list[tuple[str, bool]] = []
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
                message = f"The arguments of a tool are an object, not {json.dumps(types)[:60]}."
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
            paths[name] = self.param + self.references.path(reference)
            target = self.references.resolve(reference, self.param)
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
            node = closed_over_branches(node, path, self.references, self.record)

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
            of_strings, all_of = string_keywords(node, path, self.record, self.ledger)
            out |= of_strings
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
        elif alone and "number" in may_be and not any(key in node for key in LITERAL):
            if values := unwritten(out):
                return {"anyOf": [out, {"enum": values}]}
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
            raise SchemaError(f"{json.dumps(given)[:60]} is not a JSON Schema type.", f"{path}.type")
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

    # References and combinations -------------------------------------------------------------------------------------

    def reference(self, reference: Any, path: str, independent: bool) -> str:
        key = self.references.check(reference, path), independent
        if key not in self.names:
            self.names[key] = f"d{len(self.names)}"
            self.pending.append(key)
        return f"#/$defs/{self.names[key]}"

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
        if names := only_required(given, types):
            self.spend_names(len(names) ** 2, path)  # each option excludes all other names
            return [*one_required(names)]
        tag = tag_of(node)
        check_exclusive(given, types, closed, tag, self.prover, path)
        if tag is None:
            return branches
        return [{"allOf": [branch, {"type": "object", "required": [tag]}]} for branch in branches]

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
                # Naming a property does not evaluate it.
                value: Normal = additional if additional is not None else False if unevaluated is False else {}
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
        for expression, schema in members.items():
            place = f"{path}.patternProperties.{expression}"
            with self.record.noting(path, "patternProperties"):
                translated = pattern(expression, place, self.ledger)
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
            return {}, {pattern(names["pattern"], f"{path}.pattern", self.ledger): value}
        raise SchemaError("Only an 'enum' or a 'pattern' of property names can be enforced.", path)

    def property_counts(self, node: Mapping[str, Any], path: str, out: JSONObject) -> JSONObject:
        bounds = counts(node, "minProperties", "maxProperties", path, self.record)
        closed = out.get("additionalProperties") is False and "patternProperties" not in out
        least, required = bounds.get("minProperties", 0), len(out.get("required", ()))
        with self.record.noting(path, "minProperties"):
            if least <= required:
                bounds.pop("minProperties", None)
            elif not closed and least > required + 1:
                raise SchemaError("More than one undeclared property cannot be counted.", f"{path}.minProperties")
            else:
                message = "It is beside too many optional properties; name those that are needed in 'required'."
                optional = len(out.get("properties", ())) - required
                self.ledger.spend("one of many", optional**2, limits.MAX_ONE_OF_MANY, f"{path}.minProperties", message)
        if closed and bounds.get("maxProperties", 0) >= len(out.get("properties", ())):
            bounds.pop("maxProperties", None)
        return bounds

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
        out |= counts(node, "minItems", "maxItems", path, self.record)
        most = min(out.get("maxItems", limits.MAX_COUNT), len(first) if out.get("items") is False else limits.MAX_COUNT)
        with self.record.noting(path, "uniqueItems"):
            if node.get("uniqueItems", False) is not False and most > 1:
                raise SchemaError("'uniqueItems' cannot be enforced.", f"{path}.uniqueItems")
        return out


def _names(required: Any, path: str) -> list[str]:
    """The names of a `required`, each once."""
    if not isinstance(required, list) or any(not isinstance(name, str) for name in required):
        raise SchemaError("'required' must be an array of property names.", path)
    return list(dict.fromkeys(required))
