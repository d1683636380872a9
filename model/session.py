"""The only module that imports ONNX Runtime: the artifact's two graphs as numpy functions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from model.errors import RuntimeMissingError
from model.manifest import EMBEDDING
from model.parameters import NO_PARAMETER
from model.prompt import Prompt
from model.tokenizer import PAD, Tokenizer

if TYPE_CHECKING:
    import onnxruntime

Float = npt.NDArray[np.float32]
Int = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Encoding:
    """One encoded text of T tokens: a tool or a conversation.

    `ids`, `twins`, `words` [T]; `owner` [T] the number of the parameter in whose lines each token of a tool is, or
    NO_PARAMETER; `pool` the range that `pooled` [width] is of; it and, of a tool's P parameters, `parameters`
    [P, width] are of unit length;
    `keys`, `values` [layers, T, kv_width]; `copy_keys` [T, copy_width].
    """

    ids: Int
    twins: Int
    words: Int
    owner: Int
    pool: tuple[int, int]
    pooled: Float
    parameters: npt.NDArray[Any]
    keys: npt.NDArray[Any]
    values: npt.NDArray[Any]
    copy_keys: npt.NDArray[Any]

    @property
    def nbytes(self) -> int:
        texts = (self.ids, self.twins, self.words, self.owner)
        states = (self.pooled, self.parameters, self.keys, self.values, self.copy_keys)
        return sum(a.nbytes for a in (*texts, *states))


@dataclass(frozen=True)
class Source:
    """What B decoder rows read, S tokens each: every row a conversation and, unless it stands for NONE, a tool."""

    keys: Float  # [layers, B, S, kv_width]
    values: Float
    copy_keys: Float  # [B, S, copy_width]
    ids: Int  # [B, S]
    twins: Int
    readable: Float  # [B, S]


@dataclass(frozen=True)
class Step:
    """One decoder step: `route` [B], `probabilities` [N, V], `copied` [N, S]; the cache [layers, B, P+L, kv_width]."""

    route: Float
    probabilities: Float
    copied: Float
    keys: Float
    values: Float


class Session:
    """The graphs of one artifact folder. Thread-safe: ONNX Runtime sessions are, and nothing else is kept.

    Args:
        folder: the artifact.
        tokenizer: the artifact's.
        sizes: the manifest's network sizes.
        threads: of ONNX Runtime, for one operator.
        half: keep encodings in float16, half the memory; on for int8 artifacts, whose error is larger than that.
    """

    def __init__(self, folder: Path, tokenizer: Tokenizer, sizes: dict[str, int], threads: int, half: bool) -> None:
        self._encoder = _load(folder / "encoder.onnx", threads)
        self._decoder = _load(folder / "decoder.onnx", threads)
        self._twins, self._words, self.shapes = tokenizer.twins, tokenizer.words, tokenizer.shapes
        self.sizes = sizes
        self._dtype = np.float16 if half else np.float32
        self._covered = self._read_covered()

    def encode(self, prompts: Sequence[Prompt]) -> list[Encoding]:
        """Encode texts in one padded run. Call with texts of like length."""
        ids, (pooled, keys, values, copy_keys) = self._encode(prompts)
        encodings = []
        for row, prompt in enumerate(prompts):
            size = len(prompt.ids)
            encodings.append(
                Encoding(
                    ids[row, :size].copy(),
                    self._twins[ids[row, :size]],
                    self._words[ids[row, :size]],
                    _owner(prompt),
                    prompt.pool,
                    pooled[row, 0].copy(),
                    pooled[row, 1 : len(prompt.ranges)].astype(self._dtype),
                    keys[:, row, :size].astype(self._dtype),
                    values[:, row, :size].astype(self._dtype),
                    copy_keys[row, :size].astype(self._dtype),
                )
            )
        return encodings

    def pool(self, prompts: Sequence[Prompt]) -> Float:
        """The texts' own vectors [len(prompts), width], of unit length. Call with texts of like length."""
        _, outputs = self._encode(prompts)
        pooled: Float = outputs[0]
        return pooled[:, 0]

    def _encode(self, prompts: Sequence[Prompt]) -> tuple[Int, Any]:
        """The padded ids [B, T], and the encoder's outputs: pooled [B, ranges, width], keys, values, copy_keys."""
        length = max(len(p.ids) for p in prompts)
        ids = np.full((len(prompts), length), PAD, np.int64)
        pool = np.zeros((len(prompts), max(len(p.ranges) for p in prompts), length), np.float32)
        for row, prompt in enumerate(prompts):
            ids[row, : len(prompt.ids)] = prompt.ids
            for k, (start, end) in enumerate(prompt.ranges):
                pool[row, k, start:end] = 1.0
        return ids, self._encoder.run(None, {"ids": ids, "pool": pool})

    def source(self, conversation: Encoding, tools: Sequence[Encoding | None]) -> Source:
        """One row per tool, each behind the conversation; None makes a row that reads the conversation only."""
        first = len(conversation.ids)
        length = first + max(0 if t is None else len(t.ids) for t in tools)
        rows, c = len(tools), self.sizes
        kv_width = c["kv_heads"] * c["width"] // c["heads"]
        keys = np.zeros((c["decoder_layers"], rows, length, kv_width), np.float32)
        values = np.zeros_like(keys)
        copy_keys = np.zeros((rows, length, c["copy_width"]), np.float32)
        ids = np.full((rows, length), PAD, np.int64)
        twins = np.full((rows, length), PAD, np.int64)
        readable = np.zeros((rows, length), np.float32)
        # The conversation is converted once and copied to all rows by broadcasting.
        keys[:, :, :first], values[:, :, :first] = conversation.keys[:, None], conversation.values[:, None]
        copy_keys[:, :first], ids[:, :first], twins[:, :first] = (
            conversation.copy_keys,
            conversation.ids,
            conversation.twins,
        )
        readable[:, :first] = 1.0
        for row, tool in enumerate(tools):
            if tool is None:
                continue
            end = first + len(tool.ids)
            keys[:, row, first:end], values[:, row, first:end] = tool.keys, tool.values
            copy_keys[row, first:end], ids[row, first:end], twins[row, first:end] = tool.copy_keys, tool.ids, tool.twins
            readable[row, first:end] = 1.0
        return Source(keys, values, copy_keys, ids, twins, readable)

    def mark_copied(self, conversation: Encoding, copied: Float) -> Encoding:
        """The conversation as a slot reads it behind calls that copied so much of each of its tokens [T], 0..1."""
        keys, values = (copied[:, None] * covered for covered in self._covered)
        return replace(conversation, keys=conversation.keys + keys, values=conversation.values + values)

    def _read_covered(self) -> tuple[Float, Float]:
        """What is added to the keys and values of a token that was copied, [layers, 1, kv_width] each.

        The graph that would add it to all tokens of every step does without it, and has it among its metadata.
        """
        c = self.sizes
        stored = self._decoder.get_modelmeta().custom_metadata_map.get("decoder.covered")
        both = np.zeros((c["decoder_layers"], 2, 1, c["kv_heads"] * c["width"] // c["heads"]), np.float32)
        if stored is not None:  # artifacts of version 4 do not have it
            both += np.array(json.loads(stored), np.float32).reshape(both.shape)
        return both[:, 0], both[:, 1]

    def empty_cache(self) -> tuple[Float, Float]:
        """The decoder's self-attention cache before the first token: keys and values [layers, 1, 0, kv_width]."""
        c = self.sizes
        empty = np.zeros((c["decoder_layers"], 1, 0, c["kv_heads"] * c["width"] // c["heads"]), np.float32)
        return empty, empty

    def step(
        self,
        ids: Int,
        vectors: Float,
        past: tuple[Float, Float],
        source: Source,
        similarity: Float,
        overlap: Float,
        fill: Int,
        matches: Int,
        used: Float,
        before: Float,
        links: Float,
    ) -> Step:
        """Run the decoder; shapes as in `training.export.DecoderGraph`.

        `matches`, `used`, `before` [N, S] and `links` [N, S, FEATURES] belong to the rows `fill`.
        """
        outputs = self._decoder.run(
            None,
            {
                "ids": ids,
                "vectors": vectors,
                "past_keys": past[0],
                "past_values": past[1],
                "keys": source.keys,
                "values": source.values,
                "readable": source.readable,
                "similarity": similarity,
                "overlap": overlap,
                "fill": fill,
                "copy_keys": source.copy_keys[fill],
                "source": source.ids[fill],
                "twins": source.twins[fill],
                "matches": matches,
                "used": used,
                "before": before,
                "links": links,
            },
        )
        return Step(*outputs)


def _owner(prompt: Prompt) -> Int:
    """[T]: the number of the parameter in whose lines each token is, or NO_PARAMETER."""
    owner = np.full(len(prompt.ids), NO_PARAMETER, np.int64)
    for number, (start, end) in enumerate(prompt.parameters):
        owner[start:end] = number
    return owner


def _load(path: Path, threads: int) -> onnxruntime.InferenceSession:
    try:
        import onnxruntime
    except ImportError:
        raise RuntimeMissingError(
            "ONNX Runtime is not installed: pip install 'bodkin[cpu]' (or 'bodkin[gpu]' for CUDA)"
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Idle worker threads sleep instead of spinning: a sidecar must not burn its host's cores between requests.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Given from memory, because ONNX Runtime would map the file: written to, it would change or kill a running session.
    table = (path.parent / EMBEDDING).read_bytes()
    options.add_external_initializers_from_files_in_memory([EMBEDDING], [table], [len(table)])
    available = onnxruntime.get_available_providers()
    providers = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in available]
    return onnxruntime.InferenceSession(path, options, providers=providers)
