"""The values of a JSON text: their pointers, their places, and what a cut text still has of them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.leaves import leaves
from model.prompt import dumps

KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | KEYS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=12)


def walk(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """The leaves of a parsed value, by recursion."""
    if isinstance(value, dict) and value:
        escaped = {key: key.replace("~", "~0").replace("/", "~1") for key in value}
        return [leaf for key, inner in value.items() for leaf in walk(inner, f"{path}/{escaped[key]}")]
    if isinstance(value, list) and value:
        return [leaf for i, inner in enumerate(value) for leaf in walk(inner, f"{path}/{i}")]
    return [(path, () if isinstance(value, dict | list) else value)]


def plain(value: Any) -> Any:
    """Booleans apart from the numbers that they equal."""
    return ("bool", value) if isinstance(value, bool) else value


@settings(deadline=None)
@given(VALUES, st.booleans())
def test_all_leaves_with_their_pointers(value: Any, compact: bool) -> None:
    text = dumps(value) if compact else json.dumps(value, indent=2)
    found = list(leaves(text))
    parsed = json.loads(text, parse_float=Decimal)
    assert [(leaf.path, plain(leaf.value)) for leaf in found] == [(path, plain(leaf)) for path, leaf in walk(parsed)]


@settings(deadline=None)
@given(VALUES)
def test_a_leaf_is_written_at_its_place(value: Any) -> None:
    text = dumps(value)
    for leaf in leaves(text):
        written = text[leaf.start : leaf.end]
        if leaf.value == ():
            assert written in ("[]", "{}")
        elif isinstance(leaf.value, str):
            assert text[leaf.start - 1] == text[leaf.end] == '"'
            assert json.loads(f'"{written}"') == leaf.value
        else:
            assert json.loads(written, parse_float=Decimal) == leaf.value


@settings(deadline=None)
@given(VALUES, st.data())
def test_a_cut_text_has_a_beginning_of_its_leaves(value: Any, data: st.DataObject) -> None:
    text = dumps(value)
    whole = list(leaves(text))
    cut = text[: data.draw(st.integers(0, len(text)))]
    found = list(leaves(cut, cut=True))
    assert found == whole[: len(found)]
    complete = [leaf for leaf in whole if leaf.end + 2 <= len(cut)]  # a mark follows, or a quote and a mark
    assert len(found) >= len(complete)


def test_neither_depth_nor_length_is_bounded() -> None:
    deep = "[" * 5_000 + "1" + "]" * 5_000
    assert [leaf.path for leaf in leaves(deep)] == ["/0" * 5_000]
    [long] = leaves("9" * 5_000)  # more digits than Python makes an integer of
    assert long.value == Decimal("9" * 5_000)
    [endless] = leaves("1e" + "9" * 50)
    assert endless.value == Decimal("Infinity")


@pytest.mark.parametrize(
    "text", ["", "{", '{"', '{"a', '{"a"', '{"a":', '{"a":"', '{"a":"b', '{"a":1', '{"a":tru', "["]
)
def test_what_is_not_complete_is_not_there(text: str) -> None:
    assert list(leaves(text, cut=True)) == []
