"""Which parameter a token belongs to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.parameters import NO_PARAMETER, ParameterTracker, parameter_keys
from model.prompt import dumps
from model.tokenizer import Tokenizer

TOKENIZER = Tokenizer.load(Path(__file__).parents[2] / "model" / "artifact" / "tokenizer.json")


def written(arguments: dict[str, Any], names: list[str]) -> dict[int, str]:
    """The text of the tokens that belong to each parameter."""
    ids = TOKENIZER.encode(dumps(arguments))
    found: dict[int, list[int]] = {}
    tracker = ParameterTracker(TOKENIZER, parameter_keys(names, TOKENIZER))
    for token in ids:  # one by one, as serving may feed them
        [number] = tracker.feed([token])
        found.setdefault(number, []).append(token)
    return {number: TOKENIZER.decode(tokens) for number, tokens in found.items()}


def test_from_the_end_of_its_key_to_the_end_of_its_value() -> None:
    found = written({"city": "New York", "days": 3}, ["city", "days"])
    assert found == {NO_PARAMETER: '{"city,"days}', 0: '":"New York"', 1: '":3'}


def test_numbers_are_those_of_the_declaration() -> None:
    assert written({"b": 1}, ["a", "b"])[1] == '":1'


def test_a_key_that_is_not_declared_belongs_to_none() -> None:
    assert written({"other": "city", "city": "Rome"}, ["city"]) == {
        NO_PARAMETER: '{"other":"city","city}',
        0: '":"Rome"',
    }


def test_what_is_inside_belongs_to_the_outer_one() -> None:
    arguments = {"filter": {"city": "Rome", "tags": ["a", {"days": 1}]}, "days": 2}
    found = written(arguments, ["city", "days", "filter"])
    assert found[2] == '":{"city":"Rome","tags":["a",{"days":1}]}'
    assert found[1] == '":2'
    assert 0 not in found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=6) | st.sampled_from(['"', "\\", 'a\\"', "{,", "x: y"]), JSON, max_size=4))
def test_any_object(arguments: dict[str, Any]) -> None:
    """Quotes, backslashes, brackets and commas inside strings end nothing."""
    found = written(arguments, list(arguments))
    for number, value in enumerate(arguments.values()):
        assert found[number].lstrip(" ") == '":' + dumps(value)  # a quote may share its token with the space before it


@pytest.mark.parametrize("name", ["city", "a_b", "käse", 'say "x"', "two words", "trailing ", " ", ""])
def test_a_key_is_known_however_it_is_spelt(name: str) -> None:
    assert written({name: 1}, [name])[0].lstrip(" ") == '":1'
