"""The corpora's files: found, fetched and checked against the table."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import Corpus
from training.data import download
from training.data.sources import clinc150


def test_table_is_complete() -> None:
    for name, file in download.read_table(Path(download.__file__).with_name("files.toml")).items():
        assert file.path == name
        assert len(file.sha256) == 64
        assert file.repository and file.commit and file.licence


def test_default_root_is_in_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(download.DATA_DIR_VARIABLE, raising=False)
    assert download.corpus_root() == Path.home() / ".cache" / "bodkin" / "data"


def test_missing_file_says_what_to_do(corpus: Corpus, tmp_path: Path) -> None:
    corpus("clinc150/data/data_full.json.gz", {}, lines=False)
    (tmp_path / "clinc150/data/data_full.json.gz").unlink()
    with pytest.raises(download.MissingCorpusError) as caught:
        list(clinc150.load())
    for part in ("clinc150/data/data_full.json.gz", str(tmp_path), "owner/upstream@abc123", "BODKIN_DATA_DIR", "MIT"):
        assert part in str(caught.value)


def test_unlisted_file_is_refused(corpus: Corpus) -> None:
    with pytest.raises(download.CorpusError, match="not listed"):
        download.corpus_file("eval/secret.jsonl")


def test_checksum_mismatch(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "exclude.jsonl").write_text("{}\n")
    with pytest.raises(download.ChecksumError, match="exclude.jsonl"):
        download.corpus_file("exclude.jsonl")


def test_file_is_hashed_once(corpus: Corpus, tmp_path: Path) -> None:
    path = download.corpus_file("exclude.jsonl")
    path.write_text("changed later")
    assert download.corpus_file("exclude.jsonl") == path


@pytest.fixture
def mirror(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder served over HTTP, named by `BODKIN_DATA_URL`."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

    folder = tmp_path_factory.mktemp("mirror")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv(download.DATA_URL_VARIABLE, f"http://127.0.0.1:{server.server_port}/")
        yield folder
        server.shutdown()
        thread.join()


def test_download(corpus: Corpus, mirror: Path, tmp_path: Path) -> None:
    corpus("some/rows.jsonl", [{"a": 1}])
    original = tmp_path / "some/rows.jsonl"
    (mirror / "some").mkdir()
    data = original.read_bytes()
    (mirror / "some/rows.jsonl").write_bytes(data)
    original.unlink()
    assert download.corpus_file("some/rows.jsonl").read_bytes() == data
    assert [path.name for path in original.parent.iterdir()] == ["rows.jsonl"]


def test_download_of_other_bytes_leaves_nothing(corpus: Corpus, mirror: Path, tmp_path: Path) -> None:
    corpus("some/rows.jsonl", [{"a": 1}])
    (tmp_path / "some/rows.jsonl").unlink()
    (mirror / "some").mkdir()
    (mirror / "some/rows.jsonl").write_text("tampered")
    with pytest.raises(download.ChecksumError, match="expected"):
        download.corpus_file("some/rows.jsonl")
    assert list((tmp_path / "some").iterdir()) == []


def test_download_of_absent_file(corpus: Corpus, mirror: Path, tmp_path: Path) -> None:
    corpus("some/rows.jsonl", [])
    (tmp_path / "some/rows.jsonl").unlink()
    with pytest.raises(download.MissingCorpusError, match="404"):
        download.corpus_file("some/rows.jsonl")
