"""Attention over spans of a flat row of tokens, in a compiled kernel: for training on a CPU.

Put together from tensor operators, the attention of many short texts is half of a training step there: padding, masks,
copies, and hundreds of small products. `ragged.c` does it in one call a layer. Where the processor has a matrix unit,
`tiled.c` does what is in bf16 and of more than a few rows.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import torch
from torch import Tensor

from training.kernel import load_kernel, matrix_of, matrix_units

WORTH = 8  # rows of a span, on average, from which on tiles are quicker


class Spans(NamedTuple):
    """Who reads what: `places` [n, 6] of queries and keys, both by their first place and their number.

    A row is (query, queries, first, firsts, second, seconds): these queries read two ranges of keys, of which either
    may be empty. No query is in two spans; one in none gets zeros. With `causal`, the i-th query of a span reads the
    first range up to its i-th key.
    """

    places: Tensor
    causal: bool = False


def ragged_attention(q: Tensor, k: Tensor, v: Tensor, spans: Spans, head_width: int) -> Tensor:
    """Grouped-query softmax attention of `spans`, scaled by head_width ** -0.5.

    q [N, H*d]; k, v [M, G*d], H a multiple of G; all float32 or all bfloat16. Sums are in float32.
    Returns [N, H*d].
    """
    out: Tensor = _Attention.apply(q, k, v, spans, head_width)
    return out


def ragged_self_attention(qkv: Tensor, spans: Spans, head_width: int) -> Tensor:
    """`ragged_attention` of queries, keys and values that lie side by side, [N, 3*H*d] -> [N, H*d]; and so do their
    gradients, which are not copied together then."""
    out: Tensor = _SelfAttention.apply(qkv, spans, head_width)
    return out


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, spans: Spans, head_width: int) -> Tensor:
        out, totals = _forward(q, k, v, spans, head_width)
        ctx.save_for_backward(q, k, v, out, totals)
        ctx.spans, ctx.head_width = spans, head_width
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, totals = ctx.saved_tensors
        made = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        _backward((q, k, v, out, grads[0]), totals, made, ctx.spans, ctx.head_width)
        return *made, None, None


class _SelfAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qkv: Tensor, spans: Spans, head_width: int) -> Tensor:
        q, k, v = qkv.chunk(3, dim=-1)
        out, totals = _forward(q, k, v, spans, head_width)
        ctx.save_for_backward(qkv, out, totals)
        ctx.spans, ctx.head_width = spans, head_width
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        qkv, out, totals = ctx.saved_tensors
        made = torch.empty_like(qkv)
        inputs = (*qkv.chunk(3, dim=-1), out, grads[0])
        _backward(inputs, totals, made.chunk(3, dim=-1), ctx.spans, ctx.head_width)
        return made, None, None


def _forward(q: Tensor, k: Tensor, v: Tensor, spans: Spans, head_width: int) -> tuple[Tensor, Tensor]:
    """The result, and of each head and query [H, N] the log of what the exponentiated scores add up to."""
    out = q.new_zeros(q.shape)
    totals = torch.zeros(q.shape[1] // head_width, len(q))
    _run("forward", (q, k, v, out), totals, (), spans, head_width)
    return out, totals


def _backward(
    inputs: tuple[Tensor, ...], totals: Tensor, made: tuple[Tensor, ...], spans: Spans, head_width: int
) -> None:
    """Writes the gradients of queries, keys and values into `made`. Queries of no span have none."""
    made[0].zero_()
    _run("backward", inputs, totals, made, spans, head_width)


def _run(
    name: str,
    inputs: tuple[Tensor, ...],
    totals: Tensor,
    outputs: tuple[Tensor, ...],
    spans: Spans,
    head_width: int,
) -> None:
    kernel = load_kernel()
    assert kernel is not None
    q, k = inputs[:2]
    if any(x.dtype != q.dtype for x in inputs):
        raise ValueError(f"ragged attention of tensors of several types: {[x.dtype for x in inputs]}")
    inputs = tuple(x if x.stride(1) == 1 else x.contiguous() for x in inputs)
    groups = k.shape[1] // head_width
    sizes = (len(q), len(k), groups, q.shape[1] // k.shape[1], head_width, int(spans.causal), torch.get_num_threads())
    way = "tiled" if _tiled(q, k, spans, head_width) else "ragged"
    failed = getattr(kernel, f"{way}_{name}")(
        *(ctypes.byref(matrix_of(x)) for x in inputs),
        ctypes.c_void_p(totals.data_ptr()),
        *(ctypes.byref(matrix_of(x)) for x in outputs),
        ctypes.c_void_p(spans.places.data_ptr()),
        *map(ctypes.c_int64, (len(spans.places), *sizes)),
    )
    if failed:
        raise MemoryError("no memory for the keys and values of a batch")


def _tiled(q: Tensor, k: Tensor, spans: Spans, head_width: int) -> bool:
    """Whether the matrix unit is worth its while: its tiles are of sixteen rows."""
    rows = q.shape[1] // k.shape[1] * int(spans.places[:, 1].sum())
    return q.dtype == torch.bfloat16 and head_width == 32 and rows >= WORTH * len(spans.places) and matrix_units()
