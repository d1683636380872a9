"""Linear layers whose weights' gradients are made by a compiled kernel (`weights.c`), on a CPU with matrix units.

Such a gradient is the sum over all tokens of a product of each one's input and gradient. oneDNN reads both against the
grain for it and needs two to three times as long as for the layer itself. The kernel also adds up the gradient of the
bias, and what it gives is in float32 throughout. Other processors, a GPU, and export take `nn.Linear` as it is.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import register_flop_formula

from training.kernel import load_kernel, matrix_of, matrix_units

MULTIPLE = 32  # of weights.c: numbers of inputs and outputs


class Linear(nn.Linear):
    """`nn.Linear`; what it gives under autocast to bf16 is the same to the last bit, gradients of weights are nearer to
    float32's."""

    def forward(self, x: Tensor) -> Tensor:
        """[.., inputs] -> [.., outputs]."""
        if not self._compiled(x):
            return F.linear(x, self.weight, self.bias)
        out: Tensor = _Linear.apply(x, self.weight, self.bias)
        return out

    def _compiled(self, x: Tensor) -> bool:
        if x.ndim != 2 or x.device.type != "cpu" or self.weight.dtype != torch.float32:
            return False
        if not (torch.is_grad_enabled() and self.weight.requires_grad and _autocasts_to_bf16()):
            return False
        whole = self.in_features % MULTIPLE == 0 and self.out_features % MULTIPLE == 0
        return whole and not torch.compiler.is_compiling() and matrix_units()


def _autocasts_to_bf16() -> bool:
    return torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16


@torch.library.custom_op("bodkin::weight_gradient", mutates_args=())
def weight_gradient(grad: Tensor, x: Tensor, bias: bool) -> tuple[Tensor, Tensor]:
    """grad [N, outputs] and x [N, inputs], both bfloat16 and both numbers multiples of 32 -> grad^T x [outputs, inputs]
    and, with `bias`, what the rows of grad add up to [outputs] (else [0]), in float32. The same for any number of
    threads. An operator, so that its FLOPs are counted as others' are."""
    kernel = load_kernel()
    assert kernel is not None and grad.dtype == x.dtype == torch.bfloat16
    grad, x = (t if t.stride(1) == 1 else t.contiguous() for t in (grad, x))
    weight = torch.empty(grad.shape[1], x.shape[1])
    sums = torch.empty(grad.shape[1] if bias else 0)
    failed = kernel.weight_gradient(
        ctypes.byref(matrix_of(grad)),
        ctypes.byref(matrix_of(x)),
        ctypes.c_void_p(weight.data_ptr()),
        ctypes.c_void_p(sums.data_ptr() if bias else None),
        *map(ctypes.c_int64, (len(x), *weight.shape, torch.get_num_threads())),
    )
    if failed:
        raise MemoryError("no memory for the gradient of a layer's weights")
    return weight, sums


@register_flop_formula(torch.ops.bodkin.weight_gradient)
def _flops(grad: torch.Size, x: torch.Size, *_: object, **__: object) -> int:
    return 2 * grad[0] * grad[1] * x[1]


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        low, matrix = x.to(torch.bfloat16), weight.to(torch.bfloat16)
        ctx.save_for_backward(low, matrix)
        ctx.type, ctx.bias = x.dtype, bias is not None
        return F.linear(low, matrix, None if bias is None else bias.to(torch.bfloat16))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, matrix = ctx.saved_tensors
        grad = grads[0]
        of_x = (grad @ matrix).to(ctx.type) if ctx.needs_input_grad[0] else None
        of_weight, of_bias = weight_gradient(grad, x, ctx.bias)
        return of_x, of_weight, of_bias if ctx.bias else None
