"""A trained network to the artifact that the server runs: two ONNX graphs, int8 or fp32, tokenizer, manifest.

Both graphs use one token embedding, and the decoder also its transpose as output projection. It is stored once, in
`embedding.bin`, as external data of both graphs. In int8 every row (token) has its own scale, which serves both uses.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxslim
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import Tensor, nn

from model.links import FEATURES, OVERLAPS
from model.manifest import EMBEDDING, Manifest, write_manifest
from model.prompt import FORMAT_VERSION
from model.tokenizer import Tokenizer
from training.network import MASKED, Network, attend

OPSET = 18


class EncoderGraph(nn.Module):
    """`encoder.onnx`: ids [B, T] and pool [B, K, T] to an encoding.

    `embedding` is an input here, so that export leaves it be.
    """

    inputs = {"ids": {0: "B", 1: "T"}, "pool": {0: "B", 1: "K", 2: "T"}}
    outputs = {
        "pooled": {0: "B", 1: "K"},
        "keys": {1: "B", 2: "T"},
        "values": {1: "B", 2: "T"},
        "copy_keys": {0: "B", 1: "T"},
    }

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.encoder = network.encoder

    def forward(self, embedding: Tensor, ids: Tensor, pool: Tensor) -> tuple[Tensor, ...]:
        with _shared_embedding(self.encoder, embedding):
            return tuple(self.encoder(ids, pool))


class DecoderGraph(nn.Module):
    """`decoder.onnx`: one step of B rows and L tokens behind P cached ones, reading S source tokens.

    Inputs: `ids` [B, L], `vectors` [B, L, width], `past_keys`/`past_values` [layers, B, P, kv], `keys`/`values`
    [layers, B, S, kv], `readable` [B, S] (1.0 or 0.0), `similarity` [B], `overlap` [B, OVERLAPS]; and for the N rows
    `fill` whose next token is wanted: `copy_keys` [N, S, copy], `source`, `twins`, `matches` [N, S] (ids, no-space ids,
    induction matches 0..3), `used` and `before` [N, S] (how much of each source token this call and earlier ones have
    copied, 0..1), `links` [N, S, FEATURES] of `model.links`.
    Outputs: `route` [B] scores; `probabilities` [N, V] after the last token; `copied` [N, S] the copy attention without
    regard to `used` and `before`; `new_keys`/`new_values` [layers, B, P+L, kv].
    """

    inputs = {
        "ids": {0: "B", 1: "L"},
        "vectors": {0: "B", 1: "L"},
        "past_keys": {1: "B", 2: "P"},
        "past_values": {1: "B", 2: "P"},
        "keys": {1: "B", 2: "S"},
        "values": {1: "B", 2: "S"},
        "readable": {0: "B", 1: "S"},
        "similarity": {0: "B"},
        "overlap": {0: "B"},
        "fill": {0: "N"},
        "copy_keys": {0: "N", 1: "S"},
        "source": {0: "N", 1: "S"},
        "twins": {0: "N", 1: "S"},
        "matches": {0: "N", 1: "S"},
        "used": {0: "N", 1: "S"},
        "before": {0: "N", 1: "S"},
        "links": {0: "N", 1: "S"},
    }
    outputs = {
        "route": {0: "B"},
        "probabilities": {0: "N"},
        "copied": {0: "N", 1: "S"},
        "new_keys": {1: "B", 2: "P+L"},
        "new_values": {1: "B", 2: "P+L"},
    }

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.decoder = network.decoder

    def forward(
        self,
        embedding: Tensor,
        ids: Tensor,
        vectors: Tensor,
        past_keys: Tensor,
        past_values: Tensor,
        keys: Tensor,
        values: Tensor,
        readable: Tensor,
        similarity: Tensor,
        overlap: Tensor,
        fill: Tensor,
        copy_keys: Tensor,
        source: Tensor,
        twins: Tensor,
        matches: Tensor,
        used: Tensor,
        before: Tensor,
        links: Tensor,
    ) -> tuple[Tensor, ...]:
        past, length = past_keys.shape[2], ids.shape[1]
        at = torch.arange(length, device=ids.device) + past
        causal = torch.where(torch.arange(past + length, device=ids.device)[None] <= at[:, None], 0.0, MASKED)
        reading = (1.0 - readable) * MASKED
        attention = _CachedAttention(
            past_keys,
            past_values,
            causal[None, None],
            keys,
            values,
            reading[:, None, None],
            self.decoder.config.head_width,
        )
        with _shared_embedding(self.decoder, embedding):
            hidden = self.decoder(ids, vectors, at[None].expand(ids.shape), attention)
            last = hidden[:, -1]
            route = self.decoder.route_scores(last, similarity, overlap)
            chosen = last.index_select(0, fill)[:, None]  # [N, 1, width]
            scores = self.decoder.copy_scores(
                chosen, copy_keys, matches[:, None], reading.index_select(0, fill)[:, None]
            ) + self.decoder.link(chosen, links[:, None])
            coverage = self.decoder.coverage(chosen, used[:, None], before[:, None])
            copied = (scores + coverage).softmax(-1)[:, 0]
            gates = self.decoder.gates(chosen[:, 0])
            probabilities = gates[:, :1] * self.decoder.vocab_logits(chosen[:, 0]).softmax(-1)
        probabilities = probabilities.scatter_add(1, source, gates[:, 1:2] * copied)
        probabilities = probabilities.scatter_add(1, twins, gates[:, 2:] * copied)
        new_keys, new_values = torch.stack(attention.keys), torch.stack(attention.values)
        return route, probabilities, scores[:, 0].softmax(-1), new_keys, new_values


class _CachedAttention:
    """`training.network.Attention` behind a cache; `keys`, `values` are its continuation, layer by layer."""

    def __init__(
        self,
        past_keys: Tensor,
        past_values: Tensor,
        own_bias: Tensor,
        memory_keys: Tensor,
        memory_values: Tensor,
        memory_bias: Tensor,
        head_width: int,
    ) -> None:
        self.past = past_keys, past_values
        self.own_bias = own_bias
        self.memory = memory_keys, memory_values
        self.memory_bias = memory_bias
        self.head_width = head_width
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []

    def own(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        self.keys.append(torch.cat((self.past[0][layer], k), dim=1))
        self.values.append(torch.cat((self.past[1][layer], v), dim=1))
        return attend(q, self.keys[-1], self.values[-1], self.own_bias, self.head_width)

    def read(self, layer: int, q: Tensor) -> Tensor:
        return attend(q, self.memory[0][layer], self.memory[1][layer], self.memory_bias, self.head_width)


class _shared_embedding:
    """Lets a module read its token embedding from a graph input for the length of a `with`."""

    def __init__(self, module: nn.Module, weight: Tensor) -> None:
        self.module, self.weight = module, weight

    def __enter__(self) -> None:
        self.original = self.module.embedding
        self.module.embedding = _Lookup(self.weight)

    def __exit__(self, *_: object) -> None:
        self.module.embedding = self.original


class _Lookup(nn.Module):
    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, ids: Tensor) -> Tensor:
        return nn.functional.embedding(ids, self.weight)


def export(
    network: Network, tokenizer: Tokenizer, out: Path, int8: bool = True, info: dict[str, Any] | None = None
) -> Manifest:
    """Write the artifact to folder `out`, whole or not at all: it is built beside it and renamed into place.

    `info` goes into the manifest as it is (training data digest, scores, calibration). ValueError for a network that
    does without one of its parts.
    """
    if network.config.not_served:
        raise ValueError(f"a network {', '.join(network.config.not_served)} cannot be served")
    network = network.eval().float().cpu()
    out.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        embedding = network.encoder.embedding.weight.detach().numpy()
        table, scales = quantise_rows(embedding) if int8 else (embedding, None)
        (building / EMBEDDING).write_bytes(np.ascontiguousarray(table).tobytes())
        for name, graph, example in (
            ("encoder", EncoderGraph(network), _encoder_example()),
            ("decoder", DecoderGraph(network), _decoder_example(network)),
        ):
            # Fewer small nodes: at one row and a few tokens they cost as much as the matrices.
            model = onnxslim.slim(_trace(graph, network.encoder.embedding.weight.detach(), example))
            _name_weights(model, network, f"{name}.")
            path = building / f"{name}.onnx"
            if int8:
                onnx.save(model, path)
                quantize_dynamic(
                    path,
                    path,
                    per_channel=True,
                    weight_type=QuantType.QInt8,
                    op_types_to_quantize=["MatMul"],
                    extra_options={"MatMulConstBOnly": True},
                )
                model = onnx.load(path)
            _share_embedding(model, table, scales)
            onnx.save(model, path)
        (building / "tokenizer.json").write_text(tokenizer.json_text, encoding="utf-8")
        manifest = write_manifest(
            building,
            prompt_format=FORMAT_VERSION,
            precision="int8" if int8 else "fp32",
            parameters=network.parameter_count(),
            sizes={name: size for name, size in asdict(network.config).items() if not isinstance(size, bool)},
            info=info or {},
        )
        _replace_folder(building, out)
        return manifest
    finally:
        shutil.rmtree(building, ignore_errors=True)


def quantise_rows(weights: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Symmetric int8 per row: (values [R, C], scales [R]) with `values * scales[:, None]` near `weights`."""
    scales = np.maximum(np.abs(weights).max(1), 1e-8).astype(np.float32) / 127
    return np.clip(np.rint(weights / scales[:, None]), -127, 127).astype(np.int8), scales


def _trace(graph: EncoderGraph | DecoderGraph, embedding: Tensor, example: tuple[Tensor, ...]) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns of shapes that are dynamic axes below
        torch.onnx.export(
            graph,
            (embedding, *example),
            f"{folder}/graph.onnx",
            input_names=["embedding", *graph.inputs],
            output_names=list(graph.outputs),
            dynamic_axes={**graph.inputs, **graph.outputs},
            opset_version=OPSET,
            dynamo=False,
        )
        return onnx.load(f"{folder}/graph.onnx")


def _name_weights(model: onnx.ModelProto, network: Network, part: str) -> None:
    """Give weights that the tracer named by number their parameter's name, for `training.artifact` to read them back.

    In place, for the parameters whose names begin with `part`. A linear layer's weight is there transposed. What was
    folded into a constant goes into the graph's metadata, and so does what no graph has (`Session.mark_copied`).
    """
    parameters = dict(network.named_parameters())
    floats = {i.name: i for i in model.graph.initializer if i.data_type == TensorProto.FLOAT}
    # One that has a parameter's name keeps it, even where equal tensors of several were merged into it.
    unnamed = {n: numpy_helper.to_array(i) for n, i in floats.items() if n not in parameters}
    names: dict[str, str] = {}
    for name, parameter in parameters.items():
        if not name.startswith(part) or name in floats or name == "encoder.embedding.weight":
            continue
        value = parameter.detach().numpy()
        found = [n for n, array in unnamed.items() if n not in names and np.array_equal(array, value.T)]
        if found:
            names[found[0]] = name
        else:
            model.metadata_props.add(key=name, value=json.dumps(value.tolist()))
    for initializer in model.graph.initializer:
        initializer.name = names.get(initializer.name, initializer.name)
    for node in model.graph.node:
        node.input[:] = [names.get(n, n) for n in node.input]


def _share_embedding(model: onnx.ModelProto, table: npt.NDArray[Any], scales: npt.NDArray[np.float32] | None) -> None:
    """Turn the graph input `embedding` into external data, and rewrite its uses for int8. In place."""
    graph = model.graph
    graph.input.remove(next(i for i in graph.input if i.name == "embedding"))
    kind = TensorProto.FLOAT if scales is None else TensorProto.INT8
    tensor = TensorProto(name="embedding", data_type=kind, dims=table.shape, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", EMBEDDING), ("offset", "0"), ("length", str(table.nbytes))):
        tensor.external_data.add(key=key, value=value)
    graph.initializer.append(tensor)
    if scales is None:
        return
    graph.initializer.append(numpy_helper.from_array(scales, "embedding_scales"))
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        uses = list(node.input)
        if node.op_type == "Gather" and uses[0] == "embedding":
            nodes += _int8_lookup(node)
        elif node.op_type == "MatMul" and uses[1] == _transposed(graph, "embedding"):
            nodes += _int8_projection(node)
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]  # the traced types of what is int8 now


def _transposed(graph: onnx.GraphProto, name: str) -> str | None:
    return next((n.output[0] for n in graph.node if n.op_type == "Transpose" and n.input[0] == name), None)


def _int8_lookup(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    ids, out = node.input[1], node.output[0]
    axes = f"{out}_axes"
    return [
        helper.make_node("Gather", ["embedding", ids], [f"{out}_int8"]),
        helper.make_node("Cast", [f"{out}_int8"], [f"{out}_raw"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["embedding_scales", ids], [f"{out}_scale"]),
        helper.make_node("Constant", [], [axes], value_ints=[-1]),
        helper.make_node("Unsqueeze", [f"{out}_scale", axes], [f"{out}_scales"]),
        helper.make_node("Mul", [f"{out}_raw", f"{out}_scales"], [out]),
    ]


def _int8_projection(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """hidden @ embeddingᵀ, the hidden state quantised dynamically; the embedding's row scales scale the columns."""
    hidden, table, out = node.input[0], node.input[1], node.output[0]
    return [
        helper.make_node("DynamicQuantizeLinear", [hidden], [f"{out}_q", f"{out}_s", f"{out}_z"]),
        helper.make_node("MatMulInteger", [f"{out}_q", table, f"{out}_z"], [f"{out}_int"]),
        helper.make_node("Cast", [f"{out}_int"], [f"{out}_raw"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{out}_s", "embedding_scales"], [f"{out}_scales"]),
        helper.make_node("Mul", [f"{out}_raw", f"{out}_scales"], [out]),
    ]


def _encoder_example() -> tuple[Tensor, ...]:
    return torch.ones(2, 5, dtype=torch.long), torch.ones(2, 3, 5)


def _decoder_example(network: Network) -> tuple[Tensor, ...]:
    c = network.config
    rows, length, past, source, fills = 3, 2, 4, 6, 2
    cache = torch.zeros(c.decoder_layers, rows, past, c.kv_width)
    memory = torch.zeros(c.decoder_layers, rows, source, c.kv_width)
    ones = torch.ones(fills, source, dtype=torch.long)
    return (
        torch.ones(rows, length, dtype=torch.long),
        torch.zeros(rows, length, c.width),
        cache,
        cache,
        memory,
        memory,
        torch.ones(rows, source),
        torch.zeros(rows),
        torch.zeros(rows, OVERLAPS),
        torch.arange(fills),
        torch.zeros(fills, source, c.copy_width),
        ones,
        ones,
        ones,
        torch.zeros(fills, source),
        torch.zeros(fills, source),
        torch.zeros(fills, source, FEATURES),
    )


def _replace_folder(new: Path, old: Path) -> None:
    """Sync the new folder and put it where the old one is; the old one is gone only once the new one is in place."""
    for file in new.iterdir():
        with file.open("rb") as f:
            os.fsync(f.fileno())
    new.chmod(0o755)
    aside = old.with_name(f".{old.name}-old")
    shutil.rmtree(aside, ignore_errors=True)
    if old.exists():
        old.rename(aside)
    new.rename(old)
    shutil.rmtree(aside, ignore_errors=True)
