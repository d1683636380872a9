"""Attention over spans of a flat row of tokens, in a compiled kernel: for training on a CPU.

Put together from tensor operators, the attention of many short texts is half of a training step there: padding, masks,
copies, and hundreds of small products. `ragged.c` does it in one call a layer.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import torch
from torch import Tensor

from training.kernel import load_kernel, matrix_of


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
    out: Tensor = _RaggedAttention.apply(q, k, v, spans, head_width)
    return out


class _RaggedAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, spans: Spans, head_width: int) -> Tensor:
        out = q.new_zeros(q.shape)
        totals = torch.zeros(q.shape[1] // head_width, len(q))
        _run("ragged_forward", (q, k, v, out), totals, (), spans, head_width)
        ctx.save_for_backward(q, k, v, out, totals)
        ctx.spans, ctx.head_width = spans, head_width
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, totals = ctx.saved_tensors
        made = q.new_zeros(q.shape), k.new_empty(k.shape), v.new_empty(v.shape)
        _run("ragged_backward", (q, k, v, out, grads[0]), totals, made, ctx.spans, ctx.head_width)
        return *made, None, None


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
    failed = getattr(kernel, name)(
        *(ctypes.byref(matrix_of(x)) for x in inputs),
        ctypes.c_void_p(totals.data_ptr()),
        *(ctypes.byref(matrix_of(x)) for x in outputs),
        ctypes.c_void_p(spans.places.data_ptr()),
        *map(ctypes.c_int64, (len(spans.places), *sizes)),
    )
    if failed:
        raise MemoryError("no memory for the keys and values of a batch")
