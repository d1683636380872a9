from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pytest

from app import cli
from model import store
from tests.hollow import hollow_artifact

SCORES = {
    "heldout/all": {"total": 300, "exact": 0.5233},
    "heldout/sgd": {"total": 65, "exact": 0.1846},
    "own tools": {"total": 90, "exact": 0.92},
    "note": "no score",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BODKIN_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("BODKIN_ARTIFACT", str(hollow_artifact(tmp_path / "shipped", "shipped")))
    return tmp_path / "store"


def artifact(tmp_path: Path, weights: str) -> str:
    return str(hollow_artifact(tmp_path / weights, weights, {"scores": SCORES}))


def said(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert err == ""
    return out.rstrip("\n")


def test_publish_rollback_use(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = artifact(tmp_path, "a"), artifact(tmp_path, "b")
    assert cli.main(["models", "publish", first, "--name", "mytools"]) == 0
    assert said(capsys) == "bodkin-26m:mytools is now v1; servers follow within seconds."
    assert cli.main(["models", "publish", second, "--name", "mytools"]) == 0
    assert said(capsys) == (
        "bodkin-26m:mytools is now v2; servers follow within seconds. 'bodkin models use mytools v1' undoes this."
    )
    assert cli.main(["models", "rollback", "bodkin-26m:mytools"]) == 0
    assert said(capsys).startswith("bodkin-26m:mytools is now v1; ")
    assert store.current(folder, "mytools") == "v1"
    assert cli.main(["models", "use", "mytools", "v2"]) == 0
    assert said(capsys).startswith("bodkin-26m:mytools is now v2; ")
    assert store.current(folder, "mytools") == "v2"
    assert cli.main(["models", "use", "mytools", "v2"]) == 0
    assert said(capsys) == "bodkin-26m:mytools is at v2 already."


def test_the_list(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for weights in ("a", "b"):
        store.publish(Path(artifact(tmp_path, weights)), folder, "mytools")
    store.rollback(folder, "mytools")
    other = hollow_artifact(tmp_path / "other", "other")
    monkeypatch.setenv("BODKIN_ARTIFACTS", f"desk={other}")
    for made in (tmp_path / "shipped", other, folder / "mytools" / "v1"):
        os.utime(made / "manifest.json", (1_790_000_000, 1_790_000_000))
    (folder / "mytools" / "v2" / "manifest.json").unlink()  # not current: the list does not look at it
    since = f"{datetime.fromtimestamp(1_790_000_000):%Y-%m-%d %H:%M}"
    assert cli.main(["models"]) == 0
    assert said(capsys).splitlines() == [
        "MODEL               CURRENT  VERSIONS  SIZE    SINCE             EXACT ANSWERS",
        f"bodkin-26m          -        -         0.1 MB  {since}  -",
        f"bodkin-26m:desk     -        -         0.1 MB  {since}  -",
        f"bodkin-26m:mytools  v1       v1 v2     0.1 MB  {since}  heldout 52.3%, own tools 92.0%",
    ]


def test_a_broken_artifact_is_listed_as_such(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store.publish(Path(artifact(tmp_path, "a")), folder, "mytools")
    (folder / "mytools" / "v1" / "manifest.json").write_text("{")
    (folder / "mytools" / "v1" / "encoder.onnx").unlink()
    assert cli.main(["models"]) == 0
    *_, line = said(capsys).splitlines()
    assert line.startswith("bodkin-26m:mytools  v1 ")
    assert "manifest.json is not a manifest of this version" in line


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["publish", "nowhere", "--name", "mytools"], "no model artifact in nowhere: manifest.json is missing"),
        (["publish", "ARTIFACT", "--name", "My Tools"], "'My Tools' cannot be a model's name: use lower-case"),
        (["rollback", "other"], "no model 'other' has been published in "),
        (["rollback", "mytools"], "'mytools' has no version before v1; kept are v1"),
        (["use", "mytools", "v7"], "'mytools' has no version 'v7'; kept are v1"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_code_1(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], argv: list[str], sentence: str
) -> None:
    made = artifact(tmp_path, "a")
    store.publish(Path(made), folder, "mytools")
    assert cli.main(["models", *[made if word == "ARTIFACT" else word for word in argv]]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"bodkin: {sentence}")


def test_a_store_that_cannot_be_written(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder.write_text("a file")
    assert cli.main(["models", "publish", artifact(tmp_path, "a"), "--name", "mytools"]) == 1
    assert capsys.readouterr().err == f"bodkin: [Errno 20] Not a directory: '{folder / 'mytools'}'\n"


def test_a_malformed_setting_is_code_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("BODKIN_ARTIFACTS", "/a/folder")
    assert cli.main(["models"]) == 2
    assert capsys.readouterr().err == (
        "bodkin: BODKIN_ARTIFACTS: expected NAME=DIR, not '/a/folder' (got '/a/folder').\n"
    )


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["models", "--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("publish", "rollback", "use", "BODKIN_STORE"))
