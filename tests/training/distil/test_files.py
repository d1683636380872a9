"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from training.distil.files import write_whole


def test_a_file_is_written_line_by_line_into_a_folder_that_need_not_be_there(tmp_path: Path) -> None:
    write_whole(tmp_path / "a" / "b" / "file", ["one", "zwölf"])
    assert (tmp_path / "a" / "b" / "file").read_bytes() == "one\nzwölf\n".encode()
    assert [p.name for p in (tmp_path / "a" / "b").iterdir()] == ["file"]


def test_until_all_is_on_the_disk_the_old_file_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, fsync, seen = tmp_path / "file", os.fsync, []
    write_whole(path, ["old"])

    def spy(file: int) -> None:
        fsync(file)
        seen.append((path.read_text(), os.fstat(file).st_size))

    monkeypatch.setattr(os, "fsync", spy)

    def lines() -> Iterator[str]:
        yield "new"
        assert path.read_text() == "old\n"

    write_whole(path, lines())
    assert seen == [("old\n", 4)] and path.read_text() == "new\n"
