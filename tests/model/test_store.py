"""The store holds whole versions only, whoever dies and however many publish."""

from __future__ import annotations

import getpass
import json
import multiprocessing
import os
import shutil
import signal
import stat
import sys
from datetime import datetime
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest

from model.errors import ArtifactError, StoreError
from model.manifest import FILES, add_info, read_manifest
from model.store import current, names, publish, rollback, use, versions
from tests.hollow import hollow_artifact


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "store"


@pytest.fixture
def artifacts(tmp_path: Path) -> list[Path]:
    return [hollow_artifact(tmp_path / str(k), f"weights {k}") for k in range(8)]


def history(store: Path, name: str = "mytools") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (store / name / "history.jsonl").read_text().splitlines()]


def hidden(store: Path, name: str = "mytools") -> set[str]:
    return {entry for entry in os.listdir(store / name) if entry.startswith(".")} - {".lock"}


def test_publish_copies_and_makes_current(store: Path, artifacts: list[Path]) -> None:
    assert names(store) == versions(store, "mytools") == []
    assert current(store, "mytools") is None
    assert publish(artifacts[0], store, "mytools") == "v1"
    assert publish(artifacts[1], store, "mytools") == "v2"
    assert publish(artifacts[0], store, "other") == "v1"
    assert names(store) == ["mytools", "other"]
    assert versions(store, "mytools") == ["v1", "v2"]
    assert current(store, "mytools") == "v2"
    for version, artifact in zip(("v1", "v2"), artifacts, strict=False):
        shutil.rmtree(artifact)  # a copy, not a link
        assert sorted(os.listdir(store / "mytools" / version)) == sorted([*FILES, "manifest.json"])
    assert read_manifest(store / "mytools" / "current") == read_manifest(store / "mytools" / "v2")
    assert hidden(store) == set()


def test_another_user_may_read_what_is_published(store: Path, artifacts: list[Path]) -> None:
    """A server in a container runs as somebody else."""
    umask = os.umask(0o022)
    try:
        publish(artifacts[0], store, "mytools")
    finally:
        os.umask(umask)
    folder = store / "mytools" / "v1"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o644}


def test_the_store_may_be_moved(store: Path, artifacts: list[Path], tmp_path: Path) -> None:
    publish(artifacts[0], store, "mytools")
    store.rename(tmp_path / "elsewhere")
    assert read_manifest(tmp_path / "elsewhere" / "mytools" / "current") == read_manifest(artifacts[0])


def test_publishing_the_newest_again_copies_nothing(store: Path, artifacts: list[Path]) -> None:
    publish(artifacts[0], store, "mytools")
    publish(artifacts[1], store, "mytools")
    assert publish(artifacts[1], store, "mytools") == "v2"
    assert versions(store, "mytools") == ["v1", "v2"]
    assert len(history(store)) == 2
    rollback(store, "mytools")
    assert publish(artifacts[1], store, "mytools") == "v2"
    assert current(store, "mytools") == "v2"
    # Older weights are a new version, and so is what only the manifest tells apart.
    assert publish(artifacts[0], store, "mytools") == "v3"
    add_info(artifacts[0], {"scores": {}})
    assert publish(artifacts[0], store, "mytools") == "v4"


def test_rollback_and_use(store: Path, artifacts: list[Path]) -> None:
    for artifact in artifacts[:3]:
        publish(artifact, store, "mytools")
    assert rollback(store, "mytools") == current(store, "mytools") == "v2"
    assert rollback(store, "mytools") == current(store, "mytools") == "v1"
    with pytest.raises(StoreError, match="'mytools' has no version before v1; kept are v1, v2, v3"):
        rollback(store, "mytools")
    assert use(store, "mytools", "v3") == current(store, "mytools") == "v3"
    with pytest.raises(StoreError, match="'mytools' has no version 'v4'; kept are v1, v2, v3"):
        use(store, "mytools", "v4")
    assert publish(artifacts[3], store, "mytools") == "v4"
    assert rollback(store, "mytools") == "v3"


def test_names_and_versions_that_are_not_there(store: Path, artifacts: list[Path]) -> None:
    publish(artifacts[0], store, "mytools")
    for change in (lambda: rollback(store, "nothing"), lambda: use(store, "nothing", "v1")):
        with pytest.raises(StoreError, match="no model 'nothing' has been published in .*; there is mytools"):
            change()
    for bad in ("", "..", "../mytools", "a/b", ".lock"):
        with pytest.raises(StoreError, match="cannot be a model's name"):
            publish(artifacts[0], store, bad)
        with pytest.raises(StoreError, match="cannot be a model's name"):
            use(store, bad, "v1")
    with pytest.raises(StoreError, match="no version '../../mytools/v1'"):
        use(store, "mytools", "../../mytools/v1")
    assert names(store) == ["mytools"]
    assert os.listdir(store) == ["mytools"]


def test_history_says_who_switched_when(store: Path, artifacts: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "anna")
    publish(artifacts[0], store, "mytools", note={"run": "été"})
    publish(artifacts[1], store, "mytools")
    rollback(store, "mytools")
    use(store, "mytools", "v1")  # it is there already
    use(store, "mytools", "v2")
    lines = history(store)
    assert [(line["action"], line["before"], line["version"], line["note"]) for line in lines] == [
        ("publish", None, "v1", {"run": "été"}),
        ("publish", "v1", "v2", None),
        ("rollback", "v2", "v1", None),
        ("use", "v1", "v2", None),
    ]
    assert all(line["by"].startswith("anna@") for line in lines)
    assert all(abs(datetime.fromisoformat(line["time"]).timestamp() - os.stat(store).st_mtime) < 300 for line in lines)


def test_a_history_that_ends_in_half_a_line(store: Path, artifacts: list[Path]) -> None:
    publish(artifacts[0], store, "mytools")
    with (store / "mytools" / "history.jsonl").open("a") as f:
        f.write('{"time": "20')
    publish(artifacts[1], store, "mytools")
    *_, torn, last = (store / "mytools" / "history.jsonl").read_text().splitlines()
    assert torn == '{"time": "20'
    assert json.loads(last)["version"] == "v2"


def test_old_versions_go(store: Path, artifacts: list[Path]) -> None:
    for artifact in artifacts[:6]:
        publish(artifact, store, "mytools")
    assert versions(store, "mytools") == ["v2", "v3", "v4", "v5", "v6"]
    publish(artifacts[6], store, "mytools", keep=2)
    assert versions(store, "mytools") == ["v6", "v7"]
    publish(artifacts[7], store, "mytools", keep=1)
    assert versions(store, "mytools") == ["v8"]
    assert hidden(store) == set()
    publish(artifacts[0], store, "mytools")
    use(store, "mytools", "v8")
    assert versions(store, "mytools") == ["v8", "v9"]  # switching deletes nothing
    publish(artifacts[0], store, "mytools", keep=1)  # to v9, so that v8 is neither new nor current
    assert versions(store, "mytools") == ["v9"]


def test_versions_are_in_numerical_order(store: Path, artifacts: list[Path]) -> None:
    for k in range(11):
        publish(artifacts[k % 2], store, "mytools", keep=20)
    assert versions(store, "mytools")[-3:] == ["v9", "v10", "v11"]
    assert rollback(store, "mytools") == "v10"
    assert rollback(store, "mytools") == "v9"


@pytest.mark.parametrize("file", FILES)
def test_a_damaged_artifact_is_not_published(store: Path, artifacts: list[Path], file: str) -> None:
    publish(artifacts[0], store, "mytools")
    (artifacts[1] / file).write_bytes(b"other")
    with pytest.raises(ArtifactError, match=f"{artifacts[1] / file} is damaged"):
        publish(artifacts[1], store, "mytools")
    assert (versions(store, "mytools"), current(store, "mytools")) == (["v1"], "v1")
    with pytest.raises(ArtifactError, match="no model artifact in"):
        publish(store / "nowhere", store, "other")
    assert names(store) == ["mytools"]


def test_a_damaged_version_is_not_gone_back_to(store: Path, artifacts: list[Path]) -> None:
    publish(artifacts[0], store, "mytools")
    publish(artifacts[1], store, "mytools")
    (store / "mytools" / "v1" / "decoder.onnx").write_bytes(b"rot")
    with pytest.raises(ArtifactError, match="decoder.onnx is damaged"):
        rollback(store, "mytools")
    assert current(store, "mytools") == "v2"
    # Nor is a damaged newest version taken for what is being published.
    (store / "mytools" / "v2" / "decoder.onnx").write_bytes(b"rot")
    assert publish(artifacts[1], store, "mytools") == "v3"


def test_an_artifact_that_changes_while_it_is_copied(
    store: Path, artifacts: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copyfile

    def meddle(source: Path, target: Path) -> None:
        if source.name == "encoder.onnx":
            hollow_artifact(artifacts[0], "other weights")
        copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", meddle)
    with pytest.raises(ArtifactError, match="was changed while it was being published"):
        publish(artifacts[0], store, "mytools")
    assert versions(store, "mytools") == []
    assert hidden(store) == set()


def test_a_full_disk_leaves_nothing_behind(store: Path, artifacts: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    publish(artifacts[0], store, "mytools")

    def full(source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        publish(artifacts[1], store, "mytools")
    assert (versions(store, "mytools"), current(store, "mytools"), hidden(store)) == (["v1"], "v1", set())


def test_what_people_leave_in_the_store_is_not_taken_for_models(store: Path, artifacts: list[Path]) -> None:
    publish(artifacts[0], store, "mytools")
    (store / "README").write_text("mine")
    (store / "Backup").mkdir()
    (store / "empty").mkdir()
    (store / "mytools" / "v2-old").mkdir()
    assert names(store) == ["empty", "mytools"]
    assert current(store, "empty") is None
    assert versions(store, "mytools") == ["v1"]
    for wrong in ("../../elsewhere", "v1/", "/v1"):
        (store / "empty" / "current").symlink_to(wrong)
        assert current(store, "empty") is None
        (store / "empty" / "current").unlink()
    (store / "empty" / "current").mkdir()
    assert current(store, "empty") is None


# Other processes. A fork server, so that each takes milliseconds.


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def publish_and_die(artifact: Path, store: Path, step: int) -> None:
    """Publish, but be killed right before the `step`-th operation on the store."""
    left = step

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event in STEPS and any(str(store) in os.fspath(a) for a in arguments if isinstance(a, str | Path)):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    publish(artifact, store, "mytools", keep=2)


STEPS = {"open", "shutil.copyfile"} | {f"os.{name}" for name in ("mkdir", "rename", "symlink", "remove", "rmdir")}


def test_killed_at_every_step(store: Path, artifacts: list[Path], processes: ForkServerContext) -> None:
    publish(artifacts[0], store, "mytools")
    publish(artifacts[1], store, "mytools")
    before = store.rename(store.parent / "before")
    outcomes: list[tuple[str, ...]] = []
    for step in range(1, 200):
        shutil.rmtree(store, ignore_errors=True)
        shutil.copytree(before, store, symlinks=True)
        process = processes.Process(target=publish_and_die, args=(artifacts[2], store, step))
        process.start()
        process.join()
        kept = versions(store, "mytools")
        assert current(store, "mytools") in ("v2", "v3")
        assert [read_manifest(store / "mytools" / version) for version in kept] == [
            read_manifest(artifacts[int(version[1:]) - 1]) for version in kept
        ]
        outcomes.append((*kept, str(current(store, "mytools"))))
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        # Whatever the step, publishing again completes it, once.
        assert publish(artifacts[2], store, "mytools", keep=2) == "v3"
        assert (versions(store, "mytools"), current(store, "mytools")) == (["v2", "v3"], "v3")
        assert hidden(store) == set()
        assert read_manifest(store / "mytools" / "current") == read_manifest(artifacts[2])
    else:
        raise AssertionError("it never came to the end")
    # Proof that the killing hit before, between and after the two renames, and during the deletion.
    assert list(dict.fromkeys(outcomes)) == [
        ("v1", "v2", "v2"),
        ("v1", "v2", "v3", "v2"),
        ("v1", "v2", "v3", "v3"),
        ("v2", "v3", "v3"),
    ]
    assert len(outcomes) > 20


def publish_several(artifacts: list[Path], store: Path) -> None:
    for artifact in artifacts:
        publish(artifact, store, "mytools", keep=100)


def test_several_publish_at_once(store: Path, artifacts: list[Path], processes: ForkServerContext) -> None:
    writers = [
        processes.Process(target=publish_several, args=(artifacts[2 * k : 2 * k + 2] * 3, store)) for k in range(4)
    ]
    for writer in writers:
        writer.start()
    seen: set[str | None] = set()
    while any(writer.is_alive() for writer in writers):
        version = current(store, "mytools")
        seen.add(version)
        if version is not None:  # whoever looks in between sees whole versions only
            read_manifest(store / "mytools" / version)
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 4
    made = versions(store, "mytools")
    assert made == [f"v{k}" for k in range(1, len(made) + 1)]
    assert len(made) == 24  # nobody publishes the same thing twice in a row
    assert current(store, "mytools") == made[-1]
    weights = [read_manifest(store / "mytools" / version).digest for version in made]
    assert sorted(weights) == sorted([read_manifest(artifact).digest for artifact in artifacts] * 3)
    lines = history(store)
    assert [line["version"] for line in lines] == made
    assert [line["before"] for line in lines] == [None, *made[:-1]]
    assert len(seen) > 2
