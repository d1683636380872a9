"""Attention over spans of a flat row of tokens, in a compiled kernel: for training on a CPU.

Put together from tensor operators, the attention of many short texts is half of a training step there: padding, masks,
copies, and hundreds of small products. `ragged.c` does it in one call a layer. It is compiled when it is first needed,
with the machine's C compiler; without one, `load_kernel` says so with None, and training takes the operators.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

SOURCE = Path(__file__).with_name("ragged.c")
FLAGS = ("-O3", "-march=native", "-shared", "-fPIC", "-lm")
COMPILERS = ("cc", "gcc", "clang")


class Spans(NamedTuple):
    """Who reads what: `places` [n, 6] of queries and keys, both by their first place and their number.

    A row is (query, queries, first, firsts, second, seconds): these queries read two ranges of keys, of which either
    may be empty. No query is in two spans; one in none gets zeros. With `causal`, the i-th query of a span reads the
    first range up to its i-th key.
    """

    places: Tensor
    causal: bool = False


class _Matrix(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("stride", ctypes.c_int64), ("bf16", ctypes.c_int64))


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
        *(ctypes.byref(_matrix(x)) for x in inputs),
        ctypes.c_void_p(totals.data_ptr()),
        *(ctypes.byref(_matrix(x)) for x in outputs),
        ctypes.c_void_p(spans.places.data_ptr()),
        *map(ctypes.c_int64, (len(spans.places), *sizes)),
    )
    if failed:
        raise MemoryError("no memory for the keys and values of a batch")


def _matrix(x: Tensor) -> _Matrix:
    if x.dtype not in (torch.float32, torch.bfloat16):
        raise ValueError(f"ragged attention of {x.dtype}: only float32 and bfloat16 are known")
    return _Matrix(x.data_ptr(), x.stride(0), int(x.dtype == torch.bfloat16))


@cache
def load_kernel() -> ctypes.CDLL | None:
    """The compiled kernel; None, having said why, where it cannot be had. `BODKIN_KERNEL=0` does without it."""
    if os.environ.get("BODKIN_KERNEL") == "0":
        return None
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CC", ""), *COMPILERS))), None)
    if compiler is None:
        print("no C compiler: attention is put together from tensor operators, and training is slower", file=sys.stderr)
        return None
    # The compiler makes use of what this very processor can do; another one may share the folder.
    key = hashlib.sha256(b"\0".join([SOURCE.read_bytes(), compiler.encode(), _processor()])).hexdigest()[:16]
    cached = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bodkin" / f"ragged-{key}.so"
    try:
        if not cached.exists():
            _compile(compiler, cached)
        return ctypes.CDLL(str(cached))
    except (OSError, subprocess.CalledProcessError) as error:
        why = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else error
        print(f"attention's kernel could not be compiled, so training is slower: {why}", file=sys.stderr)
        return None


def _compile(compiler: str, to: Path) -> None:
    """Compile to a file of its own, then rename: two processes may do so at the same time."""
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent) as folder:
        made = Path(folder) / to.name
        command = [compiler, str(SOURCE), "-o", str(made), *FLAGS]
        # Without OpenMP, which not every compiler has at hand, one thread does it.
        if subprocess.run([*command, "-fopenmp"], capture_output=True).returncode:
            subprocess.run(command, check=True, capture_output=True, text=True)
        made.replace(to)


def _processor() -> bytes:
    """What tells processors apart whose instructions may differ."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor().encode()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "").encode()
