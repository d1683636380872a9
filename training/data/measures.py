"""Units of measure: which one a parameter is in, as its name or description has it, and how people say a quantity."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from training.data.sources.naming import words

# Each unit's names in schemas; those that are said behind a number come first, up to the bar.
_UNITS = """
meters m metres | meter metre
kilometers km kilometres | kilometer kms
centimeters cm | centimeter centimetres
millimeters mm | millimeter
miles | mile
feet ft | foot
inches in | inch
kilograms kg kilos | kilogram kgs
grams g | gram
milligrams mg | milligram
pounds lbs | pound lb
tons | tonnes
liters L litres | liter litre
milliliters ml | milliliter
gallons | gallon
degrees° °C | celsius c
°F | fahrenheit
K kelvin | kelvins
degrees | deg
radians | rad
seconds s sec | second secs
milliseconds ms | millisecond msec millis
minutes min mins | minute
hours h hrs | hour
days | day
weeks | week
months | month
years | year yrs
m/s | mps
km/h kph | kmh
mph
m/s²
newtons N | newton
joules J | joule
watts W | watt
kilowatts kW | kw
kilowatt-hours kWh | kwh
volts V | volt
amperes A amps | ampere amp
ohms Ω | ohm
hertz Hz | hz
pascals Pa | pascal
moles mol | mole
calories kcal | calorie
megabytes MB | mb megabyte
gigabytes GB | gb gigabyte
kilobytes KB | kb kilobyte
bytes | byte
pixels px | pixel
percent % | percentage pct
dollars bucks | dollar usd
euros € | euro eur
"""
_LONG = {  # of several words
    "meters per second": "m/s",
    "kilometers per hour": "km/h",
    "miles per hour": "mph",
    "square meters": "square meters",
    "square feet": "square feet",
    "cubic meters": "cubic meters",
}


def _read_units() -> dict[str, tuple[str, ...]]:
    table: dict[str, tuple[str, ...]] = {}
    for line in _UNITS.strip().splitlines():
        said, _, other = line.partition(" | ")
        forms = tuple(form.replace("degrees°", "degrees Celsius") for form in said.split())
        for name in (*(form.lower() for form in said.split()), *other.split()):
            table.setdefault(name, forms)
    return table


FORMS = _read_units()
# Words that are more often something else than a unit, unless they stand in brackets: "in a", "min", "year".
DOUBTFUL = set("in a c g h j k l m n s v w min foot second minute hour day week month year".split())
IN_UNIT = re.compile(r"\bin (?:the )?([a-z°%/²]+)", re.IGNORECASE)
IN_BRACKETS = re.compile(r"\((?:in )?([a-z°%/²]+)\)", re.IGNORECASE)
_LONG_UNIT = re.compile(rf"\b({'|'.join(_LONG)})\b", re.IGNORECASE)


def unit_forms(name: str, description: str) -> tuple[str, ...]:
    """How the unit of a numeric parameter is said behind a number; () for one of no unit, or of one not known.

    It is that of the name's last word ("mass_kg"), or of a description that says "in kilograms" or "(kg)".
    """
    if long := _LONG_UNIT.search(description):
        return (long.group(1).lower(), _LONG[long.group(1).lower()])
    for found in IN_BRACKETS.findall(description):
        if forms := FORMS.get(found.lower()):
            return forms
    for found in IN_UNIT.findall(description):
        if found.lower() not in DOUBTFUL and (forms := FORMS.get(found.lower())):
            return forms
    last = (words(name) or [""])[-1]
    return FORMS.get(last, ()) if last not in DOUBTFUL else ()


def quantity(number: str, forms: Sequence[str], rng: random.Random) -> str:
    """`number` with its unit: "5 kilograms", "5 kg", "5kg"; the first form is said most."""
    form = forms[0] if rng.random() < 0.55 else rng.choice(forms)
    close = form in ("%", "°C", "°F") or (len(form) <= 2 and number[-1].isdigit() and rng.random() < 0.4)
    return f"{number}{form}" if close and number[-1].isdigit() else f"{number} {form}"


def without_unit(spoken: Sequence[str]) -> list[str]:
    """The words of a parameter's name without the unit at its end: none for one that is but a unit ("minutes")."""
    return list(spoken[:-1]) if spoken and spoken[-1] in FORMS and spoken[-1] not in DOUBTFUL else list(spoken)
