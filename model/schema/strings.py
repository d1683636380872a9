"""Lengths, patterns and formats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from model.errors import SchemaError
from model.schema import limits
from model.schema.patterns import FORMATS, UNENFORCED_FORMATS, translate
from model.schema.reading import count
from model.schema.record import Record


def string_keywords(
    node: Mapping[str, Any], path: str, record: Record, ledger: limits.Ledger
) -> tuple[dict[str, Any], list[Any]]:
    """The keywords of strings, and what another pattern beside `pattern` makes necessary in `allOf`."""
    out = counts(node, "minLength", "maxLength", path, record)
    more: list[Any] = []
    if "pattern" in node:
        with record.noting(path, "pattern"):
            out["pattern"] = pattern(node["pattern"], f"{path}.pattern", ledger)
    if "format" not in node:
        return out, more
    with record.noting(path, "format"):
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
                more.append({"pattern": expression})
            else:
                out["pattern"] = expression
    return out, more


def pattern(expression: Any, path: str, ledger: limits.Ledger) -> str:
    """`expression` as the engine reads it. Raises SchemaError where that is not possible."""
    if not isinstance(expression, str):
        raise SchemaError("A pattern must be a string.", path)
    try:
        translated = translate(expression)
    except ValueError as error:
        shown = expression if len(expression) <= 60 else f"{expression[:57]}..."
        raise SchemaError(f"The pattern {shown!r} cannot be enforced: {error}.", path) from error
    message = "The patterns of the schema have more than {most} characters."
    ledger.spend("characters", len(expression), limits.MAX_PATTERN_CHARACTERS, path, message)
    return translated


def counts(node: Mapping[str, Any], least: str, most: str, path: str, record: Record) -> dict[str, Any]:
    """The two bounds of a length, checked against each other and against what can be generated at all."""
    if least not in node and most not in node:
        return {}
    low = high = None
    with record.noting(path, least):
        low = count(node, least, path)
    with record.noting(path, most):
        high = count(node, most, path)
    with record.noting(path, least):
        if low is not None and high is not None and low > high:
            raise SchemaError(f"{least!r} exceeds {most!r}, so no value is allowed.", f"{path}.{least}")
        if low is not None and low > limits.MAX_COUNT:
            raise SchemaError(f"{least!r} exceeds {limits.MAX_COUNT}, more than can be generated.", f"{path}.{least}")
    out: dict[str, Any] = {}
    if low:
        out[least] = low
    if high is not None:
        out[most] = min(high, limits.MAX_COUNT)
    return out
