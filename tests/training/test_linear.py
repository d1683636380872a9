"""Linear layers on a processor with a matrix unit give what `nn.Linear` gives, and gradients nearer to exact ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from training import linear  # noqa: E402
from training.kernel import matrix_units  # noqa: E402
from training.linear import Linear, weight_gradient  # noqa: E402

Shape = tuple[int, ...]

needs_units = pytest.mark.skipif(not matrix_units(), reason="no matrix units, or no C compiler")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Shape]:
    """The shapes of the gradients that the kernel makes."""
    shapes: list[Shape] = []
    kernel = linear.weight_gradient

    def counted(grad: Tensor, x: Tensor, bias: bool) -> tuple[Tensor, Tensor]:
        weight, sums = kernel(grad, x, bias)
        shapes.append(tuple(weight.shape))
        return weight, sums

    monkeypatch.setattr(linear, "weight_gradient", counted)
    return shapes


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def layers(inputs: int, outputs: int, bias: bool) -> tuple[Linear, nn.Linear]:
    ours, theirs = Linear(inputs, outputs, bias), nn.Linear(inputs, outputs, bias)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def through(layer: nn.Linear, x: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    """The output, and the gradient of x; those of the layer are its parameters' own."""
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(x)
    out.backward(grad.to(out.dtype))
    assert x.grad is not None
    return out.detach(), x.grad


@needs_units
@settings(deadline=None, max_examples=60)
@given(
    tokens=st.sampled_from([0, 1, 2, 15, 31, 32, 33, 511, 512, 513, 1100]),
    outputs=st.sampled_from([32, 64, 384, 416, 1152]),
    inputs=st.sampled_from([32, 96, 384, 448]),
    threads=st.integers(1, 3),
    bias=st.booleans(),
)
def test_the_kernel_adds_up_over_all_tokens(tokens: int, outputs: int, inputs: int, threads: int, bias: bool) -> None:
    grad, x = drawn(tokens, outputs).bfloat16(), drawn(tokens, inputs, seed=1).bfloat16()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        weight, sums = weight_gradient(grad, x, bias)
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(weight, grad.float().T @ x.float(), atol=2e-3, rtol=1e-4)
    assert sums.shape == ((outputs,) if bias else (0,))
    if bias:
        torch.testing.assert_close(sums, grad.float().sum(0), atol=2e-3, rtol=1e-4)


@needs_units
def test_the_kernel_reads_parts_of_wider_tensors() -> None:
    """As a layer's queries, keys and values are parts of one tensor."""
    wide, x = drawn(70, 3 * 64).bfloat16(), drawn(64, 70, seed=1).bfloat16().T
    part = wide[:, 64:128]
    weight, _ = weight_gradient(part, x, bias=False)
    torch.testing.assert_close(weight, part.float().T @ x.float(), atol=1e-3, rtol=1e-4)


@needs_units
def test_any_number_of_threads_gives_the_same() -> None:
    grad, x = drawn(700, 384).bfloat16(), drawn(700, 96, seed=1).bfloat16()
    found = []
    before = torch.get_num_threads()
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        found.append(weight_gradient(grad, x, bias=True))
    torch.set_num_threads(before)
    for weight, sums in found[1:]:
        assert torch.equal(weight, found[0][0])
        assert torch.equal(sums, found[0][1])


@needs_units
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("low", [True, False], ids=["bf16", "float32"])
def test_a_layer_gives_what_the_usual_one_gives(bias: bool, low: bool, made: list[Shape]) -> None:
    ours, theirs = layers(96, 64, bias)
    x, grad = drawn(200, 96), drawn(200, 64, seed=1)
    x = x.bfloat16() if low else x
    (out, of_x), (their_out, of_their_x) = (through(layer, x, grad) for layer in (ours, theirs))
    assert made == [(64, 96)]
    assert out.dtype == torch.bfloat16 and torch.equal(out, their_out)
    assert of_x.dtype == x.dtype and torch.equal(of_x, of_their_x)
    exact = nn.Linear(96, 64, bias)
    exact.load_state_dict(ours.state_dict())
    exact(x.bfloat16().float()).backward(grad.bfloat16().float())
    for name, parameter in exact.named_parameters():
        right, here, there = (getattr(layer, name).grad for layer in (exact, ours, theirs))
        assert parameter.grad is right
        assert (here - right).norm() < 0.01 * (there - right).norm(), "theirs is rounded to bf16"


@pytest.mark.parametrize(
    "way",
    [
        lambda layer: layer(drawn(8, 96)),
        lambda layer: torch.autocast("cpu", torch.bfloat16)(layer)(drawn(2, 4, 96)),
        lambda layer: torch.no_grad()(torch.autocast("cpu", torch.bfloat16)(layer))(drawn(8, 96)),
    ],
    ids=["float32", "three dimensions", "no gradients"],
)
def test_everything_else_is_left_to_the_usual_layer(way: Callable[[nn.Module], Tensor], made: list[Shape]) -> None:
    ours, theirs = layers(96, 64, bias=True)
    out, expected = way(ours), way(theirs)
    assert torch.equal(out, expected)
    if out.requires_grad:
        out.float().sum().backward()
        expected.float().sum().backward()
        assert ours.weight.grad is not None and theirs.weight.grad is not None
        assert torch.equal(ours.weight.grad, theirs.weight.grad)
    assert not made


@needs_units
def test_its_products_are_counted_as_others_are() -> None:
    counted = []
    for layer in layers(96, 64, bias=True):
        with FlopCounterMode(display=False) as counter:
            through(layer, drawn(200, 96), drawn(200, 64))
        counted.append(counter.get_total_flops())
    assert counted == [3 * 2 * 200 * 96 * 64] * 2


def test_a_layer_of_few_outputs_is_left_to_the_usual_one(made: list[Shape]) -> None:
    ours, theirs = layers(96, 3, bias=True)
    found = [through(layer, drawn(8, 96), drawn(8, 3)) for layer in (ours, theirs)]
    assert torch.equal(found[0][0], found[1][0])
    assert not made
