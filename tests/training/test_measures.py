"""Units of parameters, and quantities as people say them."""

from __future__ import annotations

import random
import re

import pytest

from training.data.measures import FORMS, quantity, unit_forms, without_unit


@pytest.mark.parametrize(
    ("name", "description", "first"),
    [
        ("mass_kg", "", "kilograms"),
        ("distance", "The distance in kilometers.", "kilometers"),
        ("length", "Length (cm) of the bar", "centimeters"),
        ("length", "Length (m)", "meters"),
        ("speed", "Speed in meters per second", "meters per second"),
        ("durationMinutes", "", "minutes"),
        ("rate", "The rate in percent", "percent"),
        ("temperature", "in the Kelvin scale", "K"),
        ("count", "How many there are in a box", None),
        ("year", "The year", None),
        ("min", "The least", None),
        ("x", "", None),
    ],
)
def test_the_unit_of_a_parameter(name: str, description: str, first: str | None) -> None:
    assert unit_forms(name, description)[:1] == ((first,) if first else ())


def test_quantities_begin_with_their_number() -> None:
    rng = random.Random(0)
    for forms in FORMS.values():
        for number in ("5", "2.5", "1,200", "twelve"):
            said = quantity(number, forms, rng)
            assert re.fullmatch(rf"{re.escape(number)} ?({'|'.join(map(re.escape, forms))})", said)
            assert number != "twelve" or said.startswith("twelve ")


def test_a_name_loses_its_unit() -> None:
    assert without_unit(["mass", "kg"]) == ["mass"]
    assert without_unit(["minutes"]) == []
    assert without_unit(["launch", "year"]) == ["launch", "year"]
    assert without_unit([]) == []
