"""How the tokens of a batch see each other in training, `training.network.Attention` and the encoder's, in two ways.

On a CPU each layer's attention is one call of a compiled kernel over spans of the packed tokens (`training/ragged.py`).
On a GPU, or without a C compiler, it goes bucket by bucket over padded blocks. Both give the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from model.tokenizer import PAD, SLOT
from training.data.batches import NO_TOOL, Batch, Routes
from training.data.packing import Packed
from training.data.reads import Reads
from training.kernel import load_kernel
from training.network import MASKED, Attention, Network, attend, attend_part, merge_parts
from training.ragged import Spans, ragged_attention, ragged_self_attention


class FillAttention(Attention):
    """That of the rows that write calls: every token reads its conversation and its own tool.

    Keeps the self-attention keys and values of all layers, packed, for the route rows behind them.
    """

    kept: list[tuple[Tensor, Tensor]]  # of each layer [N, kv_width]


def text_attention(texts: Packed, head_width: int) -> Callable[[Tensor], Tensor]:
    """The encoder's: every text reads itself. Maps queries, keys and values side by side [N, 3*width] to [N, width]."""
    if _compiled(texts.ids):
        spans = Spans(_places(texts.start, texts.length, texts.start, texts.length))
        return lambda qkv: ragged_self_attention(qkv, spans, head_width)
    padding = [bias(ids != PAD)[:, None, None] for ids in texts.split(texts.ids)]

    def attention(qkv: Tensor) -> Tensor:
        out = []
        for part, hidden in zip(texts.split(qkv), padding, strict=True):
            q, k, v = part.chunk(3, dim=-1)
            out.append(attend(q, k, v, hidden, head_width))
        return texts.join(out)

    return attention


def fill_attention(network: Network, batch: Batch, cross: Tensor, reads: list[Tensor]) -> FillAttention:
    """cross [N, layers * 2 * kv_width] of the texts; `reads` [b, L, S] of each decoder bucket: what its tokens read."""
    if _compiled(cross):
        return RaggedFill(network, batch, cross)
    return PaddedFill(network, batch.decoder, take_all(cross, [s.index for s in batch.sources]), reads)


def route_attention(network: Network, batch: Batch, cross: Tensor, fill: FillAttention) -> Attention:
    """That of the route rows: one token each, behind the calls before its slot, which `fill` has seen.

    cross [N + J, ..]: of the texts and, behind them, of the `Reread`.
    """
    if _compiled(cross):
        return RaggedRoute(network, batch, cross, fill.kept)
    return PaddedRoute(network, batch.routes, cross, torch.cat([x for pair in fill.kept for x in pair], dim=-1))


def _compiled(x: Tensor) -> bool:
    return x.device.type == "cpu" and load_kernel() is not None


class RaggedFill(FillAttention):
    def __init__(self, network: Network, batch: Batch, cross: Tensor) -> None:
        config = network.config
        self.head_width = config.head_width
        self.cross = cross.split(config.kv_width, dim=-1)  # keys and values of each layer in turn
        decoder = batch.decoder
        self.rows = Spans(_places(decoder.start, decoder.length, decoder.start, decoder.length), causal=True)
        self.calls = Spans(call_places(batch))
        self.kept = []

    def own(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        self.kept.append((k, v))
        return ragged_attention(q, k, v, self.rows, self.head_width)

    def read(self, layer: int, q: Tensor) -> Tensor:
        return ragged_attention(q, self.cross[2 * layer], self.cross[2 * layer + 1], self.calls, self.head_width)


class RaggedRoute(Attention):
    def __init__(self, network: Network, batch: Batch, cross: Tensor, kept: list[tuple[Tensor, Tensor]]) -> None:
        config = network.config
        self.head_width = config.head_width
        self.cross = cross.split(config.kv_width, dim=-1)
        self.kept = kept
        routes, texts, tokens = batch.routes, batch.texts, len(batch.decoder.ids)
        row = torch.arange(len(routes.row))
        one = torch.ones_like(row)
        # Itself it finds behind all tokens of the rows that write.
        self.past = Spans(_places(row, one, batch.decoder.start[routes.row], routes.start, tokens + row, one))
        tool = torch.where(routes.tool == NO_TOOL, 0, len(batch) + routes.tool)
        length = texts.length[tool].masked_fill(routes.tool == NO_TOOL, 0)
        conversation = routes.begin, texts.length[routes.row]
        self.texts = Spans(_places(row, one, *conversation, texts.start[tool], length))

    def own(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        keys, values = self.kept[layer]
        return ragged_attention(q, torch.cat((keys, k)), torch.cat((values, v)), self.past, self.head_width)

    def read(self, layer: int, q: Tensor) -> Tensor:
        return ragged_attention(q, self.cross[2 * layer], self.cross[2 * layer + 1], self.texts, self.head_width)


def call_places(batch: Batch) -> Tensor:
    """`Spans.places` of every call's tokens, which read the row's conversation and the tool that is called."""
    decoder, texts = batch.decoder, batch.texts
    slot = torch.nonzero(decoder.ids == SLOT)[:, 0]
    begin, rows = decoder.start.sort()
    row = rows[torch.searchsorted(begin, slot, right=True) - 1]
    # A call goes on to the next slot or, behind its row's last, to the row's end.
    end = torch.minimum(decoder.start[row] + decoder.length[row], F.pad(slot[1:], (0, 1), value=len(decoder.ids)))
    tool = len(batch) + batch.vector[slot]  # at a slot, a tool of the batch
    return _places(slot, end - slot, texts.start[row], texts.length[row], texts.start[tool], texts.length[tool])


def _places(*columns: Tensor) -> Tensor:
    """Two columns of queries and two or four of keys -> `Spans.places`."""
    none = [torch.zeros_like(columns[0])] * (6 - len(columns))
    return torch.stack([*columns, *none], dim=1).contiguous()


class PaddedFill(FillAttention):
    def __init__(self, network: Network, decoder: Packed, reading: list[Tensor], reads: list[Tensor]) -> None:
        config = network.config
        self.head_width, self.kv_width = config.head_width, config.kv_width
        self.decoder = decoder
        self.cross = [x.split(2 * config.kv_width, dim=-1) for x in reading]  # [bucket][layer] [b, S, 2*kv]
        self.cross_bias = [bias(r)[:, None] for r in reads]
        longest = max(length for _, length in decoder.shapes)
        causal = torch.ones(longest, longest, dtype=torch.bool, device=decoder.ids.device).tril()
        self.causal = bias(causal)
        self.kept = []

    def own(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        self.kept.append((k, v))
        out = []
        split = self.decoder.split
        for part in zip(split(q), split(k), split(v), strict=True):
            length = part[0].shape[1]
            bias = self.causal[None, None, :length, :length]
            out.append(attend(*part, bias, self.head_width))
        return self.decoder.join(out)

    def read(self, layer: int, q: Tensor) -> Tensor:
        out = []
        for part, cross, bias in zip(self.decoder.split(q), self.cross, self.cross_bias, strict=True):
            keys, values = cross[layer].split(self.kv_width, dim=-1)
            out.append(attend(part, keys, values, bias, self.head_width))
        return self.decoder.join(out)


class SharedReading:
    """What the route rows read of one kind: its keys and values are taken once for all rows of a chunk."""

    def __init__(self, network: Network, memory: Tensor, reads: Reads) -> None:
        config = network.config
        self.head_width, self.kv_width = config.head_width, config.kv_width
        self.reads = reads
        self.memory = [taken.split(2 * self.kv_width, dim=-1) for taken in take_all(memory, reads.source)]
        self.bias = [bias(readable)[:, None] for readable in reads.readable]

    def attend(self, layer: int, q: Tensor) -> tuple[Tensor, Tensor]:
        """q [n, H*d] -> out [n, H, d] and its weight [n, H], as those of `training.network.attend_part`."""
        padded = F.pad(q, (0, 0, 0, 1))  # the query that is none
        outs, weights = [], []
        for query, memory, bias in zip(self.reads.query, self.memory, self.bias, strict=True):
            keys, values = memory[layer].split(self.kv_width, dim=-1)
            out, weight = attend_part(take(padded, query), keys, values, bias, self.head_width)
            outs.append(out.flatten(0, 1).to(q.dtype))
            weights.append(weight.flatten(0, 1))
        # Last, what a row gets that reads nothing: it weighs nothing.
        outs.append(q.new_zeros(1, q.shape[-1] // self.head_width, self.head_width))
        weights.append(q.new_full(outs[-1].shape[:-1], MASKED, dtype=torch.float32))
        return take(torch.cat(outs), self.reads.place), take(torch.cat(weights), self.reads.place)


class PaddedRoute(Attention):
    def __init__(self, network: Network, routes: Routes, cross: Tensor, past: Tensor) -> None:
        self.head_width = network.config.head_width
        self.past = SharedReading(network, past, routes.past)
        self.texts = [SharedReading(network, cross, reads) for reads in (routes.conversation, routes.declared)]

    def own(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        alone = torch.zeros((), device=q.device)[None, None, None, None]
        out, weight = attend_part(q[:, None], k[:, None], v[:, None], alone, self.head_width)
        return merge_parts([self.past.attend(layer, q), (out[:, 0], weight[:, 0])])

    def read(self, layer: int, q: Tensor) -> Tensor:
        return merge_parts([text.attend(layer, q) for text in self.texts])


def take(x: Tensor, index: Tensor) -> Tensor:
    """x [N, ..], index [..] -> [.., ..]. Unlike that of x[index], its gradient is one `index_add`, which on a GPU
    is quick also where a place is taken thousands of times."""
    return x.index_select(0, index.flatten()).unflatten(0, index.shape)


def take_all(x: Tensor, indices: Sequence[Tensor]) -> list[Tensor]:
    """`take` for each of `indices`, with one `index_add` for all: each costs a pass over the whole of x."""
    if not indices:
        return []
    taken = take(x, torch.cat([index.flatten() for index in indices])).split([index.numel() for index in indices])
    return [part.unflatten(0, index.shape) for part, index in zip(taken, indices, strict=True)]


def bias(allowed: Tensor) -> Tensor:
    return torch.where(allowed, 0.0, MASKED)
