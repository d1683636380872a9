"""The network against itself: in steps and at once, alone and in a batch, small and full."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from model import decoder as serving  # noqa: E402
from model.tokenizer import NONE, PAD, SLOT, SPECIAL_TOKENS  # noqa: E402
from tests.artifact import network, tokenizer  # noqa: E402
from tests.reference import matches  # noqa: E402
from training.cli import params  # noqa: E402
from training.config import ModelConfig  # noqa: E402
from training.export import _CachedAttention  # noqa: E402
from training.network import MASKED, Network, attend, fused, match_lengths, written_out  # noqa: E402


def random_ids(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randint(len(SPECIAL_TOKENS), tokenizer().vocab_size, shape, generator=generator)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_the_full_network_has_26_million_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    with torch.device("meta"):
        count = Network(ModelConfig()).parameter_count()
    assert 26_000_000 <= count < 27_000_000
    assert params([]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    counts = [int(line[-1].replace(",", "")) for line in lines]
    assert lines[-1][0] == "total" and counts[-1] == count == sum(counts[:-1])


def test_the_embedding_is_shared() -> None:
    net = network()
    assert net.encoder.embedding.weight is net.decoder.embedding.weight
    assert net.parameter_count() == sum(p.numel() for p in {p.data_ptr(): p for p in net.parameters()}.values())


def test_to_begin_with_neither_copying_nor_parameters_leave_a_trace(generator: torch.Generator) -> None:
    decoder = Network(ModelConfig.tiny(100)).decoder
    assert not decoder.parameter.weight.any()
    hidden = torch.randn(2, 3, 32, generator=generator)
    used, before = torch.rand(2, 2, 3, 5, generator=generator)
    assert not decoder.coverage(hidden, used, before).any()


@torch.no_grad()
def test_coverage_weighs_this_call_and_those_before_it(generator: torch.Generator) -> None:
    decoder = network().decoder
    hidden = torch.randn(1, 2, 32, generator=generator)
    used, before = torch.tensor([[[0.0, 1.0, 0.5]] * 2]), torch.tensor([[[0.0, 0.0, 1.0]] * 2])
    here, there = decoder.copy_used(hidden)[0].T
    expected = torch.stack((torch.zeros(2), here, here / 2 + there), dim=-1)
    torch.testing.assert_close(decoder.coverage(hidden, used, before)[0], expected)


def test_attend_is_softmax_attention(generator: torch.Generator) -> None:
    q = torch.randn(2, 3, 4 * 8, generator=generator)
    k, v = (torch.randn(2, 5, 2 * 8, generator=generator) for _ in range(2))
    bias = torch.where(torch.rand(2, 1, 3, 5, generator=generator) < 0.3, MASKED, 0.0)
    heads = q.view(2, 3, 4, 8).transpose(1, 2)
    keys, values = (x.view(2, 5, 2, 8).transpose(1, 2).repeat_interleave(2, dim=1) for x in (k, v))
    expected = torch.nn.functional.scaled_dot_product_attention(heads, keys, values, attn_mask=bias)
    torch.testing.assert_close(attend(q, k, v, bias, 8), expected.transpose(1, 2).reshape(2, 3, 32))


def test_what_a_gpu_computes_is_what_a_cpu_does(generator: torch.Generator) -> None:
    queries = torch.randn(2, 4, 9, 8, generator=generator, requires_grad=True)
    keys, values = (torch.randn(2, 4, 5, 8, generator=generator, requires_grad=True) for _ in range(2))
    for length in (1, 9):
        bias = torch.where(torch.rand(2, 1, length, 5, generator=generator) < 0.3, MASKED, 0.0)
        outs = [attention(queries, keys, values, bias) for attention in (fused, written_out)]
        torch.testing.assert_close(*outs)
        gradients = [torch.autograd.grad(out.square().sum(), (queries, keys, values)) for out in outs]
        for a, b in zip(*gradients, strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_an_encoded_text_does_not_depend_on_its_batch(generator: torch.Generator) -> None:
    encoder = network().encoder
    lengths = (1, 4, 9, 16)
    ids = torch.full((len(lengths), 24), PAD)
    pool = torch.zeros(len(lengths), 2, 24)
    for row, length in enumerate(lengths):
        ids[row, :length] = random_ids(generator, length)
        pool[row, 0, length // 2 : length] = 1.0
        pool[row, 1, :1] = 1.0
    together = encoder(ids, pool)
    for row, length in enumerate(lengths):
        alone = encoder(ids[row : row + 1, :length], pool[row : row + 1, :, :length])
        torch.testing.assert_close(together.pooled[row], alone.pooled[0])
        torch.testing.assert_close(together.keys[:, row, :length], alone.keys[:, 0])
        torch.testing.assert_close(together.values[:, row, :length], alone.values[:, 0])
        torch.testing.assert_close(together.copy_keys[row, :length], alone.copy_keys[0])
    torch.testing.assert_close(together.pooled.norm(dim=-1), torch.ones(len(lengths), 2))


@torch.no_grad()
def test_pooling_takes_the_mean_of_the_range(generator: torch.Generator) -> None:
    encoder = network().encoder
    ids = random_ids(generator, 1, 7)
    pool = torch.tensor([[[0.0, 0, 1, 1, 1, 0, 0]]])
    everything = torch.zeros(1, 1, 1, 7)

    def attention(qkv: torch.Tensor) -> torch.Tensor:
        return attend(*qkv.chunk(3, dim=-1), everything, encoder.head_width)

    states = encoder.states(ids, torch.arange(7), attention)
    mean = states[0, 2:5].mean(0)
    torch.testing.assert_close(encoder(ids, pool).pooled[0, 0], mean / mean.norm())


class Decoded(NamedTuple):
    """`hidden` [B, L, width]; `keys`, `values` [layers, B, P+L, kv_width]: the self-attention cache, past included."""

    hidden: Tensor
    keys: Tensor
    values: Tensor


class Sequence:
    """Two rows of nine decoder tokens, reading random memories of which the second row's are shorter."""

    length = 9

    def __init__(self, generator: torch.Generator) -> None:
        config = network().config
        self.ids = random_ids(generator, 2, self.length)
        self.ids[:, 0] = SLOT
        self.ids[0, 5], self.ids[1, 4] = SLOT, NONE
        self.vectors = torch.randn(2, self.length, config.width, generator=generator)
        self.keys, self.values = torch.randn(2, config.decoder_layers, 2, 6, config.kv_width, generator=generator)
        self.cross_bias = torch.zeros(2, 1, 1, 6)
        self.cross_bias[1, ..., 4:] = MASKED
        self.empty = self.keys[:, :, :0]

    def decode(self, start: int, end: int, past: tuple[Tensor, Tensor], rows: slice = slice(None)) -> Decoded:
        causal = torch.ones(end, end, dtype=torch.bool).tril()[start:end]
        attention = _CachedAttention(
            *past,
            torch.where(causal, 0.0, MASKED)[None, None],
            self.keys[:, rows],
            self.values[:, rows],
            self.cross_bias[rows],
            network().config.head_width,
        )
        ids, vectors = self.ids[rows, start:end], self.vectors[rows, start:end]
        hidden = network().decoder(ids, vectors, torch.arange(start, end).expand(ids.shape), attention)
        return Decoded(hidden, torch.stack(attention.keys), torch.stack(attention.values))


@torch.no_grad()
@pytest.mark.parametrize("split", range(1, Sequence.length))
def test_steps_equal_one_pass(split: int, generator: torch.Generator) -> None:
    sequence = Sequence(generator)
    full = sequence.decode(0, sequence.length, (sequence.empty, sequence.empty))
    first = sequence.decode(0, split, (sequence.empty, sequence.empty))
    second = sequence.decode(split, sequence.length, (first.keys, first.values))
    torch.testing.assert_close(torch.cat((first.hidden, second.hidden), 1), full.hidden, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(second.keys, full.keys, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(second.values, full.values, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_decoder_rows_do_not_see_each_other_nor_masked_memory(generator: torch.Generator) -> None:
    sequence = Sequence(generator)
    both = sequence.decode(0, sequence.length, (sequence.empty, sequence.empty)).hidden
    sequence.keys[:, 1, 4:], sequence.values[:, 1, 4:] = 7.0, -7.0  # what the second row may not read
    empty = sequence.empty[:, :1]
    alone = sequence.decode(0, sequence.length, (empty, empty), slice(1, 2)).hidden
    torch.testing.assert_close(alone[0], both[1], atol=1e-5, rtol=1e-5)
    sequence.keys[:, 1, 3] += 1.0  # and what it may
    changed = sequence.decode(0, sequence.length, (empty, empty), slice(1, 2)).hidden
    assert (changed - alone).abs().max() > 1e-3


@torch.no_grad()
def test_a_slot_takes_its_vector_and_other_tokens_add_theirs_to_their_embedding(generator: torch.Generator) -> None:
    sequence = Sequence(generator)
    decoder = network().decoder
    inputs: list[Tensor] = []
    hook = decoder.layers[0].register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0].x))
    sequence.decode(0, sequence.length, (sequence.empty, sequence.empty))
    hook.remove()
    embedded = decoder.embedding_norm(decoder.embedding(sequence.ids)) + decoder.parameter(sequence.vectors)
    expected = torch.where((sequence.ids == SLOT)[..., None], decoder.slot(sequence.vectors), embedded)
    torch.testing.assert_close(inputs[0], expected)


def test_match_lengths() -> None:
    tok = tokenizer()
    rng = np.random.default_rng(0)
    spaced = np.flatnonzero(tok.twins)[:3]
    # A small alphabet, so that runs occur: tokens with twins, the twins, specials.
    alphabet = np.array([*spaced, *tok.twins[spaced], PAD, SLOT, NONE])
    twins = torch.from_numpy(tok.twins)
    seen = set()
    for _ in range(200):
        source = rng.choice(alphabet, 14)
        written = rng.choice(alphabet, 8)
        expected = [matches(source.tolist(), tok.twins, written[: k + 1].tolist()) for k in range(8)]
        torch_result = match_lengths(torch.from_numpy(source)[None], twins, torch.from_numpy(written)[None])
        assert torch_result[0].tolist() == expected
        for k in range(8):
            recent = [SLOT, SLOT, *written[: k + 1].tolist()][-serving.MATCHES :]
            assert serving.match_lengths(source, tok.twins[source], recent).tolist() == expected[k]
        seen |= {length for row in expected for length in row}
    assert seen == {0, 1, 2, 3}


def test_match_lengths_of_a_source_shorter_than_the_lookback() -> None:
    twins = tokenizer().twins
    source = np.array([20, 20])
    assert serving.match_lengths(source, twins[source], [20, 20, 20]).tolist() == [0, 1]
    result = match_lengths(torch.from_numpy(source)[None], torch.from_numpy(twins), torch.tensor([[20, 20, 20]]))
    assert result[0, 2].tolist() == [0, 1]


def test_the_gradient_of_the_bonus_is_that_of_looking_it_up() -> None:
    decoder, generator = network().decoder, torch.Generator().manual_seed(0)
    hidden = torch.randn(2, 3, decoder.config.width, generator=generator)
    keys = torch.randn(2, 5, decoder.config.copy_width, generator=generator)
    matches = torch.randint(0, 4, (2, 3, 5), generator=generator)
    weights = torch.randn(2, 3, 5, generator=generator)
    decoder.zero_grad()
    (decoder.copy_scores(hidden, keys, matches, torch.zeros(2, 1, 5)) * weights).sum().backward()
    expected = torch.stack([weights[matches >= k].sum() for k in (1, 2, 3)])
    torch.testing.assert_close(decoder.copy_match.grad, expected)
