"""Numeric keywords and constants, so written that the engine reads them exactly or more strictly.

It reads bounds as doubles, fractions correctly to 15 digits and 22 places, and prints doubles in their shortest form.
It keeps integers in 64 bits, steps over an excluded integer by adding 1.0, and admits an excluded integer where the
other bound is less than 1 away.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Set
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import Any

from model.errors import SchemaError
from model.schema.record import Noting

MAX_MULTIPLE = 10_000
MAX_BOUND = 2.0**63 - 1024  # the largest double below 2**63
EXACT = 2**53
DIGITS = 15
MIN_EXPONENT = -22
_SIDES = (("minimum", "exclusiveMinimum", -1), ("maximum", "exclusiveMaximum", 1))


def number_keywords(
    node: Mapping[str, Any], path: str, types: Set[str], alone: bool, noting: Callable[[str], Noting]
) -> dict[str, Any]:
    """The numeric keywords of `node`, which admits `types`; `alone` when no other schema applies to the same value.

    Raises SchemaError when one is malformed or cannot be enforced, or when they contradict each other, each inside a
    `noting` of the keyword at fault.
    """
    integers = alone and "number" not in types
    out: dict[str, Any] = {}
    for keyword, excluding, sign in _SIDES:
        bound, excluded = node.get(keyword), node.get(excluding)
        if isinstance(excluded, bool):  # draft 4
            bound, excluded = (None, bound) if excluded else (bound, None)
        if bound is not None:
            with noting(keyword):
                out[keyword] = _inward(bound, sign, integers, f"{path}.{keyword}")
        if excluded is not None:
            with noting(excluding):
                out[excluding] = _inward(excluded, sign, integers, f"{path}.{excluding}")
    low = max(out.get("minimum", -math.inf), out.get("exclusiveMinimum", -math.inf))
    high = min(out.get("maximum", math.inf), out.get("exclusiveMaximum", math.inf))
    if low > high:
        keyword = "minimum" if "minimum" in node else "exclusiveMinimum"
        with noting(keyword):
            raise SchemaError(f"No number is at least {low} and at most {high}.", f"{path}.{keyword}")
    for keyword, excluding, sign in _SIDES:
        limit = out.get(excluding)
        if limit is None or not float(limit).is_integer():
            continue
        if abs(limit) >= EXACT or not integers and (not alone or high - low < 1):
            del out[excluding]
            included = _next_inward(limit, sign, integers)
            out[keyword] = (min if sign > 0 else max)(out.get(keyword, included), included)
    if "multipleOf" in node:
        with noting("multipleOf"):
            out["multipleOf"] = _multiple(node["multipleOf"], f"{path}.multipleOf")
            if not alone:
                raise SchemaError(
                    "'multipleOf' in or beside combined schemas cannot be enforced.", f"{path}.multipleOf"
                )
            if out["multipleOf"] % 1 and high - low < 10 * out["multipleOf"]:
                raise SchemaError(
                    "A fractional 'multipleOf' in so narrow a range cannot be enforced.", f"{path}.multipleOf"
                )
    return out


def _inward(value: Any, sign: int, integers: bool, path: str) -> int | float:
    """The bound, or the nearest stricter one that is read exactly. `sign` is 1 for an upper bound, -1 for a lower."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SchemaError("A bound must be a number.", path)
    if sign * value < -MAX_BOUND:
        raise SchemaError(f"Numbers beyond {MAX_BOUND:.0f} are not generated.", path)
    value = max(-MAX_BOUND, min(MAX_BOUND, value))
    near = float(value)
    if near.is_integer() and (integers or abs(near) < EXACT):
        return int(math.nextafter(near, -sign * math.inf) if sign * near > sign * value else near)
    inward = Context(prec=DIGITS, rounding=ROUND_FLOOR if sign > 0 else ROUND_CEILING)
    exact = inward.create_decimal(repr(value))
    if _exponent(exact) < MIN_EXPONENT:
        exact = exact.quantize(Decimal(1).scaleb(MIN_EXPONENT), context=inward)
    return int(exact) if exact == exact.to_integral_value() else float(exact)


def _next_inward(limit: int | float, sign: int, integers: bool) -> int | float:
    """A bound that may be included where the integral `limit` may not."""
    if integers:  # and so large that doubles are further apart than integers
        return int(math.nextafter(limit, -sign * math.inf))
    exact = Decimal(limit)
    step = Decimal(1).scaleb((exact.adjusted() if limit else 0) + 1 - DIGITS)
    return float(exact - sign * step)


def _multiple(value: Any, path: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise SchemaError("'multipleOf' must be a number above 0.", path)
    if significant(value) > MAX_MULTIPLE or _exponent(Decimal(repr(value)).normalize()) < -9:
        raise SchemaError(f"A 'multipleOf' with significant digits above {MAX_MULTIPLE} cannot be enforced.", path)
    return value


def significant(multiple: int | float) -> int:
    """The digits of a number without its decimal point: the remainders that a `multipleOf` has to tell apart."""
    exact = Decimal(repr(multiple)).normalize()
    return int(exact.scaleb(-min(_exponent(exact), 0)))


def _exponent(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)  # finite, for the schema is JSON
    return exponent


def constant(value: Any, path: str) -> Any:
    """`value` so spelt that the grammar writes it; raises SchemaError when it would write another, or none."""
    if isinstance(value, str):
        if any(character < " " and character not in "\b\f\n\r\t" or character == "\x7f" for character in value):
            raise SchemaError("A constant holds a control character that cannot be written.", path)
    elif isinstance(value, list):
        return [constant(item, f"{path}[{i}]") for i, item in enumerate(value)]
    elif isinstance(value, Mapping):
        return {key: constant(item, f"{path}.{key}") for key, item in value.items()}
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if abs(value) > MAX_BOUND:
            raise SchemaError(f"Numbers beyond {MAX_BOUND:.0f} are not generated.", path)
        if value == int(value):
            value, exact = int(value), int(float(value)) == value
        else:
            decimal = Decimal(repr(value)).normalize()
            exact = len(decimal.as_tuple().digits) <= DIGITS and _exponent(decimal) >= MIN_EXPONENT
        if not exact:
            raise SchemaError(f"The constant {value} cannot be written exactly.", path)
    return value
