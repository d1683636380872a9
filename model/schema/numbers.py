"""Numeric keywords and constants, so written that the engine reads them exactly or more strictly.

It reads bounds as doubles, fractions correctly to 15 digits and 22 places, and prints doubles in their shortest form.
It keeps integers in 64 bits, steps over an excluded integer by adding 1.0, and admits an excluded integer where the
other bound is less than 1 away. It writes as many digits as anybody likes: what is just below an excluded bound may
become the bound itself when a client reads it as a double. So fractions have no excluded bounds here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Set
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import Any

from model.errors import SchemaError
from model.schema.record import Noting

MAX_MULTIPLE = 10_000
MAX_UNWRITTEN = 1_000
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
        if limit is None or integers and not (float(limit).is_integer() and abs(limit) >= EXACT):
            continue
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
            if out["multipleOf"] % 1:
                _keep_to_digits(out)
    return out


def unwritten(keywords: Mapping[str, Any]) -> list[float]:
    """Values that satisfy the numeric keywords, but that the engine would not write; to be added as constants.

    Those whose text is the beginning of a bound's, as 1.4 is of 1.49. (It does write 1.40.) And, between bounds, those
    multiples between -1 and 0 that it wants to write with a zero at the end, as it does multiples of 0.25.
    """
    values: list[Decimal] = []
    for keyword, _, sign in _SIDES:
        bound = keywords.get(keyword)
        if bound is None or sign * bound <= 0:  # then the shorter ones lie beyond it
            continue
        whole, _, fraction = f"{Decimal(repr(bound)):f}".partition(".")
        values += [Decimal(f"{whole}.{fraction[:length]}") for length in range(1, len(fraction))]
    multiple = Decimal(repr(keywords["multipleOf"])) if "multipleOf" in keywords else None
    if multiple is not None and multiple % 1:
        places = -_exponent(multiple.normalize()) - 1
        step = Decimal(1).scaleb(-places)
        values += [-step * count for count in range(1, min(10**places, MAX_UNWRITTEN))]
    low, high = keywords.get("minimum", -math.inf), keywords.get("maximum", math.inf)
    return [
        float(value)
        for value in dict.fromkeys(values)
        if low <= value <= high and value % 1 and not (multiple and value % multiple)
    ]


def _keep_to_digits(out: dict[str, Any]) -> None:
    """Bound the multiples of a fraction: one of more digits than a double holds is none any more when it is read."""
    most = 10 ** (DIGITS + _exponent(Decimal(repr(out["multipleOf"])).normalize()))
    if max(out.get("minimum", -math.inf), out.get("exclusiveMinimum", -math.inf)) < -most:
        out["minimum"] = -most
    if min(out.get("maximum", math.inf), out.get("exclusiveMaximum", math.inf)) > most:
        out["maximum"] = most


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
