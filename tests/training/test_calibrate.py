"""Calibration: on an engine that is wrong as often as a test wants it to be, and on a real one, through the command."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.confidence import read_calibration
from model.errors import SchemaError
from model.manifest import FILES, Manifest
from model.types import CallTrace, Event, Finished, GenerationRequest, Message, Tool, ToolCall, Trace
from tests.conftest import FakeEngine, result
from training.calibrate import FOLDS, Observed, calibrate, clearly_better, fit, observe, split, table, to_manifest
from training.data.example import Call, Example
from training.logistic import sigmoid

TOOLS = (Tool("get_weather"), Tool("get_time"))
PARIS = Call("get_weather", {"city": "Paris"})
SUMS = {name: name for name in FILES}


def example(text: str, *calls: Call, group: str = "g") -> Example:
    return Example("sgd", group, (Message("user", text),), TOOLS, calls)


@pytest.fixture
def engine() -> FakeEngine:
    """Answers with the calls and probabilities that the request spells: [[name, arguments, probability]..., none]."""
    engine = FakeEngine()

    def script(request: GenerationRequest) -> Iterator[Event]:
        text = request.messages[-1].text
        if text == "refuse":
            raise SchemaError("no", "tools[0]")
        *calls, none = json.loads(text)
        answer = result(*(ToolCall(name, json.dumps(a)) for name, a, _ in calls))
        trace = Trace(tuple(CallTrace(math.log(p), ()) for _, _, p in calls), none and math.log(none))
        if not request.tools:
            trace = replace(trace, none=None)
        finish = "length" if none is None else answer.finish_reason
        yield Finished(replace(answer, trace=trace, finish_reason=finish))

    engine.script = script
    return engine


def said(*calls: tuple[str, dict[str, str], float], none: float | None = 0.9) -> str:
    return json.dumps([*calls, none])


WEATHER, TIME = ("get_weather", {"city": "paris"}, 0.5), ("get_time", {"city": "Rome"}, 0.25)


def test_what_is_observed_of_answers_and_calls(engine: FakeEngine) -> None:
    rome = Call("get_time", {"city": "Rome"})
    examples = [
        example(said(WEATHER), PARIS, group="a#3"),
        example(said(TIME, WEATHER), PARIS, rome, group="a#4"),
        example(said(TIME, WEATHER), PARIS, group="b"),
        example(said(none=0.8), group="b"),
        example(said(none=0.8), PARIS, group="b"),
        example("refuse", PARIS),
        example(said(none=None), PARIS),
        replace(example(said(none=0.8)), tools=()),
    ]
    observed, skipped = observe(engine, examples)
    assert skipped == {"refused": 1, "cut": 1, "without tools": 1}
    right = {kind: [(row.right, row.family) for row in rows] for kind, rows in observed.items()}
    assert right == {
        "calls": [(True, "a"), (True, "a"), (False, "b")],
        "call": [(True, "a"), (True, "a"), (True, "a"), (False, "b"), (True, "b")],
        "no_call": [(True, "b"), (False, "b")],
    }
    raw = [sigmoid(np.array(row.features["raw"])) for row in observed["call"]]
    assert raw == pytest.approx([0.5, 0.25, 0.5, 0.25, 0.5])


def boasting(count: int, groups: int = 25, seed: int = 0) -> list[Example]:
    """Requests whose answers are right less often than they claim: log odds are half, and one less."""
    rng = np.random.default_rng(seed)
    examples = []
    for k in range(count):
        odds = rng.normal(1.0, 2.0)
        claimed = float(np.clip(sigmoid(np.array(odds)), 1e-6, 1 - 1e-6))
        right = rng.random() < sigmoid(np.array(0.5 * odds - 1.0))
        if k % 3 == 0:
            examples.append(example(said(none=claimed), *(() if right else (PARIS,)), group=f"g{k % groups}"))
        else:
            gold = PARIS if right else Call("get_weather", {"city": "Rome"})
            examples.append(example(said(("get_weather", {"city": "Paris"}, claimed)), gold, group=f"g{k % groups}"))
    return examples


def test_a_boasting_model_is_found_out(engine: FakeEngine) -> None:
    report = calibrate(engine, boasting(3000))
    stored = json.loads(json.dumps(to_manifest(report, SUMS)))
    manifest = Manifest(1, 1, "int8", 26, {}, dict(SUMS), {}, stored)
    calibration = read_calibration(manifest)
    for kind in ("calls", "no_call", "call"):
        model = calibration.models[kind]  # type: ignore[index]
        assert model.weights["raw"] == pytest.approx(0.5, abs=0.1)
        assert model.bias == pytest.approx(-1.0, abs=0.2)
        measured = stored["held_out"][kind]
        for name in ("brier", "log_loss", "ece"):
            assert measured[name]["calibrated"] < measured[name]["raw"]
        assert measured["ece"]["raw"] > 0.15 > 0.05 > measured["ece"]["calibrated"]
    assert calibration.of_call(CallTrace(math.log(0.5), ())) == pytest.approx(1 / (1 + math.e), abs=0.04)
    assert stored["fitted_on"] == {"requests": 3000, "families": 25, "calls": 2000, "no_call": 1000, "call": 2000}
    assert stored["held_out"]["answer"]["n"] == 3000


def test_thresholds_hold_on_other_requests(engine: FakeEngine) -> None:
    stored = to_manifest(calibrate(engine, boasting(3000)), SUMS)
    fresh, _ = observe(engine, boasting(3000, seed=1))
    rows = [*fresh["calls"], *fresh["no_call"]]
    calibration = read_calibration(Manifest(1, 1, "int8", 26, {}, dict(SUMS), {}, stored))
    p = np.array([calibration.models["calls"].probability(row.features) for row in rows])
    right = np.array([row.right for row in rows])
    threshold = stored["threshold_for"]["0.2"]
    answered = p >= threshold["threshold"]
    assert answered.mean() == pytest.approx(threshold["coverage"], abs=0.04)
    assert 1 - right[answered].mean() <= 0.3
    assert stored["threshold_for"].keys() == {"0.05", "0.1", "0.2"}


def test_folds_never_cut_through_a_family() -> None:
    families = np.random.default_rng(0).integers(0, 17, 400)
    folds = split(families)
    assert all(len(set(folds[families == family])) == 1 for family in range(17))
    assert set(folds) == set(range(FOLDS))
    assert np.bincount(folds).max() < 2 * np.bincount(folds).min()


def rows(count: int, unsupported_matters: bool) -> list[Observed]:
    rng = np.random.default_rng(3)
    made = []
    for k in range(count):
        raw, unsupported = rng.normal(0.0, 1.5), float(rng.random() < 0.4)
        odds = raw - 3.0 * unsupported * unsupported_matters
        features = {
            "raw": raw,
            "end": rng.normal(),
            "least_certain_token": rng.random(),
            "unsupported": unsupported,
            "count": 1.0,
        }
        made.append(Observed(features, bool(rng.random() < sigmoid(np.array(odds))), f"f{k % 20}"))
    return made


def test_more_features_are_taken_when_they_tell_more() -> None:
    told = fit("calls", rows(800, True))
    assert told.chosen == "features"
    assert told.model.weights["unsupported"] < -1.5
    assert told.model.weights["raw"] > 0.5
    silent = fit("calls", rows(800, False))
    assert (silent.chosen, list(silent.model.weights)) == ("scaled", ["raw"])


def test_clearly_better_is_more_than_luck() -> None:
    rng = np.random.default_rng(0)
    right = (rng.random(300) < 0.7).astype(float)
    families = np.arange(300) % 30
    good, bad = np.where(right > 0, 0.8, 0.3), np.full(300, 0.7)
    assert clearly_better(good, bad, right, families)
    assert not clearly_better(bad, good, right, families)
    assert not clearly_better(bad, bad, right, families)
    one_family_only = np.where(families == 0, good, np.full(300, 0.69))
    assert not clearly_better(one_family_only, bad, right, families)


def test_a_raw_score_that_points_the_wrong_way_is_not_used() -> None:
    wrong_way = [replace(row, right=row.features["raw"] < 0) for row in rows(400, False)]
    assert fit("calls", wrong_way).model.weights["raw"] == 0.0


def test_too_few_of_a_kind_get_no_model(engine: FakeEngine) -> None:
    examples = [example(said(WEATHER), PARIS, group=f"g{k % 7}") for k in range(40)]
    report = calibrate(engine, [*examples, example(said(none=0.8))])
    assert set(report.fitted) == {"calls", "call"}
    assert set(to_manifest(report, SUMS)["models"]) == {"calls", "call"}
    assert "answers without: too few" in table(report)
    for few in (examples[:19], [replace(e, group="g") for e in examples], []):
        with pytest.raises(ValueError, match="too few"):
            calibrate(engine, few)


def test_the_table_shows_before_and_after(engine: FakeEngine) -> None:
    text = table(calibrate(engine, [*boasting(600), example("refuse", PARIS)]))
    for piece in ("all answers: raw", "all answers: calibrated", "≤ 5 % wrong", "80 % answered", "1 refused"):
        assert piece in text


def short_requests(count: int) -> list[Example]:
    """Requests for tools whose arguments end soon, whatever random weights want."""
    from tests.artifact import CITIES, PING, tool, user

    switch = tool("switch", "Turn a light on or off.", ("on",), on={"type": "boolean"})
    calls = ((), (Call("ping", {}),), (Call("switch", {"on": True}),))
    return [
        Example("sgd", f"family{k % 8}", user(f"{CITIES[k % len(CITIES)]} {k}"), (PING, switch), calls[k % 3])
        for k in range(count)
    ]


def test_the_command_calibrates_an_artifact(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    from model import load_engine
    from model.manifest import read_manifest
    from tests.artifact import artifact
    from training.cli import calibrate as command
    from training.data.requests import write_requests

    folder, out = tmp_path / "artifact", tmp_path / "pictures" / "new"
    shutil.copytree(artifact(), folder)
    write_requests(tmp_path / "requests.jsonl.gz", short_requests(60))
    options: list[Any] = ["--artifact", folder, "--requests", tmp_path / "requests.jsonl.gz", "--out", out]
    assert command([str(o) for o in [*options, "--threads", 1]]) == 0
    assert "all answers: calibrated" in capsys.readouterr().out
    for name in ("reliability.png", "risk_coverage.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    before, after = read_manifest(artifact()), read_manifest(folder)
    assert replace(after, calibration=None) == before
    assert after.calibration is not None and after.calibration["files"] == before.files
    engine = load_engine(folder, threads=1)
    answers = [engine.generate(GenerationRequest(e.messages, e.tools)) for e in short_requests(60)]
    fitted = after.calibration["models"]
    assert any(a.confidence is not None for a in answers)
    for a in answers:  # of a kind that was too rare to fit there is no confidence
        assert (a.confidence is not None) == (("calls" if a.calls else "no_call") in fitted)
        assert a.confidence is None or 0.0 <= a.confidence <= 1.0


def test_the_command_explains_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    from tests.artifact import artifact
    from training.cli import calibrate as command
    from training.data.requests import write_requests

    folder = tmp_path / "artifact"
    shutil.copytree(artifact(), folder)
    before = (folder / "manifest.json").read_bytes()
    write_requests(tmp_path / "few.jsonl.gz", short_requests(3))
    requests = str(tmp_path / "few.jsonl.gz")
    assert command(["--artifact", str(folder), "--requests", requests, "--out", str(tmp_path / "out")]) == 1
    assert "too few answers" in capsys.readouterr().err
    assert (folder / "manifest.json").read_bytes() == before


def test_an_artifact_replaced_meanwhile_is_left_alone(tmp_path: Path, engine: FakeEngine) -> None:
    from model.manifest import read_manifest, write_manifest
    from model.prompt import FORMAT_VERSION
    from training.calibrate import record

    for name in FILES:
        (tmp_path / name).write_text(name)
    old = write_manifest(tmp_path, prompt_format=FORMAT_VERSION, precision="int8", parameters=1, sizes={}, info={})
    report = calibrate(engine, boasting(300))
    (tmp_path / FILES[0]).write_text("new weights")
    new = write_manifest(tmp_path, prompt_format=FORMAT_VERSION, precision="int8", parameters=1, sizes={}, info={})
    with pytest.raises(ValueError, match="replaced"):
        record(tmp_path, report, old.files)
    assert read_manifest(tmp_path) == new
    record(tmp_path, report, new.files)
    assert set(read_calibration(read_manifest(tmp_path)).models) == {"calls", "no_call", "call"}
