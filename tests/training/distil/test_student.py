"""The student: it learns what the teacher says and how sure it is, keeps what it knew, and goes on after a kill."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from model import load_engine  # noqa: E402
from model.manifest import read_manifest  # noqa: E402
from model.tokenizer import Tokenizer  # noqa: E402
from model.types import GenerationRequest  # noqa: E402
from tests.artifact import TOOLS as OTHER_TOOLS  # noqa: E402
from tests.artifact import tokenizer  # noqa: E402
from tests.training import corpus  # noqa: E402
from tests.training.distil.students import CONFIG, TOOLS, configured, label, labels, start  # noqa: E402
from training import train as loop  # noqa: E402
from training.calibrate import FEWEST  # noqa: E402
from training.checkpoint import load_checkpoint  # noqa: E402
from training.config import ModelConfig  # noqa: E402
from training.data.example import Call  # noqa: E402
from training.data.requests import write_requests  # noqa: E402
from training.data.shards import load_examples, load_tools  # noqa: E402
from training.distil.blend import SHARES  # noqa: E402
from training.distil.comparison import OWN  # noqa: E402
from training.distil.dataset import write_dataset  # noqa: E402
from training.distil.labels import write_labels  # noqa: E402
from training.distil.student import DistilConfig, Student, distil, export_student, fine_tune, recalibrate  # noqa: E402
from training.network import Network, Spelling  # noqa: E402
from training.teacher.base import digest  # noqa: E402
from training.train import evaluate, validation_batches  # noqa: E402

SPELLING = Spelling.of(tokenizer())


@pytest.fixture(autouse=True)
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "plot_history", lambda *_: None)


@pytest.fixture(scope="module")
def general(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus.write_shards(
        tmp_path_factory.mktemp("general") / "shards", corpus.examples(140, 0), corpus.examples(56, 1)
    )


@pytest.fixture(scope="module")
def whole(general: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Student]:
    """One distillation from labels to what is served."""
    out = tmp_path_factory.mktemp("distil") / "run"
    requests = out.parent / "general.jsonl.gz"
    bounded = {t.name for t in OTHER_TOOLS}  # whose answers end, whatever the untaught start writes
    write_requests(requests, [e for e in corpus.examples(40, 2) if {t.name for t in e.tools} <= bounded])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "plot_history", lambda *_: None)
        patch.setattr("training.distil.student.FEWEST_REPLAYED", 100)
        student = distil(
            labels(60, 0), labels(75, 1), start(), out, CONFIG, replay_shards=general, general=[requests], threads=1
        )
    return out, student


def test_the_served_student_knows_its_tools(whole: tuple[Path, Student]) -> None:
    out, student = whole
    engine = load_engine(student.artifact, threads=1)
    wanted = [*labels(9, 5), label("weather in Daft Punk?", (1.0, (Call("get_weather", {"city": "Daft Punk"}),)))]
    right = 0
    for each in wanted:
        made = engine.generate(GenerationRequest(each.example.messages, each.example.tools)).calls
        right += [(c.name, json.loads(c.arguments)) for c in made] == [
            (c.name, c.arguments) for c in each.example.calls
        ]
    assert right >= 9
    own = student.rows[f"{OWN}/all"]
    assert own.before.exact < 0.5 * own.before.total and own.after.exact > 0.9 * own.after.total
    assert own.compared.p < 0.001
    assert student.artifact == out / "artifact"


def test_the_comparison_is_written_down(whole: tuple[Path, Student], capsys: pytest.CaptureFixture[str]) -> None:
    out, student = whole
    written = json.loads((out / "comparison.json").read_text())
    assert list(written) == list(student.rows)
    assert {f"{OWN}/all", f"{OWN}/call", f"{OWN}/irrelevant", "general/all"} <= set(written)
    own = written[f"{OWN}/all"]
    assert own["after"]["exact"] > own["before"]["exact"]
    assert own["after"]["exact_95"][0] < own["after"]["exact"]
    assert own["after"]["answered"] > 0.5 and own["before"]["answered"] is None  # the start has no confidence
    assert f"| {OWN}/all | 75 |" in (out / "comparison.md").read_text()


def test_the_manifest_says_where_it_comes_from(whole: tuple[Path, Student]) -> None:
    out, student = whole
    manifest = read_manifest(student.artifact)
    info, base = manifest.info, read_manifest(start())
    assert (info["name"], info["teacher"]) == ("tiny:mine", "nobody")
    assert info["labels"] == {"labels": 60, "answers": 60, "heldout": 75, "replay": 140}
    assert info["base"] == {"name": "tiny", "digest": digest(base.files)}
    assert info["tools"] == {"count": 4, "digest": info["tools"]["digest"]}
    assert info["trained"]["steps"] == student.steps == math.ceil(32 * 60 / 12)
    assert info["trained"]["best_step"] == student.best_step
    assert info["trained"]["share"] in SHARES
    assert info["scores"][f"{OWN}/all"]["total"] == 75
    assert manifest.precision == base.precision and manifest.files != base.files


def test_its_confidence_is_of_its_own_weights(whole: tuple[Path, Student]) -> None:
    out, student = whole
    assert student.uncalibrated is None
    calibration = read_manifest(student.artifact).calibration
    assert calibration is not None and calibration["files"] == read_manifest(student.artifact).files
    assert {"calls", "no_call"} <= set(calibration["models"])
    engine = load_engine(student.artifact, threads=1)
    sure = engine.generate(GenerationRequest(labels(1, 5)[0].example.messages, TOOLS)).confidence
    assert sure is not None and sure > 0.5


def test_the_best_weights_are_served(whole: tuple[Path, Student]) -> None:
    out, student = whole
    measured = {row["step"]: row for row in load_checkpoint(out / "checkpoint.pt")["history"] if "heldout_fill" in row}
    losses = {step: row["heldout_fill"] + row["heldout_route"] for step, row in measured.items()}
    assert len(losses) > 5
    assert losses[student.best_step] == min(losses.values())


def test_a_second_run_goes_on_where_the_first_ended(
    whole: tuple[Path, Student], general: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, student = whole
    monkeypatch.setattr(loop, "update", None)  # no step is taken
    monkeypatch.setattr("training.distil.student.FEWEST_REPLAYED", 100)
    requests = out.parent / "general.jsonl.gz"
    again = distil(
        labels(60, 0), labels(75, 1), start(), out, CONFIG, replay_shards=general, general=[requests], threads=1
    )
    assert again.rows == student.rows
    assert (again.steps, again.best_step) == (student.steps, student.best_step)


def tuned(
    folder: Path, given: list[Any], held: list[Any], config: DistilConfig, begin: Path | None = None, **dataset: Any
) -> Network:
    """The network after `fine_tune`, in `folder`."""
    write_dataset(folder / "shards", given, held, begin or start(), **({"replay": 0, "threads": 1} | dataset))
    return fine_tune(folder / "shards", begin or start(), folder, config)


def test_probabilities_approach_the_teachers_shares(tmp_path: Path) -> None:
    """Of a request that the teacher answers in one way seven times in ten and in another three times."""
    pages, paris = (Call("ping", {}),), (Call("get_weather", {"city": "Paris"}),)
    unsure = label("Paris, answer", (0.7, pages), (0.3, paris))
    config = configured(replace(CONFIG, epochs=400.0, replay=0.0), rows=8, patience=0, eval_every=1_000)
    network = tuned(tmp_path, [unsure], [unsure], config)
    export_student(network, tmp_path / "artifact", start(), {})
    engine = load_engine(tmp_path / "artifact", threads=1)
    result = engine.generate(GenerationRequest(unsure.example.messages, TOOLS))
    assert [c.name for c in result.calls] == ["ping"]
    assert result.trace is not None
    assert math.exp(result.trace.calls[0].route) == pytest.approx(0.7, abs=0.04)
    forced = engine.generate(GenerationRequest(unsure.example.messages, TOOLS, parallel_tool_calls=False))
    assert forced.calls == result.calls  # and behind either call nothing more is due
    assert result.trace.none is not None and math.exp(result.trace.none) > 0.9


@torch.no_grad()
def general_loss(network: Network, general: Path) -> float:
    drawn = list(validation_batches(load_examples(general, "heldout"), load_tools(general), CONFIG.training))
    measured = evaluate(network, drawn, SPELLING, replace(CONFIG.training, precision="fp32"))
    return measured["fill"] + measured["route"]


@pytest.mark.slow
def test_replay_keeps_what_the_start_knew(general: Path, tmp_path: Path) -> None:
    """A start that has learnt the general corpus, and labels of two tools that are not in it."""
    other = [t for t in OTHER_TOOLS if t.name != "get_weather"]
    given = [
        label(f"{city} {k}", (1.0, (Call("book_table", {"guests": k}),)), tools=other)
        for k, city in enumerate(corpus.CITIES * 4, 1)
    ]
    settings = configured(CONFIG, patience=0, eval_every=1_000).training
    sizes = ModelConfig.tiny(tokenizer().vocab_size)
    taught = loop.train(general, tmp_path / "taught", replace(settings, steps=200), sizes, init=str(start()))
    export_student(taught, tmp_path / "start", start(), {})
    before = general_loss(taught, general)
    after = {}
    for name, replay in (("without", 0.0), ("with", 0.5)):
        config = replace(CONFIG, epochs=20.0 if replay else 40.0, replay=replay, training=replace(settings, warmup=1))
        dataset = {"replay": 140 if replay else 0, "replay_shards": general if replay else None}
        network = tuned(tmp_path / name, given, given[:8], config, tmp_path / "start", **dataset)
        after[name] = general_loss(network, general)
    assert after["without"] > 1.5 * before
    assert after["with"] - before < 0.3 * (after["without"] - before)


def test_the_run_is_as_long_as_its_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Passes over answers, in batches of which a share is replayed; the time limit is the run's."""
    asked: list[Any] = []
    monkeypatch.setattr("training.distil.student.train", lambda *a, **k: asked.append((a, k)))
    unsure = label("Paris?", (0.6, ()), (0.4, (Call("ping", {}),)))
    config = configured(replace(CONFIG, epochs=3.0, replay=0.25), rows=16, accumulate=2, time_limit=7.0)
    tuned(tmp_path, [*labels(49, 0), unsure], labels(3, 1), config)
    [((shards, run, training, sizes), options)] = asked
    assert training == replace(config.training, steps=math.ceil(3 * 51 / (2 * 12)))
    tuned(tmp_path, [*labels(49, 0), unsure], labels(3, 1), replace(config, fewest_steps=90))
    assert asked.pop()[0][2].steps == 90
    assert (shards, run, sizes) == (tmp_path / "shards", tmp_path, ModelConfig.tiny(tokenizer().vocab_size))
    assert options["init"] == str(start()) and options["draw_batches"].keywords == {"replay": 0.25}


def test_too_few_held_out_labels_leave_confidence_null(tmp_path: Path) -> None:
    network = tuned(tmp_path, labels(6, 0), labels(3, 1), configured(replace(CONFIG, epochs=1.0, replay=0.0)))
    export_student(network, tmp_path / "artifact", start(), {})
    why = recalibrate(tmp_path / "artifact", labels(FEWEST - 1, 1), threads=1)
    assert why is not None and f"{FEWEST - 1} held-out labels are too few" in why
    manifest = read_manifest(tmp_path / "artifact")
    assert manifest.calibration is None
    assert Tokenizer.load(tmp_path / "artifact" / "tokenizer.json").json_text == tokenizer().json_text


SCRIPT = """
import sys
from pathlib import Path
from tests.training.distil.students import CONFIG, configured
from dataclasses import replace
from training.distil.dataset import write_dataset
from training.distil.labels import read_labels
from training.distil.student import fine_tune
folder, start = Path(sys.argv[1]), Path(sys.argv[2])
given = read_labels(folder.parent / "labels.jsonl")
general = folder.parent / "general"
write_dataset(folder / "shards", given, given[:6], start, replay=100, replay_shards=general, threads=1)
fine_tune(folder / "shards", start, folder, configured(replace(CONFIG, epochs=8.0), checkpoint_minutes=0.0, warmup=5))
"""


@pytest.mark.slow
@pytest.mark.integration
def test_a_run_killed_by_the_system_ends_with_the_same_weights(general: Path, tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.jsonl", labels(90, 0))
    (tmp_path / "general").symlink_to(general)
    environment = {"env": os.environ | {"OMP_NUM_THREADS": "1"}, "cwd": Path(__file__).parents[3]}
    begin = partial(subprocess.Popen, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, **environment)  # type: ignore[call-overload]
    command = [sys.executable, "-c", SCRIPT]
    one, other = (begin([*command, str(tmp_path / name), str(start())]) for name in ("whole", "killed"))
    checkpoint = tmp_path / "killed" / "checkpoint.pt"
    while not checkpoint.exists():
        assert other.poll() is None, other.communicate()[1]
        time.sleep(0.02)
    time.sleep(0.2)  # some steps on, and before the end
    other.send_signal(signal.SIGKILL)
    other.communicate()
    assert other.returncode == -signal.SIGKILL
    assert load_checkpoint(checkpoint)["step"] in (20, 40)
    again = begin([*command, str(tmp_path / "killed"), str(start())])
    assert again.communicate()[1] is not None and again.returncode == 0
    assert one.communicate()[1] is not None and one.returncode == 0
    states = [load_checkpoint(tmp_path / name / "checkpoint.pt") for name in ("whole", "killed")]
    for key in ("network", "best", "reference"):
        assert states[0][key].keys() == states[1][key].keys()
        assert all(torch.equal(states[0][key][name], states[1][key][name]) for name in states[0][key])
    assert states[0]["lowest"] == states[1]["lowest"] < math.inf
    timed = {"seconds", "examples_per_second", "tflops", "utilisation"}
    first, second = ([{k: v for k, v in row.items() if k not in timed} for row in s["history"]] for s in states)
    assert first == second and [row["step"] for row in first] == [20, 40, 60]
