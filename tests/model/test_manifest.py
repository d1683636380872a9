"""A manifest vouches for its folder: whatever is damaged or foreign is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from model.errors import ArtifactError
from model.manifest import FILES, add_info, read_manifest, set_calibration, write_manifest
from model.prompt import FORMAT_VERSION


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).write_bytes(name.encode() * 100)
    write_manifest(
        tmp_path,
        prompt_format=FORMAT_VERSION,
        precision="int8",
        parameters=26,
        sizes={"width": 4, "max_positions": 512},
        info={"data": "é"},
    )
    return tmp_path


def rewrite(folder: Path, **fields: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_round_trip(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert (manifest.precision, manifest.parameters, manifest.max_tokens) == ("int8", 26, 512)
    assert manifest.info == {"data": "é"}
    assert set(manifest.files) == {"encoder.onnx", "decoder.onnx", "embedding.bin", "tokenizer.json"}
    assert sorted(p.name for p in folder.iterdir()) == sorted([*FILES, "manifest.json"])


def test_a_calibration_is_put_beside_what_is_there(folder: Path) -> None:
    assert read_manifest(folder).calibration is None
    before = read_manifest(folder)
    set_calibration(folder, {"version": 1})
    manifest = set_calibration(folder, {"version": 2})
    assert manifest == read_manifest(folder)
    assert (manifest.calibration, manifest.info, manifest.files) == ({"version": 2}, before.info, before.files)
    assert add_info(folder, {"scores": 1}).calibration == {"version": 2}
    assert sorted(p.name for p in folder.iterdir()) == sorted([*FILES, "manifest.json"])


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_model_gets_no_calibration(name: str, folder: Path) -> None:
    (folder / name).write_bytes(b"other weights")
    before = (folder / "manifest.json").read_text(encoding="utf-8")
    with pytest.raises(ArtifactError, match=name):
        set_calibration(folder, {"version": 1})
    assert (folder / "manifest.json").read_text(encoding="utf-8") == before


@pytest.mark.parametrize("name", FILES)
def test_one_changed_bit(name: str, folder: Path) -> None:
    data = bytearray((folder / name).read_bytes())
    data[37] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(ArtifactError, match=f"{name} is damaged"):
        read_manifest(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_or_missing_file(name: str, folder: Path) -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:-1])
    with pytest.raises(ArtifactError, match=f"{name} is damaged"):
        read_manifest(folder)
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=f"{name} is missing"):
        read_manifest(folder)


@pytest.mark.parametrize("field", ["prompt_format", "artifact_version"])
def test_another_format_is_refused(field: str, folder: Path) -> None:
    rewrite(folder, **{field: 99})
    with pytest.raises(ArtifactError, match="99"):
        read_manifest(folder)


def test_a_file_that_the_manifest_does_not_list(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]["decoder.onnx"]
    rewrite(folder, files=manifest["files"])
    with pytest.raises(ArtifactError, match="decoder.onnx"):
        read_manifest(folder)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "3", '{"artifact_version": 1}', '{"unknown": 1}', "\u00ff\u00fe"]
)
def test_what_is_no_manifest(text: str, folder: Path) -> None:
    (folder / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ArtifactError, match="manifest"):
        read_manifest(folder)


@pytest.mark.parametrize("field", ["sizes", "files"])
@pytest.mark.parametrize("value", [None, [], "x"])
def test_fields_of_the_wrong_type(field: str, value: Any, folder: Path) -> None:
    rewrite(folder, **{field: value})
    with pytest.raises(ArtifactError, match="manifest"):
        read_manifest(folder)


@pytest.mark.parametrize("missing", ["folder", "manifest"])
def test_no_artifact(missing: str, folder: Path) -> None:
    (folder / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match="no model artifact in .*manifest.json is missing"):
        read_manifest(folder if missing == "manifest" else folder / "nowhere")
