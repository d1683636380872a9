"""The compiled attention is the attention that operators make, in value and gradient; and what is done without it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from tests.artifact import network  # noqa: E402
from tests.training.loss_batches import SPELLING  # noqa: E402
from tests.training.loss_batches import make_batch as some_batch  # noqa: E402
from training import ragged  # noqa: E402
from training.kernel import SOURCES, load_kernel, matrix_units  # noqa: E402
from training.loss import compute_losses  # noqa: E402
from training.network import attend  # noqa: E402
from training.ragged import Spans, ragged_attention, ragged_self_attention  # noqa: E402

needs_kernel = pytest.mark.skipif(load_kernel() is None, reason="no C compiler")
needs_units = pytest.mark.skipif(not matrix_units(), reason="no matrix unit, or no C compiler")
HEADS = {"like ours": (32, 12, 4), "the encoder's": (32, 3, 3), "of half a vector": (8, 4, 2), "odd": (20, 2, 1)}
KEYS = 90
Place = tuple[int, int, int, int, int, int]


def by_operators(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, spans: Spans, head_width: int) -> torch.Tensor:
    """Span by span, over what each reads."""
    out = q.new_zeros(q.shape)
    for query, queries, first, firsts, second, seconds in spans.places.tolist():
        read = [*range(first, first + firsts), *range(second, second + seconds)]
        if not read or not queries:
            continue
        bias = torch.zeros(1, 1, queries, len(read))
        if spans.causal:
            bias[..., :firsts] = torch.full((queries, firsts), -1e4).triu(1)
        mine = slice(query, query + queries)
        out[mine] = attend(q[None, mine], k[None, read], v[None, read], bias, head_width)[0]
    return out


@st.composite
def placed(draw: st.DrawFn) -> list[Place]:
    """Spans one behind the other, some of no queries or keys, with queries between them that belong to none."""
    found: list[Place] = []
    query = 0
    for _ in range(draw(st.integers(1, 5))):
        queries = draw(st.sampled_from([0, 1, 2, 3, 5, 17]))
        firsts, seconds = (draw(st.sampled_from([0, 1, 4, 15, 16, 17, 33, 40])) for _ in "ab")
        first, second = draw(st.integers(0, KEYS - firsts)), draw(st.integers(0, KEYS - seconds))
        found.append((query, queries, first, firsts, second, seconds))
        query += queries + draw(st.integers(0, 2))
    return found


@needs_kernel
@settings(deadline=None, max_examples=60)
@given(placed(), st.sampled_from(sorted(HEADS)), st.booleans())
def test_values_and_gradients_are_those_of_the_operators(places: list[Place], heads: str, causal: bool) -> None:
    width, q_heads, kv_heads = HEADS[heads]
    if causal:  # every query has a key of its own there
        places = [(q, n, min(f, KEYS - max(n, m)), max(n, m), s, o) for q, n, f, m, s, o in places]
    spans = Spans(torch.tensor(places), causal)
    generator = torch.Generator().manual_seed(len(places))
    sizes = (places[-1][0] + places[-1][1] + 1, q_heads), (KEYS, kv_heads), (KEYS, kv_heads)
    ours = [torch.randn(n, h * width, generator=generator, requires_grad=True) for n, h in sizes]
    theirs = [x.detach().clone().requires_grad_() for x in ours]
    out, expected = ragged_attention(*ours, spans, width), by_operators(*theirs, spans, width)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    gradient = torch.randn(out.shape, generator=generator)
    out.backward(gradient)
    if expected.requires_grad:
        expected.backward(gradient)
    for x, y in zip(ours, theirs, strict=True):
        torch.testing.assert_close(x.grad, torch.zeros_like(y) if y.grad is None else y.grad, atol=3e-5, rtol=1e-5)


@needs_kernel
def test_slices_of_a_wider_matrix_in_bf16() -> None:
    generator = torch.Generator().manual_seed(0)
    wide = torch.randn(50, 3 * 96, generator=generator).bfloat16().requires_grad_()
    exact = wide.detach().float().requires_grad_()
    spans = Spans(torch.tensor([(0, 20, 0, 20, 30, 5), (20, 30, 20, 30, 0, 0)]))
    out = ragged_attention(*wide.chunk(3, dim=-1), spans, 32)
    expected = ragged_attention(*exact.chunk(3, dim=-1), spans, 32)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), expected, atol=2e-2, rtol=1e-2)
    gradient = torch.randn(out.shape, generator=generator)
    out.backward(gradient.bfloat16())
    expected.backward(gradient)
    assert wide.grad is not None
    torch.testing.assert_close(wide.grad.float(), exact.grad, atol=5e-2, rtol=2e-2)


@needs_units
@settings(deadline=None, max_examples=100)
@given(placed(), st.sampled_from(["like ours", "the encoder's"]), st.booleans(), st.integers(1, 3))
def test_tiles_give_the_same_to_what_bf16_rounds_off(
    places: list[Place], heads: str, causal: bool, threads: int
) -> None:
    width, q_heads, kv_heads = HEADS[heads]
    if causal:
        places = [(q, n, min(f, KEYS - max(n, m)), max(n, m), s, o) for q, n, f, m, s, o in places]
    spans = Spans(torch.tensor(places), causal)
    generator = torch.Generator().manual_seed(len(places))
    sizes = (places[-1][0] + places[-1][1] + 1, q_heads), (KEYS, kv_heads), (KEYS, kv_heads)
    low = [torch.randn(n, h * width, generator=generator).bfloat16() for n, h in sizes]
    gradient = torch.randn(low[0].shape, generator=generator).bfloat16()
    compare(low, gradient, spans, width, threads)


@needs_units
@pytest.mark.parametrize("lengths", [(1,), (16, 17), (33, 1, 64, 31)])
def test_tiles_of_texts_that_read_themselves(lengths: tuple[int, ...]) -> None:
    """Whose keys' gradients are not added up but written at once. Behind the texts is padding, which has none."""
    begin = torch.tensor([0, *lengths[:-1]]).cumsum(0)
    length, none = torch.tensor(lengths), torch.zeros(len(lengths), dtype=torch.long)
    spans = Spans(torch.stack((begin, length, begin, length, none, none), dim=1))
    generator = torch.Generator().manual_seed(0)
    low = [torch.randn(sum(lengths) + 5, 96, generator=generator).bfloat16() for _ in "qkv"]
    gradient = torch.randn(low[0].shape, generator=generator).bfloat16()
    compare(low, gradient, spans, 32, 2)


def compare(low: list[torch.Tensor], gradient: torch.Tensor, spans: Spans, width: int, threads: int) -> None:
    """Tiles, for spans of any size, against operators in float32."""
    inputs = [x.clone().requires_grad_() for x in low]
    exact = [x.float().requires_grad_() for x in low]
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ragged, "WORTH", 0)
        torch.set_num_threads(threads)
        try:
            out = ragged_attention(*inputs, spans, width)
            out.backward(gradient)
        finally:
            torch.set_num_threads(before)
    expected = by_operators(*exact, spans, width)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), expected, atol=2e-2, rtol=1e-2)
    if expected.requires_grad:
        expected.backward(gradient.float())
    for x, y in zip(inputs, exact, strict=True):
        assert x.grad is not None
        right = torch.zeros_like(y) if y.grad is None else y.grad
        assert (x.grad.float() - right).norm() <= 0.015 * right.norm() + 1e-3


@needs_units
def test_which_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles are for bf16, heads of 32 numbers, and spans of more than a few rows."""
    kernel, taken = load_kernel(), []

    class Watched:
        def __getattr__(self, name: str) -> object:
            taken.append(name.split("_")[0])
            return getattr(kernel, name)

    monkeypatch.setattr(ragged, "load_kernel", Watched)
    some, one = Spans(torch.tensor([(0, 20, 0, 20, 0, 0)])), Spans(torch.tensor([(0, 1, 0, 20, 0, 0)]))
    x = torch.zeros(20, 64)
    for tensor, spans, width in (
        (x, some, 32),
        (x.bfloat16(), some, 16),
        (x.bfloat16(), one, 32),
        (x.bfloat16(), some, 32),
    ):
        ragged_attention(tensor, tensor, tensor, spans, width)
    assert taken == ["ragged", "ragged", "ragged", "tiled"]


@needs_kernel
@pytest.mark.parametrize("low", [False, True], ids=["float32", "bf16"])
def test_self_attention_is_the_same_side_by_side(low: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    wide = torch.randn(50, 3 * 96, generator=generator)
    wide = (wide.bfloat16() if low else wide).requires_grad_()
    apart = wide.detach().clone().requires_grad_()
    spans = Spans(torch.tensor([(0, 20, 0, 20, 0, 0), (20, 25, 20, 25, 0, 0)]))
    out, expected = ragged_self_attention(wide, spans, 32), ragged_attention(*apart.chunk(3, dim=-1), spans, 32)
    gradient = torch.randn(out.shape, generator=generator).to(out.dtype)
    out.backward(gradient)
    expected.backward(gradient)
    assert wide.grad is not None and apart.grad is not None
    assert torch.equal(out, expected) and torch.equal(wide.grad, apart.grad)


@needs_kernel
def test_far_apart_scores_neither_overflow_nor_vanish() -> None:
    q, k = torch.tensor([[1e3] * 16]), torch.tensor([[1e3] * 16, [-1e3] * 16, [999.0] * 16])
    v = torch.arange(48.0).view(3, 16)
    out = ragged_attention(q, k, v, Spans(torch.tensor([(0, 1, 0, 3, 0, 0)])), 16)
    torch.testing.assert_close(out, v[:1])


@needs_kernel
def test_threads_do_not_change_a_bit() -> None:
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.randn(40, 96, generator=generator) for _ in range(3)]
    spans = Spans(torch.tensor([(0, 20, 0, 20, 10, 30), (20, 20, 0, 20, 0, 0)]))
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            inputs = [t.clone().requires_grad_() for t in tensors]
            out = ragged_attention(*inputs, spans, 16)
            out.backward(torch.ones_like(out))
            found.append([out, *(x.grad for x in inputs)])
    finally:
        torch.set_num_threads(before)
    assert all(map(torch.equal, *found))


@needs_kernel
def test_other_types_are_refused() -> None:
    spans = Spans(torch.tensor([(0, 1, 0, 1, 0, 0)]))
    x = torch.zeros(1, 16)
    with pytest.raises(ValueError, match="several types"):
        ragged_attention(x, x.bfloat16(), x, spans, 16)
    with pytest.raises(ValueError, match="only float32 and bfloat16"):
        ragged_attention(x.double(), x.double(), x.double(), spans, 16)


@needs_kernel
def test_a_batch_has_the_same_losses_and_gradients_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, net = some_batch(list(range(12))), network()
    found = []
    for _ in range(2):
        net.zero_grad()
        losses, _ = compute_losses(net, batch, SPELLING)
        (losses.fill + losses.route + losses.contrast).backward()
        found.append(
            (torch.stack(losses), {n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None})
        )
        monkeypatch.setattr("training.attention.load_kernel", lambda: None)
        monkeypatch.setattr("training.rowwise.load_kernel", lambda: None)
    (ours, our_gradients), (theirs, their_gradients) = found
    torch.testing.assert_close(ours, theirs)
    assert our_gradients.keys() == their_gradients.keys()
    for name, gradient in our_gradients.items():
        torch.testing.assert_close(gradient, their_gradients[name], atol=1e-5, rtol=1e-3, msg=name)


@needs_kernel
def test_in_bf16_a_batch_has_like_losses_and_gradients_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, net = some_batch(list(range(12))), network()
    found = []
    for _ in range(2):
        with torch.autocast("cpu", torch.bfloat16):
            losses, _ = compute_losses(net, batch, SPELLING)
        loss = losses.fill + losses.route + losses.contrast
        gradients = torch.autograd.grad(loss, list(net.parameters()), allow_unused=True)
        found.append((torch.stack(losses[:3]).detach(), torch.cat([g.flatten() for g in gradients if g is not None])))
        monkeypatch.setattr("training.attention.load_kernel", lambda: None)
        monkeypatch.setattr("training.rowwise.load_kernel", lambda: None)
    torch.testing.assert_close(found[0][0], found[1][0], atol=0.0, rtol=2e-2)
    assert torch.cosine_similarity(found[0][1], found[1][1], dim=0) > 0.98


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """An empty cache of kernels, of which the loaded one is none."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    load_kernel.cache_clear()
    yield tmp_path
    load_kernel.cache_clear()


def test_no_compiler(fresh: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", str(fresh))
    monkeypatch.delenv("CC", raising=False)
    assert load_kernel() is None
    assert "no C compiler" in capsys.readouterr().err


def test_a_compiler_that_fails(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compiler = fresh / "cc"
    compiler.write_text("#!/bin/sh\necho 'cc: no such luck' >&2\nexit 1\n")
    compiler.chmod(compiler.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CC", str(compiler))
    assert load_kernel() is None
    assert "cc: no such luck" in capsys.readouterr().err
    assert not list(fresh.rglob("*.so"))


def test_it_can_be_done_without(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BODKIN_KERNEL", "0")
    assert load_kernel() is None and not list(fresh.iterdir())


@needs_kernel
def test_processes_that_compile_at_the_same_time(tmp_path: Path) -> None:
    code = "from training.kernel import load_kernel; assert load_kernel() is not None"
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-c", code]
    both = [subprocess.Popen(command, env=environment, cwd=SOURCES[0].parent.parent) for _ in "ab"]
    assert [process.wait(120) for process in both] == [0, 0]
    assert [path.suffix for path in (tmp_path / "bodkin").iterdir()] == [".so"]
