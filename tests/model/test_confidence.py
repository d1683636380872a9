"""From probabilities to a confidence: which features, which model, and for which weights it holds."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.confidence import (
    FEATURES,
    LARGEST_LOGIT,
    VERSION,
    Calibration,
    Kind,
    Logistic,
    answer_features,
    call_features,
    read_calibration,
)
from model.errors import ArtifactError
from model.manifest import FILES, Manifest
from model.types import CallTrace, Message, ToolCall, Trace

SUMS = {name: name for name in FILES}
MODEL = {"weights": {"raw": 1.25}, "bias": -0.5}
STORED = {"version": VERSION, "files": SUMS, "models": {kind: MODEL for kind in FEATURES}}
RAW = Calibration({kind: Logistic({"raw": 1.0}, 0.0) for kind in FEATURES})
ASKED = (Message("user", "Weather in San Francisco?"),)
CALL = ToolCall("get_weather", '{"city":"San Francisco"}')
logs = st.floats(-60.0, 0.0)
traces = st.builds(CallTrace, logs, st.lists(logs, max_size=6).map(tuple))


def manifest(calibration: Any) -> Manifest:
    return Manifest(1, 1, "int8", 26, {"max_positions": 512}, dict(SUMS), {}, calibration)


def trace(*calls: CallTrace, none: float | None = -0.1) -> Trace:
    return Trace(calls, none)


def test_what_is_stored_is_read() -> None:
    stored = json.loads(json.dumps(STORED))
    assert read_calibration(manifest(stored)) == Calibration({kind: Logistic({"raw": 1.25}, -0.5) for kind in FEATURES})
    del stored["models"]["no_call"]
    assert set(read_calibration(manifest(stored)).models) == {"calls", "call"}


@pytest.mark.parametrize("name", FILES)
def test_it_holds_for_its_own_weights_only(name: str) -> None:
    other = {**SUMS, name: "of another file"}
    assert read_calibration(replace(manifest(STORED), files=other)) == Calibration({})
    assert read_calibration(replace(manifest({**STORED, "files": other}), files=other)) != Calibration({})


def test_without_it_or_with_other_features_there_is_none() -> None:
    assert read_calibration(manifest(None)) == Calibration({})
    assert read_calibration(manifest({**STORED, "version": VERSION + 1})) == Calibration({})
    for calls in ((), (CALL,)):
        assert Calibration({}).of_answer(ASKED, calls, trace(CallTrace(-1.0, ())), "stop") is None
        assert Calibration({}).of_answer(ASKED, calls, trace(none=None), "length") is None
    assert Calibration({}).of_call(CallTrace(-1.0, ())) is None


@pytest.mark.parametrize(
    "damage",
    [
        [],
        "x",
        3,
        {},
        {**STORED, "models": None},
        {**STORED, "models": {"call": None}},
        {**STORED, "models": {"call": {"weights": {"raw": "much"}, "bias": 0}}},
        {**STORED, "models": {"call": {"weights": {"raw": 1.0}}}},
        {**STORED, "models": {"call": {"weights": {"raw": math.nan}, "bias": 0.0}}},
        {**STORED, "models": {"call": {"weights": {"count": 1.0}, "bias": 0.0}}},  # a feature, but of another kind
    ],
)
def test_a_damaged_one_is_refused(damage: Any) -> None:
    with pytest.raises(ArtifactError, match="calibration"):
        read_calibration(manifest(damage))


@settings(deadline=None)
@given(traces)
def test_the_raw_score_is_the_product_of_the_probabilities(call: CallTrace) -> None:
    product = math.exp(call.route + sum(call.tokens))
    assert RAW.of_call(call) == pytest.approx(product, abs=1e-6)
    assert RAW.of_answer(ASKED, (CALL,), trace(call), "tool_calls") == RAW.of_call(call)
    assert abs(call_features(call)["raw"]) <= LARGEST_LOGIT


@settings(deadline=None)
@given(traces, traces, st.floats(0.01, 5.0), st.floats(-5.0, 5.0))
def test_a_surer_call_is_never_less_confident(a: CallTrace, b: CallTrace, weight: float, bias: float) -> None:
    calibration = Calibration({"call": Logistic({"raw": weight}, bias)})
    raw = [c.route + sum(c.tokens) for c in (a, b)]
    confidences = [calibration.of_call(c) for c in (a, b)]
    assert None not in confidences and all(0.0 <= c <= 1.0 for c in confidences if c is not None)
    low, high = (0, 1) if raw[0] <= raw[1] else (1, 0)
    assert confidences[low] <= confidences[high]  # type: ignore[operator]


def test_an_answer_without_calls_is_as_likely_as_none() -> None:
    assert RAW.of_answer(ASKED, (), trace(none=math.log(0.8)), "stop") == pytest.approx(0.8)
    assert RAW.of_answer(ASKED, (), trace(none=None), "stop") == 1.0  # no call was allowed
    assert RAW.of_answer(ASKED, (CALL,), trace(CallTrace(-0.1, ()), none=None), "length") == 0.0


def test_a_kind_without_a_model_has_no_confidence() -> None:
    calibration = Calibration({"calls": Logistic({"raw": 1.0}, 0.0)})
    assert calibration.of_answer(ASKED, (), trace(), "stop") is None
    assert calibration.of_call(CallTrace(-1.0, ())) is None
    assert calibration.of_answer(ASKED, (CALL,), trace(CallTrace(-1.0, ())), "tool_calls") is not None


@settings(deadline=None)
@given(traces, st.floats(0.01, 1.0))
def test_a_text_is_judged_as_a_call_where_none_is_right(text: CallTrace, none: float) -> None:
    alone = Trace((), None, text)
    assert RAW.of_answer(ASKED, (), alone, "stop") == RAW.of_call(text)
    behind = RAW.of_answer(ASKED, (), replace(alone, none=math.log(none)), "stop")
    assert behind == pytest.approx(none * math.exp(text.route + sum(text.tokens)), abs=2e-6)
    assert RAW.of_answer(ASKED, (), replace(alone, text=None), "length") == 0.0


@pytest.mark.parametrize("missing", ["call", "no_call"])
def test_a_text_needs_both_models(missing: Kind) -> None:
    calibration = Calibration({kind: model for kind, model in RAW.models.items() if kind != missing})
    assert calibration.of_answer(ASKED, (), Trace((), -0.1, CallTrace(-0.1, ())), "stop") is None


def test_features_of_an_answer_with_calls() -> None:
    calls = (CallTrace(-0.5, (-0.25, -1.0)), CallTrace(-0.25, ()))
    features = answer_features(ASKED, (CALL, CALL), trace(*calls, none=-0.75))
    assert features == {
        "raw": pytest.approx(math.log(math.exp(-2) / (1 - math.exp(-2)))),
        "end": -0.75,
        "least_certain_token": pytest.approx(math.exp(-1.0)),
        "unsupported": 0.0,
        "count": 2.0,
    }
    assert answer_features(ASKED, (CALL,), trace(CallTrace(-0.5, ()), none=None))["end"] == 0.0


@pytest.mark.parametrize("kind", FEATURES)
def test_features_are_those_that_are_named(kind: Kind) -> None:
    calls: tuple[ToolCall, ...] = () if kind == "no_call" else (CALL,)
    one = CallTrace(-0.5, (-0.5,))
    features = call_features(one) if kind == "call" else answer_features(ASKED, calls, trace(one))
    assert tuple(features) == FEATURES[kind]


@pytest.mark.parametrize(
    ("arguments", "unsupported"),
    [
        ({}, 0.0),
        ({"city": "san francisco"}, 0.0),
        ({"city": "Paris"}, 1.0),
        ({"city": "San Francisco", "to": {"names": ["weather", "Anna"]}}, 1.0),
        ({"days": 99, "now": True, "to": None}, 0.0),  # only strings are looked for
        ({"id": "r-17"}, 0.0),  # of an earlier call
    ],
)
def test_strings_that_nobody_said(arguments: dict[str, Any], unsupported: float) -> None:
    earlier = Message("assistant", "", (ToolCall("book", '{"id":"R-17"}'),))
    calls = (ToolCall("f", json.dumps(arguments)),)
    features = answer_features((earlier, *ASKED), calls, trace(CallTrace(-0.1, ())))
    assert features["unsupported"] == unsupported
