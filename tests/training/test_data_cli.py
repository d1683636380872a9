"""`bodkin data` as it is typed: what it prints, and its exit codes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.training.domains import SMALL_LIBRARY, small_library, tool, write
from training.cli import data
from training.data.compose import Composer
from training.data.example import Example
from training.data.requests import write_requests
from training.data.scenarios.library import FOLDER
from training.data.statistics import Statistics

ROOT = Path(__file__).resolve().parents[2]
KETTLE = str(SMALL_LIBRARY / "kettle.yaml")
DOCK = str(SMALL_LIBRARY / "dock.yaml")
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """What `stats` and `preview` read of a prepared folder."""
    folder = tmp_path / "shards"
    folder.mkdir()
    statistics = Statistics(20, random.Random(0))
    composer = Composer(list(small_library().values()))
    for seed in range(6):
        for example in composer.visit(random.Random(seed)):
            statistics.add(example)
    statistics.write(folder / "statistics.json")
    other = [Example("sgd", "sgd:x", e.messages, e.tools, e.calls) for e in statistics.sample[:3]]
    write_requests(folder / "preview.jsonl.gz", [*statistics.sample, *other])
    return folder


def test_a_good_file_is_sampled_and_counted(capsys: Capture) -> None:
    assert data(["validate", KETTLE, "--samples", "2"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("# kettle: A kettle that listens\n") and err == ""
    assert out.endswith("1 domains, 2 tools, 16 phrasings; 0 files with problems\n")
    assert out.count("=>") == 10


def test_a_seed_repeats_the_samples(capsys: Capture) -> None:
    printed = []
    for seed in ("1", "1", "2"):
        data(["validate", DOCK, "--seed", seed])
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] != printed[2]


def test_problems_go_to_stderr_with_their_file_and_an_exit_code(tmp_path: Path, capsys: Capture) -> None:
    bad = write(tmp_path, tool(say=["dim the {lamp}"]))
    assert data(["validate", str(bad), KETTLE]) == 1
    out, err = capsys.readouterr()
    assert err == (
        f"{bad}: set_light.say: slot {{lamp}} in 'dim the {{lamp}}': no such parameter, nor is it under `slots`\n"
    )
    assert "# kettle" in out and out.endswith("1 domains, 2 tools, 16 phrasings; 1 files with problems\n")


def test_a_file_that_validates_badly_is_still_sampled(tmp_path: Path, capsys: Capture) -> None:
    assert data(["validate", str(write(tmp_path, tool(say=["dim the {room} to {level}"])))]) == 1
    out, err = capsys.readouterr()
    assert "# lights" in out and "1 phrasings, 8 are wanted" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["validate", "nowhere.yaml"],
        ["stats", "--shards", "nowhere"],
        ["preview", "--shards", "nowhere"],
        ["prepare", "--out", "out", "--evaluation", "nowhere"],
        ["prepare", "--out", "out", "--library", "nowhere"],
    ],
)
def test_an_unknown_file_gives_a_sentence(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert data(arguments) == 1
    out, err = capsys.readouterr()
    assert err.startswith("bodkin data: ") and "nowhere" in err and err.count("\n") == 1


def test_prepare_takes_another_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes of it is the business of `prepare`, which is handed the folder."""
    taken: list[Path] = []

    def prepare(*_: Any, library: Path, **__: Any) -> Statistics:
        taken.append(library)
        return Statistics(1, random.Random(0))

    monkeypatch.setattr("training.data.prepare.prepare", prepare)
    assert data(["prepare", "--out", str(tmp_path)]) == 0
    assert data(["prepare", "--out", str(tmp_path), "--library", str(SMALL_LIBRARY)]) == 0
    assert taken == [FOLDER, SMALL_LIBRARY]


def test_a_folder_instead_of_a_file_gives_a_sentence(capsys: Capture) -> None:
    assert data(["validate", str(SMALL_LIBRARY)]) == 1
    assert capsys.readouterr().err.startswith("bodkin data: ")


def test_a_file_that_is_not_text_gives_a_sentence(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"domain: caf\xe9\n")
    assert data(["validate", str(path)]) == 1
    assert "x.yaml" in capsys.readouterr().err


def test_broken_statistics_give_a_sentence(shards: Path, capsys: Capture) -> None:
    (shards / "statistics.json").write_text("{")
    assert data(["stats", "--shards", str(shards)]) == 1
    assert capsys.readouterr().err.startswith("bodkin data: ")


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["validate", "--nonsense"], ["preview", "--count", "many"]])
def test_a_wrong_command_line_is_a_usage_error(arguments: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as left:
        data(arguments)
    assert left.value.code == 2
    assert "usage: bodkin data" in capsys.readouterr().err


def test_statistics_are_printed(shards: Path, capsys: Capture) -> None:
    assert data(["stats", "--shards", str(shards)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("48 examples\n") and "\nsource: where the example comes from\n" in out


def test_the_datasheet_is_written_with_the_corpora_of_the_table(shards: Path, tmp_path: Path, capsys: Capture) -> None:
    page = tmp_path / "docs" / "corpus.md"
    assert data(["stats", "--shards", str(shards), "--datasheet", str(page)]) == 0
    assert capsys.readouterr().out.endswith(f"{page} and its pictures\n")
    text = page.read_text(encoding="utf-8")
    assert "**48 examples**" in text and "## Sources and licences" in text
    assert page.with_name("corpus-source.png").exists()


def test_a_preview_is_written_and_printed(shards: Path, tmp_path: Path, capsys: Capture) -> None:
    page = tmp_path / "p.html"
    command = ["preview", "--shards", str(shards), "--out", str(page), "--count", "5"]
    assert data(command) == 0
    assert capsys.readouterr().out == f"{page}: 5 examples\n"
    assert page.read_text(encoding="utf-8").count("<article>") == 5
    assert data([*command, "--text", "--source", "sgd"]) == 0
    out = capsys.readouterr().out
    assert out.count("sgd sgd:x [") == 3 and out.count("=>") == 3 and out.endswith(f"{page}: 3 examples\n")


def test_the_printed_and_the_written_preview_are_the_same_examples(
    shards: Path, tmp_path: Path, capsys: Capture
) -> None:
    page = tmp_path / "p.html"
    data(["preview", "--shards", str(shards), "--out", str(page), "--count", "6", "--seed", "9", "--text"])
    groups = [line.split(" ")[1] for line in capsys.readouterr().out.splitlines() if line.startswith("scenarios ")]
    text = page.read_text(encoding="utf-8")
    assert groups and all(f"· {group}<" in text for group in groups)


@pytest.mark.integration
def test_the_module_runs_as_a_program(tmp_path: Path) -> None:
    """Exit codes and streams of the real process; a closed pipe is no error."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "training", "data", *arguments]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)

    good = run("validate", KETTLE)
    assert (good.returncode, good.stderr) == (0, "") and "0 files with problems" in good.stdout
    bad = run("validate", "nowhere.yaml")
    assert bad.returncode == 1 and "Traceback" not in bad.stderr
    assert bad.stderr.startswith("bodkin data: ") and "nowhere.yaml" in bad.stderr
