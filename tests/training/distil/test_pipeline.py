"""`bodkin distil` as a whole: the real client, a local Gemini, a tiny student, and kills in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

from model import load_engine, store  # noqa: E402
from model.types import GenerationRequest, Message, Tool  # noqa: E402
from tests.training import corpus  # noqa: E402
from tests.training.distil import students  # noqa: E402
from tests.training.gemini_server import GeminiServer, day_used_up, gemini_server  # noqa: E402
from tests.training.toy_teacher import SKILLS, Skill, ToyTeacher  # noqa: E402
from training.data.cli import ARTIFACT  # noqa: E402
from training.data.requests import write_requests  # noqa: E402
from training.distil import cli  # noqa: E402
from training.distil.labels import read_labels  # noqa: E402
from training.distil.pipeline import STEPS  # noqa: E402
from training.distil.student import DistilConfig  # noqa: E402

pytestmark = [pytest.mark.integration, pytest.mark.slow]
EXAMPLES = 60
# As somebody may declare them at home: nothing but their parameters says what they do.
TERSE = tuple(
    replace(skill, tool=Tool(f"op_{number}", "", skill.tool.parameters)) for number, skill in enumerate(SKILLS)
)
QUICK = replace(students.CONFIG, epochs=25.0, replay=0.0)  # replay has tests of its own


@pytest.fixture
def skills() -> Sequence[Skill]:
    return SKILLS


@pytest.fixture
def gemini(skills: Sequence[Skill], monkeypatch: pytest.MonkeyPatch) -> Iterator[GeminiServer]:
    with gemini_server(ToyTeacher(skills, seed=2, wrong=0.1, blocked=0.02)) as server:
        monkeypatch.setenv("GEMINI_API_KEY", server.key)
        yield server


@pytest.fixture
def tools(skills: Sequence[Skill], tmp_path: Path) -> Path:
    path = tmp_path / "mytools.json"
    declared = [
        {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": t.parameters}}
        for t in (skill.tool for skill in skills)
    ]
    path.write_text(json.dumps(declared))
    # Composing general requests means to read the whole scenario library, each time.
    write_requests(tmp_path / "general.jsonl.gz", corpus.examples(14, seed=1))
    return path


def command(server: GeminiServer, tools: Path, *more: str) -> list[str]:
    folder = tools.parent
    return [
        *("--tools", str(tools), "--run", str(folder / "run"), "--store", str(folder / "store")),
        *("--start", str(students.start()), "--base-url", server.url, "--examples", str(EXAMPLES), "--budget", "1"),
        *("--general", str(folder / "general.jsonl.gz")),
        *("--force", *more),  # a tiny student of a few labels is seldom better
    ]


@pytest.fixture(autouse=True)
def a_tiny_student(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.distil.student.DistilConfig", lambda: QUICK)


@pytest.mark.parametrize("skills", [TERSE], ids=["terse"])
def test_from_tools_to_a_published_model_that_is_better(
    gemini: GeminiServer, tools: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shipped model, and few steps: enough to beat what it was."""
    few = DistilConfig(epochs=4.0, replay=0.0, fewest_steps=0)
    few = replace(few, training=replace(few.training, rows=24, warmup=3, eval_every=10))
    monkeypatch.setattr("training.distil.student.DistilConfig", lambda: few)
    folder = tools.parent
    plain = [option for option in command(gemini, tools) if option != "--force"]
    arguments = [*plain, "--start", str(ARTIFACT), "--examples", "240"]
    with monkeypatch.context() as without:
        without.delenv("GEMINI_API_KEY")  # what it costs can be known before there is one
        assert cli.distil([*arguments, "--dry-run"]) == 0
    assert not gemini.requests, "a dry run asks nothing"
    assert "$0." in capsys.readouterr().out
    assert cli.distil(arguments) == 0
    assert "Published as bodkin-26m:mytools (v1)" in capsys.readouterr().out
    [student] = (folder / "run").glob("student-*")
    own = json.loads((student / "comparison.json").read_text())["own tools/all"]
    assert own["after"]["total"] >= 10
    assert own["after"]["exact"] > own["before"]["exact"]
    labels = read_labels(folder / "run" / "labels" / "labels.jsonl")
    assert 180 < len(labels) < 240
    engine = load_engine(folder / "store" / "mytools" / "current", threads=1)
    assert engine.manifest.info["name"] == "bodkin-26m:mytools"
    assert engine.manifest.info["teacher"] == "gemini-2.5-flash-lite"
    declared = tuple(skill.tool for skill in TERSE)
    answer = engine.generate(GenerationRequest((Message("user", "set a timer for 5 minutes"),), declared))
    assert [(call.name, call.arguments) for call in answer.calls] == [("op_1", '{"minutes":5}')]

    # The same command once more: nothing is asked, trained or published again.
    asked, trained = len(gemini.requests), (student / "checkpoint.pt").stat().st_mtime_ns
    assert cli.distil(arguments) == 0
    assert len(gemini.requests) == asked
    assert (student / "checkpoint.pt").stat().st_mtime_ns == trained
    assert store.versions(folder / "store", "mytools") == ["v1"]


def test_a_student_that_is_no_better_is_not_published(
    gemini: GeminiServer, tools: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    untaught = replace(QUICK, epochs=0.1, training=replace(QUICK.training, decoder_lr=1e-9, encoder_lr=1e-9))
    monkeypatch.setattr("training.distil.student.DistilConfig", lambda: untaught)
    forced = command(gemini, tools)
    plain = [option for option in forced if option != "--force"]
    assert cli.distil(plain) == 3
    assert "Not published" in capsys.readouterr().out
    assert store.versions(tools.parent / "store", "mytools") == []
    assert cli.distil([*forced, "publish"]) == 0
    assert store.versions(tools.parent / "store", "mytools") == ["v1"]


def test_the_budget_and_the_quota_end_it_in_order(
    gemini: GeminiServer, tools: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.distil(command(gemini, tools, "generate", "--budget", "0.002")) == 3
    assert "the next call could pass the budget of $0.00" in capsys.readouterr().out
    before = len(gemini.answered)
    assert before > 0
    gemini.faults.append(day_used_up())
    assert cli.distil(command(gemini, tools, "generate", "--concurrency", "1")) == 3
    assert "the same command goes on" in capsys.readouterr().out
    assert cli.distil(command(gemini, tools, "generate", "filter")) == 0


@pytest.mark.parametrize(
    ("step", "missing"),
    [("filter", "ledger.jsonl"), ("train", "labels"), ("export", "labels"), ("eval", "labels"), ("publish", "labels")],
)
def test_a_step_says_which_one_comes_before_it(
    step: str, missing: str, gemini: GeminiServer, tools: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.distil(command(gemini, tools, step)) == 1
    error = capsys.readouterr().err
    assert missing in error and "the step" in error
    assert not gemini.requests


def test_what_the_user_can_mend_is_one_line(
    gemini: GeminiServer, tools: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def error(*more: str) -> str:
        assert cli.distil(command(gemini, tools, *more)) == 1
        said = capsys.readouterr().err
        assert said.startswith("bodkin distil: ") and "Traceback" not in said
        return said

    assert "no teacher 'openai'" in error("--teacher", "openai")
    assert "no price is known" in error("--teacher", "gemini:unheard-of")
    assert "cannot be a model's name" in error("--name", "My Tools")
    monkeypatch.delenv("GEMINI_API_KEY")
    assert "GEMINI_API_KEY" in error()
    tools.write_text("[]")
    assert "there is no tool in it" in error()


CHILD = """
import sys
from tests.training.distil.test_pipeline import QUICK
import training.distil.student as student
student.DistilConfig = lambda: QUICK
from training.distil import cli
sys.exit(cli.distil(sys.argv[1:]))
"""


def killed_when(ready: Path, arguments: list[str], environment: dict[str, str]) -> None:
    """Run the command, and kill it as soon as the file or folder is there."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 240
    while not list(ready.parent.parent.glob(f"{ready.parent.name}/{ready.name}")):
        assert child.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()


def test_killed_in_every_step_it_goes_on_and_pays_nothing_twice(gemini: GeminiServer, tools: Path) -> None:
    folder = tools.parent
    arguments = command(gemini, tools)
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    run = folder / "run"
    for ready in (
        run / "ledger.jsonl",
        run / "labels",
        run / "student-*",
        run / "student-*/shards",
        run / "student-*/artifact",
    ):
        killed_when(ready, arguments, environment)
    assert cli.distil(arguments) == 0
    asked = [json.dumps(body, sort_keys=True) for body in gemini.answered]
    # A sample more than one of a request is another answer, paid for on purpose; an invention is not.
    inventions = [body for body in asked if '"application/json"' in body]
    # What was under way when the process was killed is lost and asked again; no more than that.
    assert len(inventions) - len(set(inventions)) <= 8
    assert store.versions(folder / "store", "mytools") == ["v1"]


def test_the_steps_of_the_help_are_those_of_the_pipeline() -> None:
    assert cli.STEPS == STEPS
