"""The kernels of what stands between matrix products give what operators give, in value and gradient."""

from __future__ import annotations

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from training import rowwise  # noqa: E402
from training.kernel import load_kernel  # noqa: E402
from training.rowwise import BLOCK, Stream, gelu, norm_after, norm_beside, probability, rotate  # noqa: E402

needs_kernel = pytest.mark.skipif(load_kernel() is None, reason="no C compiler")
Sum = Callable[[Tensor, Tensor, nn.LayerNorm], Stream]


def after(x: Tensor, y: Tensor, norm: nn.LayerNorm) -> Stream:
    normed = norm(x + y)
    return Stream(normed, normed)


def beside(x: Tensor, y: Tensor, norm: nn.LayerNorm) -> Stream:
    return Stream(x + y, norm(x + y))


WAYS: dict[str, tuple[Sum, Sum]] = {"after": (norm_after, after), "beside": (norm_beside, beside)}


def norm_of(width: int, seed: int) -> nn.LayerNorm:
    generator = torch.Generator().manual_seed(seed)
    norm = nn.LayerNorm(width, eps=1e-12)
    with torch.no_grad():
        norm.weight.normal_(generator=generator)
        norm.bias.normal_(generator=generator)
    return norm


def through(way: Sum, x: Tensor, y: Tensor, norm: nn.LayerNorm, seed: int, used: str) -> list[Tensor]:
    """Both outputs, and the gradients of everything from those of the outputs in `used`."""
    generator = torch.Generator().manual_seed(seed)
    x, y = (t.detach().clone().requires_grad_() for t in (x, y))
    norm.zero_grad()
    stream = way(x, y, norm)
    given = [torch.randn(x.shape, generator=generator) for _ in stream]
    loss = sum(
        (out.float() * g).sum() for name, out, g in zip(("x", "read"), stream, given, strict=True) if name in used
    )
    assert isinstance(loss, Tensor)
    loss.backward()
    assert x.grad is not None and y.grad is not None
    parameters = [torch.zeros_like(p) if p.grad is None else p.grad for p in (norm.weight, norm.bias)]
    return [*(t.detach() for t in stream), x.grad, y.grad, *parameters]


@needs_kernel
@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(sorted(WAYS)),
    st.sampled_from([1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7]),
    st.sampled_from([16, 48, 384]),
    st.sampled_from(["x", "read", "x and read"]),
)
def test_in_float32_all_is_the_same(way: str, rows: int, width: int, used: str) -> None:
    generator = torch.Generator().manual_seed(rows)
    x, y = torch.randn(2, rows, width, generator=generator) * 3 + 1
    ours, theirs = (through(w, x, y, norm_of(width, rows), 7, used) for w in WAYS[way])
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=2e-4, rtol=1e-4)


@needs_kernel
@pytest.mark.parametrize("way", WAYS)
def test_of_what_a_product_gives_in_bf16(way: str) -> None:
    """The sum stays in float32, what is read is in bf16, and so is the gradient of the product's result."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(100, 64, generator=generator), torch.randn(100, 64, generator=generator).bfloat16()
    theirs = through(WAYS[way][1], x, y.float(), norm_of(64, 0), 7, "x and read")
    with torch.autocast("cpu", torch.bfloat16):
        ours = through(WAYS[way][0], x, y, norm_of(64, 0), 7, "x and read")
    assert [t.dtype for t in ours[:4]] == [torch.float32, torch.bfloat16, torch.float32, torch.bfloat16]
    torch.testing.assert_close(ours[0], theirs[0], atol=1e-4, rtol=1e-4)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.float(), b, atol=3e-2, rtol=2e-2)


@needs_kernel
def test_columns_of_a_wider_matrix() -> None:
    wide = torch.randn(10, 96, generator=torch.Generator().manual_seed(0), requires_grad=True)
    norm = norm_of(32, 0)
    x, y, _ = wide.chunk(3, dim=-1)
    ours = norm_beside(x, y, norm)
    expected = beside(x, y, norm)
    torch.testing.assert_close(ours.read, expected.read, atol=1e-5, rtol=1e-5)
    [a], [b] = (torch.autograd.grad(s.read.square().sum(), wide) for s in (ours, expected))
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


@needs_kernel
def test_turned_matrices_and_one_gradient_for_all() -> None:
    """Whose rows are no rows in memory, so that the kernel gets copies."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(48, 10, generator=generator).T.requires_grad_() for _ in "xy")
    norm = norm_of(48, 0)
    ours, expected = norm_after(x, y, norm), after(x, y, norm)
    torch.testing.assert_close(ours.read, expected.read, atol=1e-5, rtol=1e-5)
    for a, b in zip(
        *(torch.autograd.grad(s.read.sum() + s.x.square().sum(), (x, y)) for s in (ours, expected)), strict=True
    ):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    z = torch.linspace(-3, 3, 160).view(10, 16).bfloat16().requires_grad_()
    [slope] = torch.autograd.grad(gelu(z).sum(), z)
    [exact] = torch.autograd.grad(F.gelu(z).sum(), z)
    torch.testing.assert_close(slope, exact, atol=1e-2, rtol=1e-2)


@needs_kernel
def test_gelu_of_every_number() -> None:
    """All that bf16 has: value and slope are within twice its rounding, or within 1e-4 and 3e-4, of the exact ones."""
    x = torch.arange(-(2**15), 2**15).to(torch.int16).view(torch.bfloat16)
    x = x[x.isfinite() & (x.abs() < 1e30)]
    x = x[: len(x) // 16 * 16].view(-1, 16).requires_grad_()
    exact = x.detach().double().requires_grad_()
    ours, theirs = gelu(x), F.gelu(exact)
    assert ours.dtype == torch.bfloat16
    torch.testing.assert_close(ours.double(), theirs, atol=1e-4, rtol=2**-8)
    ours.backward(torch.ones_like(ours))
    theirs.backward(torch.ones_like(theirs))
    assert x.grad is not None
    torch.testing.assert_close(x.grad.double(), exact.grad, atol=3e-4, rtol=2**-8)


@needs_kernel
def test_threads_do_not_change_a_bit() -> None:
    x, y = torch.randn(2, 300, 64, generator=torch.Generator().manual_seed(0))
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(through(norm_beside, x, y, norm_of(64, 0), 7, "x and read"))
    finally:
        torch.set_num_threads(before)
    assert all(map(torch.equal, *found))


@pytest.mark.parametrize("shape", [(5, 20), (2, 3, 32)], ids=["no whole vectors", "not a flat row of tokens"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_operators_take_what_the_kernel_does_not(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    x, y = torch.randn(2, *shape, dtype=dtype, generator=torch.Generator().manual_seed(0), requires_grad=True).unbind()
    norm = norm_of(shape[-1], 0).to(dtype)
    for way in WAYS.values():
        assert all(map(torch.equal, *(w(x, y, norm) for w in way)))
    assert torch.equal(gelu(x), F.gelu(x))


@needs_kernel
@pytest.mark.parametrize("heads", [1, 4])
@pytest.mark.parametrize("width", [32, 64])
@pytest.mark.parametrize("low", [False, True], ids=["float32", "bf16"])
def test_rotary_positions(heads: int, width: int, low: bool) -> None:
    generator = torch.Generator().manual_seed(heads)
    wide = torch.randn(40, heads * width + 16, generator=generator)  # as queries and keys are: part of a wider tensor
    positions = torch.randint(0, 500, (40,), generator=generator)
    gradient = torch.randn(40, heads * width, generator=generator)
    found = []
    for compiled in (True, False):
        x = (wide.bfloat16() if low else wide.clone()).requires_grad_()
        with pytest.MonkeyPatch.context() as patch:
            if not compiled:
                patch.setattr(rowwise, "load_kernel", lambda: None)
            out = rotate(x[:, : heads * width], positions, width)
        out.backward(gradient.to(out.dtype))
        assert x.grad is not None and out.dtype == x.dtype
        found.append((out.detach().float(), x.grad.float()))
    tolerance = {"atol": 4e-2, "rtol": 2e-2} if low else {"atol": 1e-5, "rtol": 1e-5}
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, **tolerance)


@needs_kernel
@settings(deadline=None, max_examples=30)
@given(st.sampled_from([1, 63, 64, 130]), st.sampled_from([16, 160, 14_000]), st.sampled_from([1.0, 30.0]))
def test_the_probability_of_a_target(rows: int, width: int, spread: float) -> None:
    generator = torch.Generator().manual_seed(rows)
    logits = (torch.randn(rows, width, generator=generator) * spread).bfloat16()
    bias = torch.randn(width, generator=generator)
    target = torch.randint(0, width, (rows,), generator=generator)
    gradient = torch.randn(rows, generator=generator)
    given_logits, given_bias = logits.clone().requires_grad_(), bias.clone().requires_grad_()
    out = probability(given_logits, given_bias, target)
    out.backward(gradient)
    exact_logits, exact_bias = logits.double().requires_grad_(), bias.double().requires_grad_()
    expected = (exact_logits + exact_bias).softmax(-1)[torch.arange(rows), target]
    expected.backward(gradient.double())
    torch.testing.assert_close(out.double(), expected, atol=1e-6, rtol=2e-5)
    assert given_logits.grad is not None and given_logits.grad.dtype == torch.bfloat16
    torch.testing.assert_close(given_logits.grad.double(), exact_logits.grad, atol=1e-5, rtol=1e-2)
    torch.testing.assert_close(given_bias.grad, exact_bias.grad, atol=1e-5, rtol=1e-3, check_dtype=False)


@needs_kernel
def test_a_probability_that_vanishes_is_a_number() -> None:
    logits = torch.zeros(2, 32)
    logits[:, 3] = 1e4
    logits = logits.bfloat16().requires_grad_()
    out = probability(logits, torch.zeros(32), torch.tensor([0, 3]))
    out.sum().backward()
    assert out.tolist() == [0.0, 1.0] and logits.grad is not None and not logits.grad.isnan().any()
