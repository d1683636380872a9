"""When a call counts as right: the leaderboard's rules, and ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from training.bfcl import tool_name
from training.scoring import Accepted, Annotated, Fault, matched, right, same_text, same_value

VERDICTS = Path(__file__).parents[1] / "data" / "bfcl_verdicts.json"


def ours(case: dict[str, Any], calls: list[dict[str, Any]]) -> bool:
    """Our verdict on a case of `tests/data/bfcl_verdicts.py`."""
    declared = {f["name"]: f["parameters"] for f in case["functions"]}
    gold = [
        Accepted(tool_name(name), answers, declared[name]["properties"], declared[name]["required"])
        for call in case["gold"]
        for name, answers in call.items()
    ]
    made = [item for call in calls for item in call.items()]
    return matched(gold, made, lambda g, c: g.name == c[0] and not g.faults(c[1]))


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("New York", "new-york", True),
        ("a*b", "A B", True),
        ("x/y.z_^,", "xyz", True),
        ("'x'", '"X"', True),
        ("'x'", "x", False),
        ("Paris", "Pariss", False),
        ("a;b", "ab", False),
        ("1.5", "15", True),  # the leaderboard's rule, odd as it is
        ("été", "ete", False),
    ],
)
def test_same_text(a: str, b: str, same: bool) -> None:
    assert same_text(a, b) == same == same_text(b, a)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (True, True, True),
        (1, "1", False),
        (None, None, True),
        (["A b", 1], ["ab", 1.0], True),
        ([1, 2], [2, 1], False),
        ([1], [1, 1], False),
        ({"k": "A"}, {"k": "a"}, True),
        ({"k": 1}, {"k": 1, "l": 2}, False),
        ({"K": 1}, {"k": 1}, False),
    ],
)
def test_same_value(a: Any, b: Any, same: bool) -> None:
    assert same_value(a, b) is same is same_value(b, a)


def test_verdicts_are_those_of_the_official_checker() -> None:
    """Made by `tests/data/bfcl_verdicts.py`, which compares many more where the official package is at hand."""
    recorded = json.loads(VERDICTS.read_text(encoding="utf-8"))
    verdicts = [(case, calls, verdict) for case in recorded["sets"] for calls, verdict in case["verdicts"]]
    assert recorded["checker"].startswith("bfcl-eval ") and len(verdicts) > 1_000
    assert {verdict for _, _, verdict in verdicts} == {True, False}
    wrong = [(case["gold"], calls, verdict) for case, calls, verdict in verdicts if ours(case, calls) is not verdict]
    assert wrong == []


def point(schema: dict[str, Any], *accepted: Any) -> Accepted:
    return Accepted("f", {"x": accepted}, {"x": schema}, ())


def test_a_number_without_end_is_wrong_and_not_an_error() -> None:
    assert point({"type": "float"}, 1.5).faults({"x": 10**400}) == [Fault("wrong", "x")]


def test_faults_of_an_accepted_call() -> None:
    properties = {name: {"type": "string"} for name in ("city", "unit", "day", "idle")}
    gold = Accepted("f", {"city": ["Oslo"], "unit": ["c", ""], "day": ["", "May 1"]}, properties, ("city", "day"))
    assert gold.faults({"city": "oslo", "day": "may 1"}) == []
    assert gold.faults({"city": "oslo"}) == [Fault("missing", "day")], "required, whatever the answers say"
    found = gold.faults({"unit": "f", "idle": "x", "other": "y", "day": ""})
    assert found == [Fault("missing", "city"), Fault("wrong", "unit"), Fault("extra", "idle"), Fault("extra", "other")]


def test_faults_of_an_annotated_call() -> None:
    gold = Annotated("f", {"city": "New York", "days": 3, "only": {"a": [1, "B"]}})
    assert gold.faults({"city": "new-york", "days": 3.0, "only": {"a": [1.0, "b"]}}) == []
    assert gold.faults({"city": "york", "days": "3", "more": None}) == [
        *(Fault("missing", "only"), Fault("wrong", "city"), Fault("wrong", "days"), Fault("extra", "more"))
    ]


def test_right_needs_names_and_arguments_in_any_order() -> None:
    gold = [Annotated("f", {"x": 1}), Annotated("g", {"x": 2})]
    assert right(gold, [("g", {"x": 2}), ("f", {"x": 1})])
    assert not right(gold, [("g", {"x": 1}), ("f", {"x": 2})])
    assert not right(gold, [("f", {"x": 1})])
    assert not right(gold[:1], [("f", {"x": 1}), ("g", {"x": 2})])
    assert right([], []) and not right([], [("f", {})])


def test_matched_pairs_in_any_order_one_to_one() -> None:
    def equal(a: int, b: int) -> bool:
        return a == b

    assert matched([1, 2], [2, 1], equal)
    assert matched([], [], equal)
    assert not matched([1, 1], [1, 2], equal)
    assert not matched([1], [1, 1], equal)
    assert not matched([1, 1], [1], equal)


def test_matched_takes_the_first_call_that_fits() -> None:
    """As the leaderboard does: the first gold call takes what only the second one could have had."""
    assert matched([{1, 2}, {1}], [2, 1], lambda gold, call: call in gold)
    assert not matched([{1, 2}, {1}], [1, 2], lambda gold, call: call in gold)
