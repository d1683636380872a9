"""Artifacts read back: fp32 to the bit, int8 as it is served, and what is none is refused."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import onnx  # noqa: E402
from onnx import numpy_helper  # noqa: E402

from model import load_engine  # noqa: E402
from model.errors import ArtifactError  # noqa: E402
from model.manifest import read_manifest  # noqa: E402
from model.types import GenerationRequest, ToolChoice  # noqa: E402
from tests.artifact import CITIES, TOOLS, artifact, network, tokenizer, user  # noqa: E402
from tests.training import corpus  # noqa: E402
from training import export as module  # noqa: E402
from training.artifact import artifact_network, average  # noqa: E402
from training.checkpoint import Progress, save_checkpoint  # noqa: E402
from training.cli import export as command  # noqa: E402
from training.config import TrainConfig  # noqa: E402
from training.export import export  # noqa: E402
from training.optimizer import make_optimizer  # noqa: E402


def test_fp32_comes_back_to_the_bit() -> None:
    net = artifact_network(artifact())
    assert net.config == network().config
    assert not net.training
    assert net.encoder.embedding.weight is net.decoder.embedding.weight
    expected = dict(network().named_parameters())
    assert dict(net.named_parameters()).keys() == expected.keys()
    for name, parameter in net.named_parameters():
        assert parameter.requires_grad and parameter.dtype == torch.float32
        assert torch.equal(parameter, expected[name]), name


def test_int8_comes_back_within_a_step_of_what_was_exported() -> None:
    """Matrices are quantised with a scale per column of the product, the embedding with one per token."""
    expected = dict(network().named_parameters())
    rounded = set()
    for name, parameter in artifact_network(artifact(int8=True)).named_parameters():
        weight = expected[name]
        error = (parameter - weight).abs()
        if not error.any():
            continue
        rounded.add(name)
        assert (error <= weight.abs().amax(-1, keepdim=True) / 127 * 0.51 + 1e-9).all(), name
    matrices = {name for name, p in expected.items() if p.ndim == 2 and name != "encoder.positions.weight"}
    assert {"encoder.embedding.weight", "encoder.layers.1.up.weight", "decoder.layers.0.cross_q.weight"} <= rounded
    assert rounded <= matrices


def weights(folder: Path) -> dict[str, np.ndarray]:
    """The integers and scales of an int8 artifact, by name."""
    found = {"embedding": np.fromfile(folder / "embedding.bin", np.int8)}
    for part in ("encoder", "decoder"):
        for tensor in onnx.load(folder / f"{part}.onnx", load_external_data=False).graph.initializer:
            if tensor.name.endswith(("_quantized", "_scale", "embedding_scales")):
                found[tensor.name] = numpy_helper.to_array(tensor)
    return found


def test_an_int8_artifact_read_and_exported_again_is_the_same(tmp_path: Path) -> None:
    folder = artifact(int8=True)
    export(artifact_network(folder), tokenizer(), tmp_path / "again", int8=True)
    before, after = weights(folder), weights(tmp_path / "again")
    assert before.keys() == after.keys() and len(before) > 20
    for name, array in before.items():
        if array.dtype == np.int8:
            assert array.tobytes() == after[name].tobytes(), name
        else:
            np.testing.assert_allclose(after[name], array, rtol=1e-6)
    engines = [load_engine(f, threads=1) for f in (folder, tmp_path / "again")]
    for city in CITIES:
        request = GenerationRequest(user(f"weather in {city}"), TOOLS, ToolChoice("required"), max_tokens=150)
        first, second = (engine.generate(request) for engine in engines)
        assert first.calls == second.calls
        assert first.usage.completion_tokens > 0


def without_covered(folder: Path) -> None:
    """Turn an artifact into one of version 4, in place."""
    model = onnx.load(folder / "decoder.onnx", load_external_data=False)
    kept = [p for p in model.metadata_props if p.key != "decoder.covered"]
    assert len(kept) == len(model.metadata_props) - 1
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    (folder / "decoder.onnx").write_bytes(model.SerializeToString())
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["artifact_version"] = 4
    manifest["files"]["decoder.onnx"] = hashlib.sha256((folder / "decoder.onnx").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_in_an_artifact_of_version_4_nothing_comes_of_what_was_copied(tmp_path: Path) -> None:
    old, still = tmp_path / "old", copy.deepcopy(network())
    shutil.copytree(artifact(), old)
    without_covered(old)
    torch.nn.init.zeros_(still.decoder.covered)
    for name, parameter in artifact_network(old).named_parameters():
        assert torch.equal(parameter, still.get_parameter(name)), name
    export(still, tokenizer(), tmp_path / "still", int8=False)
    engines = [load_engine(folder, threads=1) for folder in (old, tmp_path / "still")]
    several = 0
    for city in CITIES:
        request = GenerationRequest(user(f"weather in {city} and in Paris"), TOOLS, max_tokens=150)
        first, second = (engine.generate(request) for engine in engines)
        assert first.calls == second.calls
        several += len(first.calls) > 1
    assert several


def test_a_folder_without_an_artifact_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="manifest.json is missing"):
        artifact_network(tmp_path)
    shutil.copytree(artifact(), tmp_path / "damaged")
    (tmp_path / "damaged" / "embedding.bin").write_bytes(b"")
    with pytest.raises(ArtifactError, match="embedding.bin is damaged"):
        artifact_network(tmp_path / "damaged")


def test_graphs_that_do_not_name_their_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As those exported by earlier versions: the tracer calls most matrices by number."""
    monkeypatch.setattr(module, "_name_weights", lambda *_: None)
    export(network(), tokenizer(), tmp_path / "old", int8=False)
    with pytest.raises(ValueError, match=r"does not name all of its weights \(decoder.*export it again"):
        artifact_network(tmp_path / "old")


def test_the_mean_lies_between() -> None:
    net = artifact_network(artifact())
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(3.0)
    average(net, [artifact_network(artifact()), artifact_network(artifact())])
    for name, parameter in network().named_parameters():
        torch.testing.assert_close(net.get_parameter(name), 5 / 3 * parameter, msg=name)
    assert net.encoder.embedding.weight is net.decoder.embedding.weight


def test_several_runs_are_exported_as_their_mean(tmp_path: Path) -> None:
    config = TrainConfig()
    for name, scale in (("a", 1.0), ("b", 3.0)):
        net = artifact_network(artifact())
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.mul_(scale)
        progress = Progress(step=10, history=[{"step": 10, "examples": 640}])
        save_checkpoint(
            tmp_path / name / "checkpoint.pt", net, net.encoder, make_optimizer(net, config), progress, config
        )
    shards = corpus.write_shards(tmp_path / "shards", corpus.examples(2, 0), [])
    runs = [str(tmp_path / name) for name in ("a", "b")]
    assert command(["--run", *runs, "--shards", str(shards), "--out", str(tmp_path / "mean"), "--fp32"]) == 0
    mean = artifact_network(tmp_path / "mean")
    for name, parameter in network().named_parameters():
        torch.testing.assert_close(mean.get_parameter(name), 2.0 * parameter, msg=name)
    assert read_manifest(tmp_path / "mean").info["trained"] == {"steps": 20, "examples": 1280}
