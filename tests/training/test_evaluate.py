"""`bodkin eval`, on engines that answer as they are told."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model.types import Event, GenerationRequest, Message, ToolCall
from tests.conftest import FakeEngine, events, result
from tests.training.evaluation.requests import TIME, WEATHER, Call, said, spelling_engine
from tests.training.evaluation.test_retrieval import Words, count_words
from training import cli, evaluate
from training.data.example import Call as GoldCall
from training.data.example import Example
from training.data.requests import write_requests
from training.evaluation import retrieval

PARIS: Call = ("get_weather", {"city": "Paris"})
ROME: Call = ("get_time", {"city": "Rome"})


def always_paris() -> FakeEngine:
    engine = FakeEngine()

    def script(request: GenerationRequest) -> Iterator[Event]:
        return events(result(ToolCall("get_weather", '{"city":"Paris"}')))

    engine.script = script
    return engine


@pytest.fixture
def artifacts(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """What is written into the manifests of the artifacts "spells" and "paris"."""
    engines = {"spells": spelling_engine, "paris": always_paris}
    recorded: dict[str, dict[str, Any]] = {}
    monkeypatch.setattr(evaluate, "load_engine", lambda folder, threads: engines[folder.name]())
    monkeypatch.setattr(evaluate, "load_encoder", lambda folder, threads: (Words(), count_words, 100))
    monkeypatch.setattr(evaluate, "add_info", lambda folder, info: recorded.setdefault(folder.name, info))
    monkeypatch.setattr(retrieval, "SIZES", (2, 3))
    monkeypatch.delenv("BODKIN_EVAL_DIR", raising=False)
    monkeypatch.setattr(cli, "SHARDS", Path("nowhere"))
    return recorded


@pytest.fixture
def requests(tmp_path: Path) -> Path:
    """Three requests: one answered rightly, one with a wrong value, one without a call and rightly so."""

    def example(answered: list[Call], source: str, *gold: Call) -> Example:
        calls = tuple(GoldCall(name, arguments) for name, arguments in gold)
        return Example(source, f"{source}:x", (Message("user", said(*answered)),), (WEATHER, TIME), calls)

    path = tmp_path / "held.jsonl.gz"
    oslo: Call = ("get_weather", {"city": "Oslo"})
    write_requests(path, [example([PARIS], "sgd", PARIS), example([oslo], "snips", PARIS), example([], "sgd")])
    return path


@pytest.fixture
def bfcl(tmp_path: Path) -> Path:
    """One question of each of two categories."""
    folder = tmp_path / "bfcl"
    (folder / "possible_answer").mkdir(parents=True)
    parameters = {"type": "dict", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    functions = [{"name": "get.time", "description": "Time", "parameters": parameters}]
    for category in ("simple_python", "irrelevance"):
        question = {"id": category, "question": [[{"role": "user", "content": said(ROME)}]], "function": functions}
        (folder / f"BFCL_v4_{category}.json").write_text(json.dumps(question) + "\n", encoding="utf-8")
    answer = {"id": "simple_python", "ground_truth": [{"get.time": {"city": ["Roma", "ROME"]}}]}
    (folder / "possible_answer" / "BFCL_v4_simple_python.json").write_text(json.dumps(answer) + "\n", encoding="utf-8")
    return folder


def test_everything_at_once(
    artifacts: dict[str, Any], requests: Path, bfcl: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = {name: tmp_path / "out" / name for name in ("card.md", "failures.html", "report.json")}
    arguments = ["--artifact", "spells", "--requests", str(requests), "--bfcl", str(bfcl), "--compare", "paris"]
    arguments += ["--categories", "simple_python", "irrelevance", "--record"]
    arguments += ["--markdown", str(out["card.md"]), "--failures", str(out["failures.html"])]
    assert cli.evaluate([*arguments, "--report", str(out["report.json"])]) == 0
    printed, progress = capsys.readouterr()
    assert [line.split(" (")[0] for line in printed.splitlines() if re.match(r"\w+.* \(", line)] == [
        *("Scores", "Errors", "Retrieval", "Exact answers of A, spells, and B, paris")
    ]
    assert re.search(r"^held/all +3 +100.0 +\S+ +66.7 ", printed, re.MULTILINE)
    assert re.search(r"^held/all +3 +66.7 +66.7 +\+0.0 +1 +1 +1.000$", printed, re.MULTILINE)
    assert re.search(r"^held +2 +2 ", printed, re.MULTILINE)
    assert f"{out['failures.html']}: 2 failures to read" in printed
    assert "held: 100%" in progress and "bfcl/irrelevance: 100%" in progress
    card = out["card.md"].read_text(encoding="utf-8")
    assert "| bfcl/simple_python | 1 | 100.0 |" in card and "| held | 2 | 2 |" in card
    report = json.loads(out["report.json"].read_text(encoding="utf-8"))
    assert report["held/snips"]["failures"][0]["errors"] == ["wrong string"]
    assert (
        report["comparison"]["held/all"] | {"only_first": 1, "only_second": 1, "p": 1.0}
        == (report["comparison"]["held/all"])
    )
    assert report["retrieval"]["held"]["2"].keys() <= {"@1", "@4", "@8"}
    assert list(artifacts) == ["spells"]
    scores = artifacts["spells"]["scores"]
    assert scores["bfcl/irrelevance"] == {"total": 1, "tool": 0.0, "exact": 0.0, "errors": {"spurious call": 1}}
    assert list(scores) == [
        *("held/all", "held/sgd", "held/sgd:x", "held/snips", "held/no call is right"),
        *("bfcl/simple_python", "bfcl/irrelevance"),
    ]
    assert artifacts["spells"]["retrieval"] == report["retrieval"]


def test_only_what_was_asked_for(
    artifacts: dict[str, Any], bfcl: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BODKIN_EVAL_DIR", str(bfcl))
    assert cli.evaluate(["--artifact", "spells", "--categories", "simple_python"]) == 0
    printed = capsys.readouterr().out
    assert "bfcl/simple_python" in printed and "Retrieval" not in printed and "irrelevance" not in printed
    assert artifacts == {}


def test_prepared_requests_are_the_default(
    artifacts: dict[str, Any], requests: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    requests.rename(requests.with_name("heldout.jsonl.gz"))
    monkeypatch.setattr(cli, "SHARDS", requests.parent)
    assert cli.evaluate(["--artifact", "spells"]) == 0
    assert "heldout/all" in capsys.readouterr().out


def test_nothing_to_score(artifacts: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.evaluate([])
    assert "give --requests, --bfcl or both" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_named(artifacts: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.evaluate(["--artifact", "spells", "--requests", "absent.jsonl.gz"]) == 1
    assert "absent.jsonl.gz" in capsys.readouterr().err


def test_sets_of_one_name_are_refused(
    artifacts: dict[str, Any], requests: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.evaluate(["--artifact", "spells", "--requests", str(requests), str(requests)]) == 1
    assert "same name" in capsys.readouterr().err
