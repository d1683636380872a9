"""Evaluation, on an engine that answers as it is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.errors import SchemaError
from model.types import Event, GenerationRequest, Message, Tool, ToolCall
from tests.conftest import FakeEngine, events, result
from training.data.example import Call, Example
from training.evaluate import evaluate_bfcl, evaluate_requests, table, write_report

TOOLS = (Tool("get_weather", "Weather"), Tool("get_time", "Time"))


def example(text: str, *calls: Call, source: str = "sgd") -> Example:
    return Example(source, "g", (Message("user", text),), TOOLS, calls)


PARIS = Call("get_weather", {"city": "Paris"})
ROME = Call("get_time", {"city": "Rome"})


@pytest.fixture
def engine() -> FakeEngine:
    """Answers each request with the calls that its text spells."""
    engine = FakeEngine()

    def script(request: GenerationRequest) -> Iterator[Event]:
        if request.messages[-1].text == "refuse":
            raise SchemaError("no", "tools[0]")
        calls = [ToolCall(name, json.dumps(a)) for name, a in json.loads(request.messages[-1].text)]
        return events(result(*calls))

    engine.script = script
    return engine


def said(*calls: tuple[str, dict[str, str]]) -> str:
    return json.dumps(calls)


WEATHER, TIME = ("get_weather", {"city": "paris"}), ("get_time", {"city": "Rome"})


@pytest.mark.parametrize(
    ("made", "tool", "exact", "error"),
    [
        (example(said(WEATHER), PARIS), 1, 1, None),
        (example(said(TIME, WEATHER), PARIS, ROME), 1, 1, None),
        (example(said()), 1, 1, None),
        (example(said(("get_weather", {"city": "Rome"})), PARIS), 1, 0, "wrong arguments"),
        (example(said(TIME), PARIS), 0, 0, "wrong tool"),
        (example(said(), PARIS), 0, 0, "missed call"),
        (example(said(WEATHER)), 0, 0, "spurious call"),
        (example(said(WEATHER, WEATHER), PARIS), 0, 0, "too many calls"),
        (example(said(WEATHER), PARIS, PARIS), 0, 0, "too few calls"),
        (example("refuse", PARIS), 0, 0, "refused"),
        (example("refuse"), 0, 0, "refused"),  # not calling is right, refusing to answer is not
    ],
)
def test_one_request(engine: FakeEngine, made: Example, tool: int, exact: int, error: str | None) -> None:
    score = evaluate_requests(engine, [made])["all"]
    assert (score.total, score.tool, score.exact) == (1, tool, exact)
    assert list(score.errors) == ([error] if error else [])
    assert [f["error"] for f in score.failures] == list(score.errors)


def test_scores_by_source(engine: FakeEngine, tmp_path: Path) -> None:
    made = [example(said(WEATHER), PARIS), example(said(), ROME, source="snips"), example(said()), example(said(TIME))]
    scores = evaluate_requests(engine, made)
    assert {name: (s.total, s.exact) for name, s in scores.items()} == {
        "all": (4, 2),
        "sgd": (1, 1),
        "snips": (1, 0),
        "irrelevant": (2, 1),
    }
    assert "irrelevant" in table(scores) and "missed call 1" in table(scores)
    write_report(tmp_path / "report.json", scores)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["all"]["exact"] == 0.5
    assert report["snips"]["failures"][0]["gold"] == [["get_time", {"city": "Rome"}]]


def test_bfcl(engine: FakeEngine, tmp_path: Path) -> None:
    (tmp_path / "possible_answer").mkdir()
    functions = [{"name": "get.weather", "description": "", "parameters": {"type": "dict", "properties": {}}}]
    texts = [said(WEATHER), said(("get_weather", {"city": "Rome"})), "refuse"]
    rows = [
        {"id": str(k), "question": [[{"role": "user", "content": text}]], "function": functions}
        for k, text in enumerate(texts)
    ]
    answers = [
        {"id": str(k), "ground_truth": [{"get.weather": {"city": ["Paris"], "unit": ["c", ""]}}]} for k in range(3)
    ]
    for path, content in (
        ("BFCL_v4_multiple.json", rows),
        ("possible_answer/BFCL_v4_multiple.json", answers),
        ("BFCL_v4_irrelevance.json", rows),
    ):
        (tmp_path / path).write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    scores = evaluate_bfcl(engine, tmp_path, ("multiple", "irrelevance"))
    assert (scores["multiple"].total, scores["multiple"].tool, scores["multiple"].exact) == (3, 2, 1)
    assert (scores["irrelevance"].tool, scores["irrelevance"].errors) == (0, {"spurious call": 2, "refused": 1})
