"""Hypothesis strategies of schemas, and of values that satisfy a schema more often than not."""

from __future__ import annotations

import re
import string
from typing import Any

from hypothesis import strategies as st

from tests.model.conformance import at_the_very_end

NAMES = ("a", "b", "city", "fooBar", "x y", "été", 'q"t')
OTHER_NAMES = ("z", "zz", "x_1", "zebra", "x_2")  # not declared by any schema of these
WORDS = ("", "a", "red", "San Francisco", "<end>", 'say "hi"', "a\\b", "line\nbreak", "日本", "1.5", "null", "\x01")
# Where Python and the engine read alike, whatever the text; test_patterns.py has the rest.
PATTERNS = (
    r"^[a-c]{2,3}$",
    r"b",
    r"^x_",
    r"^(red|green|blue)$",
    r"[0-9]{2}-[0-9]{2}",
    r"^[^a]+$",
    r"^(a|bc)*$",
    r"c$",
    r"^a?b+$",
    r"a.c|^q",
)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-20, 200),
    st.sampled_from([0.5, -2.25, 1e-6, 3.0, 1e20, -0.0, 10**17, 2**62]),
    st.sampled_from(WORDS),
    st.text("abcx_-0 é\n", max_size=4),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES + OTHER_NAMES), inner, max_size=3)
    ),
    max_leaves=4,
)
constants = values.filter(lambda value: not re.search(r"\\x01|\b1e\+20", repr(value)))  # the others can be spelt


# Schemas of one keyword ----------------------------------------------------------------------------------------------

types = st.sampled_from(("null", "boolean", "integer", "number", "string", "array", "object"))
bounds = st.one_of(st.integers(-150, 150), st.sampled_from([-12.5, 0.25, 1e6, -1e-7, 99.999, 10**12, 0.1]))


def typed(kind: str, **keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"type": st.just(kind)}, optional=keywords)


@st.composite
def counted(draw: st.DrawFn, kind: str, least: str, most: str, largest: int = 4) -> dict[str, Any]:
    """A schema with one or both of two bounds on a length."""
    low = draw(st.integers(0, largest))
    out: dict[str, Any] = {"type": kind}
    which = draw(st.sampled_from(("least", "most", "both")))
    if which != "most":
        out[least] = low
    if which != "least":
        out[most] = low + draw(st.integers(0, 2))
    return out


@st.composite
def ranges(draw: st.DrawFn, kind: str = "") -> dict[str, Any]:
    """Numbers between bounds, of either kind, that leave room for at least one."""
    kind = kind or draw(st.sampled_from(("integer", "number")))
    low = draw(bounds)
    high = low + draw(
        st.sampled_from((1, 2, 9, 250, 10**9)) if kind == "integer" else st.sampled_from((0.5, 1, 3, 1e6))
    )
    out: dict[str, Any] = {"type": kind}
    if draw(st.booleans()):
        out[draw(st.sampled_from(("minimum", "exclusiveMinimum")))] = low
    if draw(st.booleans()):
        out[draw(st.sampled_from(("maximum", "exclusiveMaximum")))] = high
    return out


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=3))
    out: dict[str, Any] = {"type": "object", "properties": {name: draw(inner) for name in names}}
    if names and draw(st.booleans()):
        out["required"] = draw(st.lists(st.sampled_from(names), unique=True, max_size=3))
    if draw(st.integers(0, 2)) == 0:
        out["additionalProperties"] = draw(st.one_of(st.booleans(), inner))
    return out


@st.composite
def arrays(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    out = draw(st.one_of(st.just({"type": "array"}), counted("array", "minItems", "maxItems", 2)))
    if draw(st.booleans()):
        out["items"] = draw(inner)
    if draw(st.integers(0, 3)) == 0:
        out["prefixItems"] = draw(st.lists(inner, min_size=1, max_size=2))
    return out


strings = st.one_of(
    typed("string"),
    counted("string", "minLength", "maxLength"),
    typed("string", pattern=st.sampled_from(PATTERNS)),
)
literals = st.one_of(
    st.fixed_dictionaries({"enum": st.lists(constants, min_size=1, max_size=4)}),
    st.fixed_dictionaries({"const": constants}),
)
leaves = st.one_of(
    strings,
    ranges(),
    literals,
    st.builds(lambda multiple: {"type": "integer", "multipleOf": multiple}, st.sampled_from((2, 3, 7, 25))),
    st.builds(lambda kinds: {"type": kinds}, st.lists(types, min_size=1, max_size=3, unique=True)),
    st.sampled_from([True, {}, {"type": "null"}, {"type": "boolean"}]),
)


@st.composite
def tagged(draw: st.DrawFn, inner: st.SearchStrategy[Any], keyword: str = "oneOf") -> dict[str, Any]:
    """Objects told apart by a constant."""
    options = []
    for kind in ("cat", "dog"):
        option = draw(objects(inner))
        option["properties"] = {"kind": {"const": kind}, **option["properties"]}
        option["required"] = ["kind", *option.get("required", [])]
        options.append(option)
    return {keyword: options}


@st.composite
def extended(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    """Objects, or strings, that must satisfy two schemas."""
    if draw(st.booleans()):
        return {"allOf": [draw(objects(inner)), {"type": "object", "properties": {draw(st.sampled_from(NAMES)): True}}]}
    return {"allOf": [draw(strings), draw(counted("string", "minLength", "maxLength"))]}


schemas = st.recursive(
    leaves,
    lambda inner: st.one_of(
        objects(inner),
        objects(inner),
        arrays(inner),
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=2, max_size=3)}),
        tagged(inner),
        extended(inner),
        st.sampled_from([{"$ref": "#/$defs/leaf"}, {"$ref": "#/$defs/node"}]),
    ),
    max_leaves=6,
)


@st.composite
def definitions(draw: st.DrawFn) -> dict[str, Any]:
    """`leaf`, and `node`, which has itself below."""
    node = draw(objects(leaves))
    below = {"$ref": "#/$defs/node"}
    node["properties"]["next"] = draw(st.sampled_from([below, {"type": "array", "items": below}]))
    return {"leaf": draw(leaves), "node": node}


# Values --------------------------------------------------------------------------------------------------------------


@st.composite
def instances(draw: st.DrawFn, schema: Any, defs: Any, depth: int = 0) -> Any:
    """A value that satisfies the schema in most of its parts."""
    if not isinstance(schema, dict) or not schema or depth > 6 or draw(st.integers(0, 11)) == 0:
        return draw(scalars if depth > 3 else values)
    if "$ref" in schema:
        return draw(instances(defs.get(schema["$ref"].removeprefix("#/$defs/"), {}), defs, depth + 1))
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return draw(st.sampled_from(schema["enum"]))
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            value = draw(instances(draw(st.sampled_from(schema[keyword])), defs, depth + 1))
            return _merged(value, draw(_own(schema, defs, depth)))
    if "allOf" in schema:
        value = draw(_own(schema, defs, depth))
        for part in schema["allOf"]:
            value = _merged(value, draw(instances(part, defs, depth + 1)))
        return value
    return draw(_own(schema, defs, depth))


def _merged(a: Any, b: Any) -> Any:
    return {**a, **b} if isinstance(a, dict) and isinstance(b, dict) else a if b is None else b


@st.composite
def _own(draw: st.DrawFn, schema: dict[str, Any], defs: Any, depth: int) -> Any:
    """A value for what a schema says besides its branches."""
    kinds = schema.get("type", _implied(schema))
    kind = draw(st.sampled_from(kinds)) if isinstance(kinds, list) else kinds
    if schema.get("nullable") and draw(st.integers(0, 3)) == 0:
        return None
    if kind == "object":
        return draw(_object(schema, defs, depth))
    if kind == "array":
        return draw(_array(schema, defs, depth))
    if kind == "string":
        return draw(_string(schema))
    if kind in ("integer", "number"):
        return draw(_number(schema, kind))
    if kind == "boolean":
        return draw(st.booleans())
    if kind == "any":
        return draw(values)
    return None


def _implied(schema: dict[str, Any]) -> str | None:
    for names, kind in (
        (("properties", "required", "minProperties", "maxProperties", "additionalProperties"), "object"),
        (("items", "prefixItems", "minItems", "maxItems", "uniqueItems"), "array"),
        (("pattern", "minLength", "maxLength", "format"), "string"),
        (("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), "number"),
    ):
        if any(name in schema for name in names):
            return kind
    return None


@st.composite
def _object(draw: st.DrawFn, schema: dict[str, Any], defs: Any, depth: int) -> dict[str, Any]:
    out: dict[str, Any] = {}
    required = schema.get("required", [])
    for name, part in schema.get("properties", {}).items():
        if draw(st.integers(0, 9)) < (9 if name in required else 4):
            out[name] = draw(instances(part, defs, depth + 1))
    for name in required:
        if name not in out and draw(st.integers(0, 9)) < 8:
            out[name] = draw(scalars)
    if draw(st.integers(0, 2)) == 0:
        others = [*OTHER_NAMES, *NAMES]
        names = schema.get("propertyNames")
        if isinstance(names, dict) and "enum" in names:
            others += [name for name in names["enum"] * 4 if isinstance(name, str)]
        name = draw(st.sampled_from(others))
        part = schema.get("additionalProperties", True)
        patterns = schema.get("patternProperties", {})
        if patterns and draw(st.booleans()):
            pattern, part = draw(st.sampled_from(sorted(patterns.items(), key=lambda item: item[0])))
            name = draw(_matching(pattern))
        out.setdefault(name, draw(instances(part, defs, depth + 1)))
    return out


@st.composite
def _array(draw: st.DrawFn, schema: dict[str, Any], defs: Any, depth: int) -> list[Any]:
    low, high = schema.get("minItems", 0), schema.get("maxItems", schema.get("minItems", 0) + 2)
    length = draw(st.integers(max(0, low - 1), high + 1))
    first, others = schema.get("prefixItems", []), schema.get("items", True)
    if isinstance(others, list):
        first, others = others, schema.get("additionalItems", True)
    return [draw(instances(first[i] if i < len(first) else others, defs, depth + 1)) for i in range(length)]


@st.composite
def _string(draw: st.DrawFn, schema: dict[str, Any]) -> str:
    if "pattern" in schema and draw(st.integers(0, 3)):
        return draw(_matching(schema["pattern"]))
    low, high = schema.get("minLength", 0), schema.get("maxLength", schema.get("minLength", 0) + 3)
    length = draw(st.integers(max(0, low - 1), high + 1))
    return draw(st.text('abcx_-0 é日\n"\\', min_size=length, max_size=length))


def _matching(pattern: str) -> st.SearchStrategy[str]:
    return st.from_regex(at_the_very_end(pattern), alphabet=string.ascii_letters + string.digits + "_- ").map(
        lambda text: text[:12]
    )


@st.composite
def _number(draw: st.DrawFn, schema: dict[str, Any], kind: str) -> int | float:
    edges = [schema[name] for name in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum") if name in schema]
    edges = [edge for edge in edges if not isinstance(edge, bool)] or [0]
    value = draw(st.sampled_from(edges)) + draw(st.sampled_from((0, 0, 1, -1, 2, 5, -7, 40)))
    if "multipleOf" in schema and draw(st.integers(0, 3)):
        value = round(schema["multipleOf"] * draw(st.integers(-50, 50)), 6)
    if kind == "number" and draw(st.booleans()):
        value = round(value + draw(st.sampled_from((0.5, 0.25, -0.125, 1e-6))), 7)
    elif float(value).is_integer():
        value = int(value)
    return value
