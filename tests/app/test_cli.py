from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path
from typing import Any

import pytest

import app.serve
from app import cli
from app.settings import Settings


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    seen: list[Settings] = []

    def run(settings: Settings) -> int:
        seen.append(settings)
        return 0

    monkeypatch.setattr(app.serve, "run", run)
    return seen


def plug(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    entries = [importlib.metadata.EntryPoint(name, value, cli.COMMANDS) for name, value in values.items()]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: entries if group == cli.COMMANDS else [])


def echo(argv: list[str]) -> int:
    print("echo", *argv)
    return 7


def test_serve(served: list[Settings]) -> None:
    argv = ["serve", "--host", "0.0.0.0", "--port", "9000", "--artifact", "/m", "--model", "mine"]
    assert cli.main(argv) == 0
    (settings,) = served
    assert (settings.host, settings.port, settings.artifact, settings.model) == ("0.0.0.0", 9000, Path("/m"), "mine")


def test_several_artifacts(served: list[Settings]) -> None:
    argv = ["serve", "--artifact", "shop=/models/a,b", "--artifact", "./x=y", "--artifact", "desk=runs/c"]
    assert cli.main(argv) == 0
    (settings,) = served
    assert settings.artifact == Path("x=y")
    assert settings.artifacts == {"shop": Path("/models/a,b"), "desk": Path("runs/c")}


@pytest.mark.parametrize(
    ("artifacts", "sentence"),
    [
        (["/a", "/b"], "--artifact: one folder may go without a name; write the others as NAME=DIR.\n"),
        (["a=/x", "a=/y"], "--artifact: 'a' is given twice (got 'a=/x, a=/y').\n"),
        (["A=/x"], "--artifact: 'A' cannot be a model's name: "),
    ],
)
def test_artifacts_that_cannot_be_told_apart(
    served: list[Settings], capsys: pytest.CaptureFixture[str], artifacts: list[str], sentence: str
) -> None:
    assert cli.main(["serve", *[word for folder in artifacts for word in ("--artifact", folder)]]) == 2
    assert capsys.readouterr().err.startswith(f"bodkin: {sentence}")
    assert served == []


def test_options_default_to_the_settings(served: list[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BODKIN_PORT", "9001")
    assert cli.main(["serve"]) == 0
    assert served[0].port == 9001


def test_a_malformed_variable_is_one_sentence_and_code_2(
    served: list[Settings], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BODKIN_THREADS", "many")
    assert cli.main(["serve"]) == 2
    assert capsys.readouterr().err.startswith("bodkin: BODKIN_THREADS: input should be a valid integer")
    assert served == []


def test_a_wrong_option_is_one_sentence_and_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve", "--port", "99999"]) == 2
    assert capsys.readouterr().err == "bodkin: --port: input should be less than or equal to 65535 (got '99999').\n"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith("bodkin ")


def test_help_lists_the_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    plug(monkeypatch, train="nowhere:main", export="nowhere:main")
    with pytest.raises(SystemExit) as stop:
        cli.main(["--help"])
    assert stop.value.code == 0
    assert "one of: serve, models, tools, export, train" in capsys.readouterr().out


def test_serve_help_is_that_of_serve(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["serve", "--help"])
    assert stop.value.code == 0
    assert "--artifact" in capsys.readouterr().out


def test_without_a_command_help_and_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert capsys.readouterr().out.startswith("usage: bodkin")


def test_an_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["fly"])
    assert stop.value.code == 2
    assert "'fly'" in capsys.readouterr().err


def test_other_packages_add_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    plug(monkeypatch, echo=f"{__name__}:echo")
    assert cli.main(["echo", "--loud", "x"]) == 7
    assert capsys.readouterr().out == "echo --loud x\n"


def test_a_command_whose_extra_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plug(monkeypatch, train="no_such_package.cli:main [training]")
    assert cli.main(["train"]) == 1
    assert capsys.readouterr().err == (
        "bodkin: 'train' needs the package 'no_such_package', which is missing; install bodkin[training].\n"
    )


def test_arguments_come_from_the_command_line(monkeypatch: pytest.MonkeyPatch, served: list[Settings]) -> None:
    argv: Any = ["bodkin", "serve", "--port", "9002"]
    monkeypatch.setattr(sys, "argv", argv)
    assert cli.main() == 0
    assert served[0].port == 9002
