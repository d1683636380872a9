"""From the schemas found in the wild to short, valid and plain tool declarations."""

from __future__ import annotations

import html
import re
from typing import Any

from model.types import Tool

MAX_DESCRIPTION = 300
MAX_PARAMETER_DESCRIPTION = 120
MAX_PROPERTIES = 10
TRIMMED_PROPERTIES = 8
MAX_ENUM = 20
_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}
# What a client library fills in, not the one who asks.
_PLUMBING = re.compile(
    r"authorization|api-?version|api_version|x-.*|accept(-.*)?|content-type|user-?agent|if-(none-)?match|host|cookie"
    r"|(api|access|auth|oauth|subscription)[_-]?(key|token)|apikey|appid|app_key|key|\$\.xgafv|prettyprint|quotauser|userip|alt"
    r"|uploadtype|upload_protocol|callback|fields|ocp-apim-.*|client-?request-?id|return-client-request-id",
    re.IGNORECASE,
)
_DOCSTRING_SECTION = re.compile(
    r"\n\s*(Args|Arguments|Parameters|Params|Returns|Raises|Examples?|Usage|Note)s?\s*:.*", re.DOTALL
)


def identifier(text: str) -> str:
    """`text` with everything a function name may not have turned into single underscores."""
    return re.sub(r"_{2,}", "_", re.sub(r"[^a-zA-Z0-9_.-]+", "_", text)).strip("_.-")


def clean_text(text: str, limit: int = MAX_DESCRIPTION) -> str:
    """One plain paragraph of at most `limit` characters, ending at a sentence or a word."""
    text = _DOCSTRING_SECTION.sub("", text)
    text = html.unescape(re.sub(r"<[a-zA-Z/!][^>]*>", " ", html.unescape(text)))
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"(^|\n)\s*(#+|[*+-])\s+", r"\1", text)
    text = re.sub(r"\*\*|__(?=\w)|(?<=\w)__|`+", "", text)
    text = " ".join(text.split())
    if len(text) <= limit:
        return text
    cut = text[: limit + 1]
    sentence = max(cut.rfind(". "), cut.rfind("! "), cut.rfind("? "))
    if sentence >= limit // 4:
        return cut[: sentence + 1]
    return cut[: max(cut.rfind(" "), 1)].rstrip(" ,;:-(")


def clean_tool(name: str, description: str, schema: dict[str, Any]) -> Tool | None:
    """A tool in the common form, or None when it has no usable name, description or parameters."""
    name, description = identifier(name), clean_text(description)
    if not _NAME.fullmatch(name) or not _usable(description, name):
        return None
    parameters = _clean_object(schema, depth=0)
    return None if parameters is None else Tool(name, description, parameters)


def _usable(description: str, name: str) -> bool:
    """English prose that says more than the name: the pools hold empty, deprecated and foreign texts, too."""
    plain = sum(character.isascii() for character in description)
    return (
        len(description) >= 12
        and len(description.split()) >= 2
        and plain >= 0.97 * len(description)
        and description != name
        and not re.search(r"\bdeprecated\b", description, re.IGNORECASE)
    )


def _clean_object(schema: dict[str, Any], depth: int) -> dict[str, Any] | None:
    """An object schema with at most `MAX_PROPERTIES` properties; None when a required one cannot be expressed."""
    required = [name for name in schema.get("required") or [] if isinstance(name, str)]
    properties: dict[str, Any] = {}
    for name, spec in (schema.get("properties") or {}).items():
        if _PLUMBING.fullmatch(name):
            continue
        cleaned = _clean_property(spec, depth) if _NAME.fullmatch(name) else None
        if cleaned is not None:
            properties[name] = cleaned
        elif name in required:
            return None
    required = [name for name in dict.fromkeys(required) if name in properties]
    if len(required) > MAX_PROPERTIES:
        return None
    if len(properties) > MAX_PROPERTIES:
        optional = [name for name in properties if name not in required]
        keep = {*required, *optional[: max(0, TRIMMED_PROPERTIES - len(required))]}
        properties = {name: spec for name, spec in properties.items() if name in keep}
    return {"type": "object", "properties": properties, "required": required}


def _clean_property(spec: Any, depth: int) -> dict[str, Any] | None:
    if not isinstance(spec, dict):
        return None
    # Optional[X], as pydantic writes it.
    choices = [choice for choice in spec.get("anyOf") or spec.get("oneOf") or [] if choice.get("type") != "null"]
    if choices:
        spec = {**choices[0], **{key: spec[key] for key in ("description", "default") if key in spec}}
    kind = spec.get("type") or ("object" if "properties" in spec else "string")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "string")
    if "$ref" in spec or not isinstance(kind, str) or kind not in _TYPES:
        return None
    result: dict[str, Any] = {"type": kind}
    description = clean_text(str(spec.get("description") or ""), MAX_PARAMETER_DESCRIPTION)
    if description:
        result["description"] = description
    if kind == "array":
        result["items"] = _clean_property(spec.get("items") or {"type": "string"}, depth + 1)
        if result["items"] is None:
            return None
    elif kind == "object":
        nested = _clean_object(spec, depth + 1) if depth < 2 else None
        # An object of which nothing is known cannot be filled from a request.
        if nested is None or not nested["properties"]:
            return None
        result |= nested
    values = [value for value in spec.get("enum") or [] if _is(value, kind)]
    if 0 < len(values) <= MAX_ENUM:
        result["enum"] = list(dict.fromkeys(values)) if kind == "string" else values
    default = _coerced(spec.get("default"), kind)
    if default is not None and ("enum" not in result or default in result["enum"]):
        result["default"] = default
    return result


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _coerced(value: Any, kind: str) -> Any:
    """A default in the declared type, or None: many specs write every default as a string."""
    if kind in ("array", "object"):
        return None
    if isinstance(value, str) and kind != "string":
        text = value.strip().lower()
        if kind == "boolean":
            return {"true": True, "false": False}.get(text)
        try:
            return int(text) if kind == "integer" else float(text)
        except ValueError:
            return None
    return value if _is(value, kind) and value != "" else None
