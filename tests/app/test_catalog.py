from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from app.catalog import Catalog, stamp
from model import store
from model.manifest import FILES, read_manifest, set_calibration
from tests.hollow import hollow_artifact


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    return hollow_artifact(tmp_path / "shipped", "shipped")


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return hollow_artifact(tmp_path / "mine", "mine")


def test_the_default_first_then_the_configured_then_the_store(shipped: Path, mine: Path, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    for name in ("zoo", "lamps", "shop"):
        store.publish(mine, folder, name)
    store.publish(shipped, folder, "zoo")
    (folder / "empty").mkdir()
    catalog = Catalog("the-default", shipped, {"shop": mine, "desk": mine}, folder)
    found = catalog.look()
    assert {name: (source.version, source.folder) for name, source in found.items()} == {
        "the-default": (None, shipped),
        "bodkin-26m:shop": (None, mine),
        "bodkin-26m:desk": (None, mine),
        "bodkin-26m:lamps": ("v1", folder / "lamps" / "v1"),
        "bodkin-26m:zoo": ("v2", folder / "zoo" / "v2"),
    }
    assert list(found) == [
        "the-default",
        "bodkin-26m:shop",
        "bodkin-26m:desk",
        "bodkin-26m:lamps",
        "bodkin-26m:zoo",
    ]
    assert catalog.configured == {"the-default", "bodkin-26m:shop", "bodkin-26m:desk"}


def test_without_a_store(shipped: Path, tmp_path: Path) -> None:
    assert list(Catalog("m", shipped, {}, tmp_path / "nowhere").look()) == ["m"]


def test_a_switch_shows(shipped: Path, mine: Path, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    catalog = Catalog("m", shipped, {}, folder)
    store.publish(shipped, folder, "mytools")
    first = catalog.look()
    assert catalog.look() == first
    store.publish(mine, folder, "mytools")
    second = catalog.look()
    assert second["bodkin-26m:mytools"] != first["bodkin-26m:mytools"]
    assert second["m"] == first["m"]
    store.rollback(folder, "mytools")
    assert catalog.look() == first
    shutil.rmtree(folder / "mytools")
    assert list(catalog.look()) == ["m"]


@pytest.mark.parametrize("file", ["manifest.json", *FILES])
def test_a_file_that_is_replaced_shows_though_size_and_time_are_the_same(shipped: Path, file: str) -> None:
    before = stamp(shipped)
    status = (shipped / file).stat()
    other = shipped / "other"
    other.write_bytes(bytes(status.st_size))
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(shipped / file)
    assert stamp(shipped) != before


@pytest.mark.parametrize("file", ["manifest.json", *FILES])
def test_a_file_that_is_rewritten_or_missing_shows(shipped: Path, file: str) -> None:
    before = stamp(shipped)
    with (shipped / file).open("r+b") as f:
        f.write(b"?")
    rewritten = stamp(shipped)
    assert rewritten != before
    (shipped / file).unlink()
    assert stamp(shipped) not in (before, rewritten)


def test_a_new_manifest_shows(shipped: Path, tmp_path: Path) -> None:
    catalog = Catalog("m", shipped, {}, tmp_path / "nowhere")
    before = catalog.look()
    set_calibration(shipped, {"version": 1})
    assert catalog.look() != before


def test_a_folder_behind_a_link_is_read_as_it_was_found(shipped: Path, mine: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(shipped)
    catalog = Catalog("m", link, {}, tmp_path / "nowhere")
    found = catalog.look()["m"]
    link.unlink()
    link.symlink_to(mine)
    assert read_manifest(found.folder) == read_manifest(shipped)
    assert catalog.look()["m"].folder == mine


def test_created_is_when_the_artifact_was_put_there(shipped: Path, tmp_path: Path) -> None:
    os.utime(shipped / "manifest.json", (1_700_000_000, 1_700_000_000))
    assert Catalog("m", shipped, {}, tmp_path / "nowhere").look()["m"].created == 1_700_000_000
    assert Catalog("m", tmp_path / "gone", {}, tmp_path / "nowhere").look()["m"].created == 0


def test_while_the_store_cannot_be_read_its_models_stay(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "store"
    store.publish(shipped, folder, "mytools")
    catalog = Catalog("m", shipped, {}, folder)
    before = catalog.look()

    def stale(path: object) -> str:
        raise OSError(116, "Stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr(os, "readlink", stale)
        assert catalog.look() == catalog.look() == before
    assert caplog.text.count("Stale file handle") == 1
    shutil.rmtree(folder / "mytools")
    assert list(catalog.look()) == ["m"]
