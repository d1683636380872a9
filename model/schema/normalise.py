"""From the schema that a tool declares to the one that the grammar is compiled of.

`normalise` decides for every keyword: enforce it, drop it because it is an annotation, or refuse the schema and say
where. Nothing that constrains a value is ever dropped. Where the engine would be laxer than the schema, the schema is
tightened or refused, so that every text of the compiled grammar is valid under the schema as declared.

Two readings are deliberately narrower than JSON Schema's:

* An object that declares `properties` and says nothing of others admits no others. A validator would accept invented
  arguments; the function behind the tool would not.
* A schema without `type` that has keywords of objects, arrays, strings or numbers means that type.

Left alone, the engine (llguidance 1.9) skips keywords it does not know, lets a repeated additional key count towards
`minProperties`, overflows when it intersects two `multipleOf`, compiles a schema that no finite value satisfies, and
judges `oneOf` by what is written, that is by the narrower reading. `numbers` and `patterns` tell of more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal
from urllib.parse import unquote

from model.errors import SchemaError
from model.schema.keywords import (
    ARRAY,
    COMBINING,
    ENFORCED,
    LITERAL,
    MODIFIERS,
    NUMBER,
    OBJECT,
    OPENING,
    REFUSED,
    STRING,
    TYPES,
)
from model.schema.numbers import constant, number_keywords
from model.schema.patterns import FORMATS, UNENFORCED_FORMATS, translate
from model.schema.proofs import endless_names, exclusive, finite_names

JSONObject = dict[str, Any]
Normal = JSONObject | Literal[False]
"""A normalised schema: an object, or False for "no value"."""

MAX_BYTES = 128 * 1024
MAX_NODES = 4_000
MAX_DEPTH = 32
MAX_COUNT = 100_000

_IMPLIED_TYPES = ((OBJECT, "object"), (ARRAY, "array"), (STRING, "string"), (NUMBER, "number"))


def normalise(parameters: Mapping[str, Any] | None, param: str) -> JSONObject:
    """The schema of a tool's arguments object, as `GrammarCompiler.compile` takes it.

    Args:
        parameters: what the tool declares; None, `{}` and an object schema without keywords mean "no arguments".
        param: where it stands in the request, such as "tools[2].function.parameters"; errors extend it.

    Raises:
        SchemaError: not a JSON Schema, or not enforceable exactly; `param` ends in the keyword at fault.
    """
    root: Any = {} if parameters is None else parameters
    if not isinstance(root, Mapping):
        raise SchemaError("A tool's parameters must be a JSON Schema object.", param)
    try:
        size = len(json.dumps(root, ensure_ascii=False, allow_nan=False).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise SchemaError(f"The schema is not plain JSON: {error}.", param) from error
    if size > MAX_BYTES:
        raise SchemaError(f"The schema has {size} bytes; at most {MAX_BYTES} are allowed.", param)
    return _Normaliser(root, param).run()


class _Normaliser:
    """One pass over one schema.

    A location is *independent* when nothing else constrains the same value; only there may an object be closed.
    Branches of `allOf`, and branches beside other keywords, are not: the location that they belong to is closed over
    the names of all of them.
    """

    def __init__(self, root: Mapping[str, Any], param: str) -> None:
        self.root = root
        self.param = param
        self.nodes = 0
        self.names: dict[tuple[str, bool], str] = {}
        self.pending: list[tuple[str, bool]] = []
        self.rebased = any(_nested_ids(root))

    def run(self) -> JSONObject:
        root = dict(self.root)
        types = root.get("type", "object")
        if types not in ("object", "any") and not (isinstance(types, list) and "object" in types):
            message = f"The arguments of a tool are an object, not {json.dumps(types)}."
            raise SchemaError(message, f"{self.param}.type")
        if not any(key in root for key in (*COMBINING, *LITERAL, *OPENING, "additionalProperties")):
            root.setdefault("properties", {})
        root["type"] = "object"
        root.pop("nullable", None)
        schema = self.schema(root, self.param, 0, independent=True)
        assert isinstance(schema, dict)  # only a boolean schema becomes a boolean
        definitions: dict[str, Normal] = {}
        paths: dict[str, str] = {}
        while self.pending:
            reference, independent = self.pending.pop()
            name = self.names[reference, independent]
            paths[name] = self.param + unquote(reference[1:]).replace("/", ".")
            target = self.resolve(reference, self.param)
            definitions[name] = self.schema(target, paths[name], 0, independent)
        for name in endless_names(definitions):
            raise SchemaError("This definition refers to itself without end.", paths[name])
        for name in definitions.keys() - finite_names(definitions):
            raise SchemaError("No finite value satisfies this definition.", paths[name])
        return {**schema, "$defs": definitions} if definitions else schema

    # One schema ------------------------------------------------------------------------------------------------------

    def schema(self, node: Any, path: str, depth: int, independent: bool) -> Normal:
        """The normal form of `node`, which stands at `path`."""
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise SchemaError(f"The schema has more than {MAX_NODES} subschemas.", path)
        if depth > MAX_DEPTH:
            raise SchemaError(f"The schema is nested more than {MAX_DEPTH} levels deep.", path)
        if isinstance(node, bool):
            return {} if node else False
        if not isinstance(node, Mapping):
            raise SchemaError("A schema must be an object or a boolean.", path)
        for keyword in node:
            if keyword in REFUSED:
                raise SchemaError(f"The keyword {keyword!r} cannot be enforced.", f"{path}.{keyword}")
        constraints = _constraints(node)
        combining = [key for key in node if key in COMBINING]
        if constraints == set(combining) and len(combining) == 1 and combining != ["$ref"]:
            # OpenAPI 3.0 writes {"allOf": [X]} to put a description beside a $ref.
            given = self.options(node, combining[0], path)
            if len(given) == 1:
                return self.schema(given[0], f"{path}.{combining[0]}[0]", depth + 1, independent)

        alone = independent and not combining
        # Whether each branch has its value to itself: nothing beside it but the type, which all share.
        separate = independent and len(combining) == 1 and "allOf" not in node and constraints <= {combining[0], "type"}
        if independent and combining and not separate:
            node = self.closed_over_branches(node, path)

        out: JSONObject = {}
        all_of: list[Normal] = []
        types = self.types(node, path, independent)
        if types is not None:
            out["type"] = types[0] if len(types) == 1 else types
        may_be = set(types or TYPES)
        if "object" in may_be:
            out |= self.object_keywords(node, path, depth, close=alone)
        if "array" in may_be:
            out |= self.array_keywords(node, path, depth)
        if "string" in may_be:
            out |= self.string_keywords(node, path, all_of)
        if may_be & {"integer", "number"}:
            out |= number_keywords(node, path, may_be, alone)
        for keyword in LITERAL:
            if keyword in node:
                out[keyword] = self.literal(node[keyword], f"{path}.{keyword}", keyword)
        if "$ref" in node:
            out["$ref"] = self.reference(node["$ref"], f"{path}.$ref", separate)
        for keyword in ("allOf", "anyOf", "oneOf"):
            if keyword in node:
                given = self.options(node, keyword, path)
                options = [
                    self.schema(option, f"{path}.{keyword}[{i}]", depth + 1, separate) for i, option in enumerate(given)
                ]
                if keyword == "oneOf":
                    options = self.one_of(node, given, options, may_be, separate, f"{path}.oneOf")
                all_of += options if keyword == "allOf" else [{"anyOf": options}]
        if separate and combining != ["$ref"]:
            out["anyOf"] = options
        elif all_of:
            out["allOf"] = all_of
        return out

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

    def options(self, node: Mapping[str, Any], keyword: str, path: str) -> list[Any]:
        options = node[keyword]
        if not isinstance(options, list) or not options:
            raise SchemaError(f"{keyword!r} must be a non-empty array of schemas.", f"{path}.{keyword}")
        return options

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
        low, high = _count(node, least, path), _count(node, most, path)
        if low is not None and high is not None and low > high:
            raise SchemaError(f"{least!r} exceeds {most!r}, so no value is allowed.", f"{path}.{least}")
        if low is not None and low > MAX_COUNT:
            raise SchemaError(f"{least!r} exceeds {MAX_COUNT}, more than can be generated.", f"{path}.{least}")
        return ({least: low} if low else {}) | ({most: min(high, MAX_COUNT)} if high is not None else {})

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
        for part in unquote(reference[1:]).split("/")[1:]:
            part = part.replace("~1", "/").replace("~0", "~")
            if isinstance(target, Mapping) and part in target:
                target = target[part]
            elif isinstance(target, list) and part.isdecimal() and int(part) < len(target):
                target = target[int(part)]
            else:
                raise SchemaError(f"The reference {reference!r} points nowhere.", path)
        return target

    def dereferenced(self, node: Any) -> Any:
        """`node`, or what it stands for when it is nothing but a reference."""
        seen: set[str] = set()
        while isinstance(node, Mapping) and _constraints(node) == {"$ref"}:
            reference = node["$ref"]
            if not isinstance(reference, str) or not reference.startswith("#") or reference in seen:
                break
            seen.add(reference)
            node = self.resolve(reference, self.param)
        return node

    def one_of(
        self,
        node: Mapping[str, Any],
        given: list[Any],
        options: list[Normal],
        types: set[str],
        closed: bool,
        path: str,
    ) -> list[Normal]:
        """Options of which any value satisfies exactly one of the `given`, so that they may be read as `anyOf`."""
        names = [option["required"][0] for option in given if _requires_one_name(option)]
        if len(names) == len(given) == len(set(names)) and types == {"object"}:
            return [
                {"type": "object", "properties": {n: False for n in names if n != name}, "required": [name]}
                for name in names
            ]
        discriminator = node.get("discriminator")
        tag = discriminator.get("propertyName") if isinstance(discriminator, Mapping) else None
        tag = tag if isinstance(tag, str) else None
        for j, b in enumerate(given):
            for i, a in enumerate(given[:j]):
                if not exclusive(a, b, types, closed, tag, self.dereferenced):
                    message = f"Options {i} and {j} may both hold; those of 'oneOf' must exclude each other."
                    raise SchemaError(f"{message} ('anyOf' has no such need.)", path)
        if tag is None:
            return options
        return [{"allOf": [option, {"type": "object", "required": [tag]}]} for option in options]

    def closed_over_branches(self, node: Mapping[str, Any], path: str) -> Mapping[str, Any]:
        """`node` with the properties that its branches declare, and closed, unless a branch speaks of others itself."""
        members = list(self.in_place(node))
        speaks = any(key in member for member, _ in members for key in ("additionalProperties", *OPENING))
        speaks |= any("unevaluatedProperties" in member for member, _ in members[1:])
        unevaluated = node.get("unevaluatedProperties")
        if unevaluated is False and (speaks or any(in_alternative for _, in_alternative in members)):
            raise SchemaError("This 'unevaluatedProperties' cannot be enforced.", f"{path}.unevaluatedProperties")
        if speaks or unevaluated is True or not any("properties" in member for member, _ in members):
            return node
        properties: JSONObject = {}
        for member, _ in members:
            for keyword in ("properties", "required"):
                names = member.get(keyword)
                properties.update(dict.fromkeys(names if isinstance(names, Mapping | list) else (), True))
        own = node.get("properties")
        if isinstance(own, Mapping):
            properties.update(own)
        return {**node, "properties": properties, "additionalProperties": False}

    def in_place(
        self, node: Any, in_alternative: bool = False, seen: frozenset[str] = frozenset()
    ) -> Iterator[tuple[Mapping[str, Any], bool]]:
        """`node` first, then every schema that applies to the same value, and whether it is one of alternatives."""
        if not isinstance(node, Mapping):
            return
        yield node, in_alternative
        reference = node.get("$ref")
        if isinstance(reference, str) and reference.startswith("#") and reference not in seen:
            yield from self.in_place(self.resolve(reference, self.param), in_alternative, seen | {reference})
        for keyword in ("allOf", "anyOf", "oneOf"):
            options = node.get(keyword)
            for option in options if isinstance(options, list) else ():
                yield from self.in_place(option, in_alternative or keyword != "allOf", seen)

    # Objects ---------------------------------------------------------------------------------------------------------

    def object_keywords(self, node: Mapping[str, Any], path: str, depth: int, close: bool) -> JSONObject:
        properties = self.members(node, "properties", path, depth)
        patterns = {
            self.pattern(pattern, f"{path}.patternProperties.{pattern}"): schema
            for pattern, schema in self.members(node, "patternProperties", path, depth).items()
        }
        required = node.get("required", [])
        if not isinstance(required, list) or any(not isinstance(name, str) for name in required):
            raise SchemaError("'required' must be an array of property names.", f"{path}.required")
        additional: Normal | None = None
        if "additionalProperties" in node:
            additional = self.schema(node["additionalProperties"], f"{path}.additionalProperties", depth + 1, True)
        unevaluated = node.get("unevaluatedProperties")
        if unevaluated not in (None, True) and (unevaluated is not False or not close and additional is not False):
            raise SchemaError("This 'unevaluatedProperties' cannot be enforced.", f"{path}.unevaluatedProperties")
        if "propertyNames" in node and not _any_name(node["propertyNames"]):
            if properties or patterns:
                raise SchemaError("'propertyNames' beside properties cannot be enforced.", f"{path}.propertyNames")
            value: Normal = {} if additional is None else additional
            properties, patterns = self.named(node["propertyNames"], value, f"{path}.propertyNames")
            additional = False
        declares = "properties" in node and unevaluated is None or unevaluated is False
        if additional is None and close and declares:
            properties |= {name: {} for name in required if name not in properties}
            additional = False
        out: JSONObject = {}
        if properties:
            out["properties"] = properties
        if patterns:
            out["patternProperties"] = patterns
        if additional is not None:
            out["additionalProperties"] = additional
        if required:
            out["required"] = list(dict.fromkeys(required))
        return out | self.property_counts(node, path, out)

    def members(self, node: Mapping[str, Any], keyword: str, path: str, depth: int) -> dict[str, Normal]:
        members = node.get(keyword, {})
        if not isinstance(members, Mapping):
            raise SchemaError(f"{keyword!r} must be an object of schemas.", f"{path}.{keyword}")
        return {
            name: self.schema(member, f"{path}.{keyword}.{name}", depth + 1, True) for name, member in members.items()
        }

    def named(self, names: Any, value: Normal, path: str) -> tuple[dict[str, Normal], dict[str, Normal]]:
        """The properties and pattern properties that `propertyNames` amounts to where nothing else is declared."""
        limits = _constraints(names) - {"type"} if isinstance(names, Mapping) else set()
        if limits == {"enum"} and isinstance(names["enum"], list):
            return {name: value for name in names["enum"] if isinstance(name, str)}, {}
        if limits == {"pattern"}:
            return {}, {self.pattern(names["pattern"], f"{path}.pattern"): value}
        raise SchemaError("Only an 'enum' or a 'pattern' of property names can be enforced.", path)

    def property_counts(self, node: Mapping[str, Any], path: str, out: JSONObject) -> JSONObject:
        counts = self.counts(node, "minProperties", "maxProperties", path)
        closed = out.get("additionalProperties") is False and "patternProperties" not in out
        least, required = counts.get("minProperties", 0), len(out.get("required", ()))
        if least <= required:
            counts.pop("minProperties", None)
        elif not closed and least > required + 1:
            raise SchemaError("More than one undeclared property cannot be counted.", f"{path}.minProperties")
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
        if not isinstance(first, list):
            raise SchemaError("'prefixItems' must be an array of schemas.", f"{path}.prefixItems")
        out: JSONObject = {}
        if first:
            out["prefixItems"] = [
                self.schema(item, f"{path}.{first_name}[{i}]", depth + 1, True) for i, item in enumerate(first)
            ]
        if others is not None:
            out["items"] = self.schema(others, f"{path}.{others_name}", depth + 1, True)
        out |= self.counts(node, "minItems", "maxItems", path)
        most = min(out.get("maxItems", MAX_COUNT), len(first) if out.get("items") is False else MAX_COUNT)
        if node.get("uniqueItems", False) is not False and most > 1:
            raise SchemaError("'uniqueItems' cannot be enforced.", f"{path}.uniqueItems")
        return out

    def string_keywords(self, node: Mapping[str, Any], path: str, all_of: list[Normal]) -> JSONObject:
        """The keywords of strings; a second pattern goes to `all_of`."""
        out = self.counts(node, "minLength", "maxLength", path)
        if "pattern" in node:
            out["pattern"] = self.pattern(node["pattern"], f"{path}.pattern")
        name = node.get("format")
        if name is None:
            return out
        if not isinstance(name, str):
            raise SchemaError("'format' must be a string.", f"{path}.format")
        if name in UNENFORCED_FORMATS:
            raise SchemaError(f"The format {name!r} cannot be enforced.", f"{path}.format")
        expression = FORMATS.get(name)
        if expression is None:
            return out | ({"format": name} if name in FORMATS else {})
        if "pattern" in out:
            all_of.append({"pattern": expression})
        return {"pattern": expression} | out

    def pattern(self, pattern: Any, path: str) -> str:
        if not isinstance(pattern, str):
            raise SchemaError("A pattern must be a string.", path)
        try:
            return translate(pattern)
        except ValueError as error:
            raise SchemaError(f"The pattern {pattern!r} cannot be enforced: {error}.", path) from error


def _constraints(node: Mapping[str, Any]) -> set[str]:
    return {key for key in node if key in ENFORCED} - MODIFIERS


def _count(node: Mapping[str, Any], keyword: str, path: str) -> int | None:
    value = node.get(keyword)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value != int(value):
        raise SchemaError(f"{keyword!r} must be a non-negative integer.", f"{path}.{keyword}")
    return int(value)


def _any_name(names: Any) -> bool:
    """Whether `propertyNames` says no more than that names are strings, as zod writes it."""
    if not isinstance(names, Mapping):
        return names is True
    return _constraints(names) <= {"type"} and names.get("type", "string") == "string"


def _requires_one_name(option: Any) -> bool:
    if not isinstance(option, Mapping) or _constraints(option) != {"required"}:
        return False
    required = option["required"]
    return isinstance(required, list) and len(required) == 1 and isinstance(required[0], str)


def _nested_ids(node: Any, at_root: bool = True) -> Iterator[str]:
    """Identifiers below the root, which would give references below them another base."""
    if isinstance(node, Mapping):
        identifier = node.get("$id")
        if not at_root and isinstance(identifier, str) and not identifier.startswith("#"):
            yield identifier
        for value in node.values():
            yield from _nested_ids(value, False)
    elif isinstance(node, list):
        for value in node:
            yield from _nested_ids(value, False)
