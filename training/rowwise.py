"""What stands between matrix products: sums and norms, GELU, rotary positions, the probability of a token.

On a CPU each is one pass of a compiled kernel (`rowwise.c`) where operators make up to six: sums, norms, and the
roundings to bf16 that matrix products want. Both ways give the same; GELU in bf16, to a fraction of its rounding.
Operators are for a GPU, for export, and where there are no gradients: measuring is not what takes time.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.kernel import load_kernel, matrix_of

LANES = 16  # of kernel.h: rows are multiples of it
BLOCK = 64  # rows for which a weight's gradient is summed by itself, in the same order by any number of threads
TYPES = (torch.float32, torch.bfloat16)


class Stream(NamedTuple):
    """What runs through the layers, [.., width]: `x`, to which each of them adds, and what the next matrix product
    reads: x itself or its norm, in the type of such products."""

    x: Tensor
    read: Tensor


def gelu(x: Tensor) -> Tensor:
    """x Phi(x), x [.., width]."""
    if not _compiled(x) or x.dtype != torch.bfloat16:
        return F.gelu(x)
    out: Tensor = _Gelu.apply(x)
    return out


def norm_after(x: Tensor, y: Tensor, norm: nn.LayerNorm) -> Stream:
    """norm(x + y), x and y [.., width]: what a post-norm layer goes on with and reads."""
    if not _compiled(x, y, norm):
        normed = norm(x + y)
        return Stream(normed, normed)
    _, normed, read = _SumNorm.apply(x, y, norm.weight, norm.bias, norm.eps, True)
    return Stream(normed, read)


def norm_beside(x: Tensor, y: Tensor, norm: nn.LayerNorm) -> Stream:
    """x + y, x and y [.., width], and its norm: what a pre-norm layer goes on with, and what it reads."""
    if not _compiled(x, y, norm):
        total = x + y
        return Stream(total, norm(total))
    total, _, read = _SumNorm.apply(x, y, norm.weight, norm.bias, norm.eps, False)
    return Stream(total, read)


def rotate(x: Tensor, positions: Tensor, head_width: int) -> Tensor:
    """Rotary position embedding (Su et al. 2021, half-split form). x [.., n*d]; positions [..]."""
    half = head_width // 2
    if _compiled(x) and half % LANES == 0:
        rotated: Tensor = _Rotate.apply(x, positions, head_width)
        return rotated
    angles = _angles(positions, half)[..., None, :]  # [.., 1, d/2]
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x.view(*x.shape[:-1], -1, head_width).chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1).reshape(x.shape)


def _angles(positions: Tensor, half: int) -> Tensor:
    frequencies = 10_000.0 ** (-torch.arange(half, device=positions.device, dtype=torch.float32) / half)
    return positions[..., None].float() * frequencies


def probability(logits: Tensor, bias: Tensor, target: Tensor) -> Tensor:
    """softmax(logits + bias) at `target`: logits [n, V], bias [V], target [n] -> [n]."""
    if not _compiled(logits) or bias.dtype != torch.float32:
        return (-F.cross_entropy(logits + bias, target, reduction="none")).exp()
    found: Tensor = _Probability.apply(logits, bias, target)
    return found


def _compiled(x: Tensor, y: Tensor | None = None, norm: nn.LayerNorm | None = None) -> bool:
    known = x.device.type == "cpu" and x.dtype in TYPES and x.ndim == 2 and x.shape[-1] % LANES == 0
    known = known and (y is None or (y.dtype in TYPES and y.shape == x.shape))
    known = known and (norm is None or norm.weight.dtype == norm.bias.dtype == torch.float32)
    return known and torch.is_grad_enabled() and not torch.compiler.is_compiling() and load_kernel() is not None


class _Gelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.contiguous()
        ctx.save_for_backward(x)
        out = torch.empty_like(x)
        _call("gelu_forward", x.view(-1), out.view(-1), x.numel())
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        made = torch.empty_like(x)
        _call("gelu_backward", x.view(-1), grads[0].reshape(-1), made.view(-1), x.numel())
        return made


class _SumNorm(torch.autograd.Function):
    """x + y, its norm in float32 where `kept`, and its norm in the type of matrix products."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, y: Tensor, weight: Tensor, bias: Tensor, eps: float, kept: bool
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        ctx.set_materialize_grads(False)
        total = x.new_empty(x.shape, dtype=torch.float32)
        read = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
        normed, again = torch.empty_like(total) if kept else None, torch.empty_like(total, dtype=read)
        centre, scale = total.new_empty(2, len(x))
        _call("norm_forward", x, y, weight, bias, total, normed, again, centre, scale, *x.shape, eps)
        ctx.save_for_backward(total, weight, centre, scale)
        ctx.types = x.dtype, y.dtype
        return total, normed, again

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        total, weight, centre, scale = ctx.saved_tensors
        rows, width = total.shape
        of_x = torch.empty_like(total)
        of_y = None if ctx.types[1] == torch.float32 else torch.empty_like(total, dtype=ctx.types[1])
        blocks = -(-rows // BLOCK)
        of_weight, of_bias = total.new_empty(2, blocks * width)  # of each block
        grads = tuple(None if g is None else g.contiguous() for g in grads)
        _call("norm_backward", total, weight, centre, scale, *grads, of_x, of_y, of_weight, of_bias, rows, width, BLOCK)
        of_y = of_x if of_y is None else of_y
        of_weight, of_bias = (x.view(blocks, width).sum(0) for x in (of_weight, of_bias))
        return of_x.to(ctx.types[0]), of_y, of_weight, of_bias, None, None


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, positions: Tensor, head_width: int) -> Tensor:
        angles = _angles(torch.arange(int(positions.max()) + 1), head_width // 2)
        ctx.table, ctx.positions, ctx.head_width = torch.cat((angles.cos(), angles.sin()), -1), positions, head_width
        return _rotated(x, ctx, 1.0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return _rotated(grads[0], ctx, -1.0), None, None


def _rotated(x: Tensor, ctx: Any, sign: float) -> Tensor:
    out = x.new_empty(x.shape)
    heads = x.shape[1] // ctx.head_width
    _call("rotate_heads", x, out, ctx.table.view(-1), ctx.positions.contiguous(), len(x), heads, ctx.head_width, sign)
    return out


class _Probability(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, bias: Tensor, target: Tensor) -> Tensor:
        share, totals = logits.new_empty(2, len(logits), dtype=torch.float32)
        _call("pick_forward", logits, bias, target, share, totals, *logits.shape)
        ctx.save_for_backward(logits, bias, target, share, totals)
        return share

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        logits, bias, target, share, totals = ctx.saved_tensors
        rows, width = logits.shape
        made = torch.empty_like(logits)
        of_bias = totals.new_empty(-(-rows // BLOCK) * width)
        _call("pick_backward", *ctx.saved_tensors, grads[0], made, of_bias, rows, width, BLOCK)
        return made, of_bias.view(-1, width).sum(0), None


def _call(name: str, *arguments: Tensor | int | float | None) -> None:
    """Call the kernel with tensors of two dimensions, and None, as matrices, of one as numbers, and the rest as is."""
    kernel = load_kernel()
    assert kernel is not None
    # Copies have to live until the kernel is done with them.
    arguments = tuple(x if not isinstance(x, Tensor) or x.stride(-1) == 1 else x.contiguous() for x in arguments)
    passed: list[Any] = []
    for x in arguments:
        if x is None or (isinstance(x, Tensor) and x.ndim == 2):
            passed.append(ctypes.byref(matrix_of(x)))
        elif isinstance(x, Tensor):
            passed.append(ctypes.c_void_p(x.data_ptr()))
        else:
            passed.append(ctypes.c_int64(x) if isinstance(x, int) else ctypes.c_float(x))
    getattr(kernel, name)(*passed, ctypes.c_int64(torch.get_num_threads()))
