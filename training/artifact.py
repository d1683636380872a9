"""An exported artifact as the start of training: its weights, read back from the graphs that are served."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from model.manifest import EMBEDDING, read_manifest
from training.config import ModelConfig
from training.network import Network


def artifact_network(folder: Path) -> Network:
    """The network of an artifact folder, int8 weights dequantised, in evaluation mode.

    Raises `ArtifactError` for a folder that is none, ValueError for one whose graphs do not name their weights.
    """
    manifest = read_manifest(folder)
    sizes: dict[str, Any] = dict(manifest.sizes)
    network = Network(ModelConfig(**sizes))
    tensors: dict[str, Tensor] = {}
    for part in ("encoder", "decoder"):
        graph = onnx.load(folder / f"{part}.onnx", load_external_data=False)
        tensors |= _weights(graph, network, (folder / EMBEDDING).read_bytes())
    missing = {name for name, _ in network.named_parameters()} - tensors.keys()
    if manifest.artifact_version == 4:
        missing -= {"decoder.covered"}  # zero
    if missing:
        raise ValueError(f"{folder} does not name all of its weights ({min(missing)}): export it again")
    network.load_state_dict(tensors, strict=False)  # the shared embedding has two names and is given under one
    return network.eval()


def average(network: Network, others: Sequence[Network]) -> None:
    """Set the weights, in place, to the mean of themselves and of others', all trained from one start, or that start.

    They are then near one minimum, whose middle often answers better than any of them (Wortsman et al. 2022: model
    soups; with the start itself, WiSE-FT). RuntimeError for other sizes.
    """
    states = [network.state_dict(), *(other.state_dict() for other in others)]
    network.load_state_dict({name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]})


def _weights(model: onnx.ModelProto, network: Network, table: bytes) -> dict[str, Tensor]:
    """The parameters that this graph holds, by name."""
    stored = {i.name: i for i in model.graph.initializer}
    folded = {p.key: p.value for p in model.metadata_props}

    as_declared = {n.input[1] for n in model.graph.node if n.op_type == "Gemm"} | {"encoder.positions.weight"}

    def array(name: str) -> npt.NDArray[np.float32]:
        return np.array(numpy_helper.to_array(stored[name]), np.float32)

    found: dict[str, Tensor] = {}
    for name, parameter in network.named_parameters():
        value: npt.NDArray[np.float32] | None = None
        if name == "encoder.embedding.weight":
            if "embedding_scales" in stored:
                rows = np.frombuffer(table, np.int8).reshape(parameter.shape)
                value = rows.astype(np.float32) * array("embedding_scales")[:, None]
            else:
                value = np.frombuffer(table, np.float32).reshape(parameter.shape).copy()
        elif quantised := next((n for n in (name, f"{name}_Transposed") if f"{n}_quantized" in stored), None):
            steps = array(f"{quantised}_quantized") - array(f"{quantised}_zero_point")
            value = (steps * array(f"{quantised}_scale")).T
        elif name in stored:
            value = array(name)
            if value.ndim == 2 and name not in as_declared:  # a product with the transposed weight
                value = value.T
        elif name in folded:
            value = np.array(json.loads(folded[name]), np.float32)
        if value is not None:
            found[name] = torch.from_numpy(np.ascontiguousarray(value))
    return found
