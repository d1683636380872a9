"""The network: route, then fill. Readable alone.

    ids ──► Encoder ──► states ──► pooled vector, cross-attention keys and values, copy keys    (a `Memory`)
    slot and argument tokens ──► Decoder, reading memories ──► route score | next-token probability

Every tool and every conversation is encoded by itself; the decoder sees them only through their memories.
`docs/design.md` has the reasons. Shapes: B rows, T encoder tokens, L decoder tokens, S source tokens (conversation,
then tools), V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.links import FEATURES, OVERLAPS
from model.tokenizer import PAD, SLOT, SPECIAL_TOKENS, Tokenizer
from training.config import ModelConfig
from training.linear import Linear
from training.rowwise import Stream, gelu, norm_after, norm_beside, probability, rotate

MASKED = -1e4  # added to forbidden attention scores; finite in bf16, so that a fully masked row stays a number


class Spelling(NamedTuple):
    """What ids say of their spelling: `twins` and `words` [V] of `Tokenizer`."""

    twins: Tensor
    words: Tensor

    @classmethod
    def of(cls, tokenizer: Tokenizer, device: torch.device | str = "cpu") -> Spelling:
        return cls(torch.from_numpy(tokenizer.twins).to(device), torch.from_numpy(tokenizer.words).to(device))


class Encoded(NamedTuple):
    """What is kept of an encoded text.

    `pooled` [B, K, width] are vectors of unit length, one for each range; `keys`, `values` [layers, B, T, kv_width]
    feed the decoder's cross-attention, `copy_keys` [B, T, copy_width] its copy head.
    """

    pooled: Tensor
    keys: Tensor
    values: Tensor
    copy_keys: Tensor


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, head_width: int) -> Tensor:
    """Grouped-query softmax attention; on a CPU written out, where the fused one's backward is several times slower.

    q [B, L, H*d]; k, v [B, S, G*d], H a multiple of G; bias [B, 1, L or 1, S] is added to the scores.
    Returns [B, L, H*d].
    """
    with _products(q):
        queries, keys, values, bias = _grouped(q, k, v, bias, head_width)
        attention = fused if q.device.type == "cuda" else written_out
        out = attention(queries, keys, values, bias)
        return _ungrouped(out, q.shape[1]).flatten(2).to(q.dtype)


def fused(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    """Attention of what `_grouped` gives, in one operator."""
    return F.scaled_dot_product_attention(queries, keys, values, attn_mask=bias.to(queries.dtype), scale=1.0)


def written_out(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    """The same, in three."""
    return _scores(queries, keys, bias).softmax(-1) @ values


def attend_part(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, head_width: int) -> tuple[Tensor, Tensor]:
    """`attend` over some of what there is to read: what it gives [B, L, H, d], and its weight among other parts.

    The weight [B, L, H] is the log of the sum of the exponentiated scores; see `merge_parts`.
    """
    with _products(q):
        queries, keys, values, bias = _grouped(q, k, v, bias, head_width)
        scores = _scores(queries, keys, bias)
        total = scores.float().logsumexp(-1, keepdim=True)
        out = (scores - total).exp().to(values.dtype) @ values
        return _ungrouped(out, q.shape[1]), _ungrouped(total, q.shape[1])[..., 0]


def merge_parts(parts: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Parts of one attention, [.., H, d] with weights [.., H], as if they had been read together -> [.., H*d]."""
    weights = torch.stack([total for _, total in parts]).softmax(0)
    merged = sum(w[..., None] * out for w, (out, _) in zip(weights, parts, strict=True))
    assert isinstance(merged, Tensor)
    return merged.flatten(-2).to(parts[0][0].dtype)


def _products(q: Tensor) -> AbstractContextManager[object]:
    """Attention's own products are in float32 on a CPU.

    In bf16 oneDNN compiles a kernel for each of their shapes, of which every batch has hundreds of new ones; a softmax
    in bf16 takes twice as long besides.
    """
    return torch.autocast("cpu", enabled=False) if q.device.type == "cpu" else nullcontext()


def _grouped(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, head_width: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Scaled queries [B, G, H/G*L, d], keys and values [B, G, S, d], and bias [B, 1, 1 or H/G*L, S]: heads of a group
    read the same, so they stand behind each other as if they were further rows."""
    if q.device.type == "cpu":
        q, k, v = q.float(), k.float(), v.float()
    batch, length, width = q.shape
    source, groups = k.shape[1], k.shape[2] // head_width
    share = width // (groups * head_width)
    q = (
        (q * head_width**-0.5).view(batch, length, groups, share, head_width).permute(0, 2, 3, 1, 4)
    )  # [B, G, H/G, L, d]
    k, v = (x.view(batch, source, groups, head_width).transpose(1, 2) for x in (k, v))
    bias = bias if bias.shape[2] == 1 else bias.repeat(1, 1, share, 1)
    return q.reshape(batch, groups, share * length, head_width), k, v, bias


def _scores(queries: Tensor, keys: Tensor, bias: Tensor) -> Tensor:
    scores = queries @ keys.transpose(2, 3)  # [B, G, H/G*L, S]
    return scores + bias.to(scores.dtype)


def _ungrouped(x: Tensor, length: int) -> Tensor:
    """[B, G, H/G*L, d] -> [B, L, H, d]."""
    return x.unflatten(2, (-1, length)).permute(0, 3, 1, 2, 4).flatten(2, 3)


class WordDropout(nn.Module):
    """While training, a share `p` of the embeddings becomes zero, each as a whole, and the rest stays as it is.

    Word dropout of Iyyer et al. 2015 (deep averaging networks): what a text says has to be understood from less.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, embeddings: Tensor) -> Tensor:
        """[.., width] -> [.., width]."""
        if not (self.training and self.p):
            return embeddings
        kept = torch.rand(embeddings.shape[:-1], device=embeddings.device) >= self.p
        return embeddings * kept[..., None].to(embeddings.dtype)


class EncoderLayer(nn.Module):
    """A post-norm BERT layer, the shape of all-MiniLM-L6-v2."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.qkv = Linear(config.width, 3 * config.width)
        self.attention_out = Linear(config.width, config.width)
        self.attention_norm = nn.LayerNorm(config.width, eps=1e-12)
        self.up = Linear(config.width, config.feed_forward)
        self.down = Linear(config.feed_forward, config.width)
        self.norm = nn.LayerNorm(config.width, eps=1e-12)
        self.dropout = nn.Dropout(0.0)

    def forward(self, stream: Stream, attention: Callable[[Tensor], Tensor]) -> Stream:
        """`attention` maps queries, keys and values side by side, [.., 3*width], to [.., width]: it alone knows what a
        row is."""
        x, read = stream
        attended = self.attention_out(attention(self.qkv(read)))
        x, read = norm_after(x, self.dropout(attended), self.attention_norm)
        return norm_after(x, self.dropout(self.down(gelu(self.up(read)))), self.norm)


class Encoder(nn.Module):
    """Encodes one text per row: a conversation or a tool."""

    def __init__(self, config: ModelConfig, embedding: nn.Embedding) -> None:
        super().__init__()
        self.embedding = embedding
        self.positions = nn.Embedding(config.max_positions, config.width)
        self.norm = nn.LayerNorm(config.width, eps=1e-12)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder_layers))
        self.cross = Linear(config.width, 2 * config.decoder_layers * config.kv_width, bias=False)
        self.copy_key = Linear(config.width, config.copy_width, bias=False)
        self.late = Linear(config.width, config.copy_width, bias=False) if config.late else None
        self.word_dropout = WordDropout(0.0)
        self.kv_width, self.decoder_layers, self.head_width = config.kv_width, config.decoder_layers, config.head_width

    def states(self, ids: Tensor, positions: Tensor, attention: Callable[[Tensor], Tensor]) -> Tensor:
        """ids, positions [..] -> states [.., width]; see `EncoderLayer.forward`."""
        tokens = self.word_dropout(self.embedding(ids))
        stream = norm_after(tokens, F.embedding(positions, self.positions.weight), self.norm)
        for layer in self.layers:
            stream = layer(stream, attention)
        return stream.x

    def forward(self, ids: Tensor, pool: Tensor) -> Encoded:
        """ids [B, T], padded with PAD; pool [B, K, T] is 1.0 in the K ranges over which vectors are taken, else 0.0."""
        bias = torch.where(ids == PAD, MASKED, 0.0)[:, None, None]
        positions = torch.arange(ids.shape[1], device=ids.device)

        def attention(qkv: Tensor) -> Tensor:
            q, k, v = qkv.chunk(3, dim=-1)
            return attend(q, k, v, bias, self.head_width)

        x = self.states(ids, positions, attention)
        pooled = F.normalize((pool.to(x.dtype) @ x).float(), dim=-1)
        batch, length = ids.shape
        cross = self.cross(x).view(batch, length, self.decoder_layers, 2 * self.kv_width).permute(2, 0, 1, 3)
        keys, values = cross.chunk(2, dim=-1)
        return Encoded(pooled, keys, values, self.copy_key(x))


class Attention(Protocol):
    """How the decoder's tokens see each other and their sources. `layer` counts from 0."""

    def own(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Causal self-attention: q [.., width] and k, v [.., kv_width] of the new tokens -> [.., width]."""

    def read(self, layer: int, q: Tensor) -> Tensor:
        """Cross-attention: q [.., width] -> [.., width]."""


class DecoderLayer(nn.Module):
    """Pre-norm: causal self-attention, cross-attention to the memories, feed-forward."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.head_width, self.kv_width = config.head_width, config.kv_width
        self.self_norm = nn.LayerNorm(config.width)
        self.qkv = Linear(config.width, config.width + 2 * config.kv_width, bias=False)
        self.self_out = Linear(config.width, config.width, bias=False)
        self.cross_norm = nn.LayerNorm(config.width)
        self.cross_q = Linear(config.width, config.width, bias=False)
        self.cross_out = Linear(config.width, config.width, bias=False)
        self.norm = nn.LayerNorm(config.width)
        self.up = Linear(config.width, config.feed_forward)
        self.down = Linear(config.feed_forward, config.width)
        self.dropout = nn.Dropout(0.0)

    def forward(
        self, stream: Stream, positions: Tensor, layer: int, attention: Attention, next_norm: nn.LayerNorm
    ) -> Stream:
        """A stream that reads `self_norm` of x, positions [..] -> one that reads `next_norm` of x: the next layer's."""
        x, read = stream
        q, k, v = self.qkv(read).split((x.shape[-1], self.kv_width, self.kv_width), dim=-1)
        q, k = rotate(q, positions, self.head_width), rotate(k, positions, self.head_width)
        x, read = norm_beside(x, self.dropout(self.self_out(attention.own(layer, q, k, v))), self.cross_norm)
        x, read = norm_beside(x, self.dropout(self.cross_out(attention.read(layer, self.cross_q(read)))), self.norm)
        return norm_beside(x, self.dropout(self.down(gelu(self.up(read)))), next_norm)


class Decoder(nn.Module):
    """Scores candidates at a slot and writes arguments behind it.

    A slot's input is the candidate tool's vector in place of a token embedding; the NONE token stands for "no (more)
    calls". To the tokens of an argument the vector of its parameter is added: what is to be written is then known at
    once, and need not be put together from the key and the tool's text first.
    """

    def __init__(self, config: ModelConfig, embedding: nn.Embedding) -> None:
        super().__init__()
        self.config = config
        self.embedding = embedding
        self.embedding_norm = nn.LayerNorm(config.width)
        self.slot = Linear(config.width, config.width)
        self.parameter = Linear(config.width, config.width, bias=False)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))
        self.norm = nn.LayerNorm(config.width)
        self.route = Linear(config.width, 1)
        self.route_similarity = nn.Parameter(
            torch.tensor(10.0)
        )  # weight of cosine(conversation, tool) in the route score
        self.route_overlap = Linear(config.width, OVERLAPS)
        if config.late:
            self.route_late = nn.Parameter(torch.tensor(10.0))
        self.to_vocab = Linear(config.width, config.width, bias=False)
        self.vocab_bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.gate = Linear(config.width, 3)
        self.copy_query = Linear(config.width, config.copy_width)
        self.copy_match = nn.Parameter(torch.tensor([1.0, 2.0, 2.0]))
        self.copy_used = Linear(config.width, 2)
        self.copy_link = Linear(config.width, FEATURES)
        # Added to the keys and values of all layers, side by side as `Encoder.cross` makes them, of a conversation's
        # token that calls have copied, where a slot behind them reads it.
        self.covered = nn.Parameter(torch.zeros(2 * config.decoder_layers * config.kv_width))

    def forward(self, ids: Tensor, vectors: Tensor, positions: Tensor, attention: Attention) -> Tensor:
        """ids, positions [..]; vectors [.., width]: of the tool where ids is SLOT, elsewhere of the parameter that the
        token belongs to, or zero -> hidden [.., width]."""
        tokens = self.embedding_norm(self.embedding(ids))
        if self.config.parameters:
            tokens = tokens + self.parameter(vectors)
        x = torch.where((ids == SLOT)[..., None], self.slot(vectors).float(), tokens)
        norms: list[Any] = [*(layer.self_norm for layer in self.layers), self.norm]
        stream = Stream(x, norms[0](x))
        for i, layer in enumerate(self.layers):
            stream = layer(stream, positions, i, attention, norms[i + 1])
        return stream.read

    def route_scores(self, hidden: Tensor, similarity: Tensor, overlap: Tensor, late: Tensor | None = None) -> Tensor:
        """hidden [..., width]; cosine similarity [...], overlap [..., OVERLAPS] of `model.links` and, in a network that
        has it, late interaction [...] (all 0 for NONE) -> unnormalised log-probabilities [...]."""
        if not self.config.rerank:  # a tool beats NONE, which scores 0, from a learned cosine on: a half to begin with
            return self.route_similarity * torch.where(similarity == 0, 0.0, similarity - self.route.bias.sigmoid())
        scores = self.route(hidden).squeeze(-1).float() + self.route_similarity * similarity
        if late is not None:
            scores = scores + self.route_late * late
        if not self.config.overlap:
            return scores
        return scores + (self.route_overlap(hidden).float() * overlap).sum(-1)

    def copy_scores(self, hidden: Tensor, copy_keys: Tensor, matches: Tensor, bias: Tensor) -> Tensor:
        """hidden [B, L, width], copy_keys [B, S, copy], matches [B, L, S] in 0..3, bias [B, L or 1, S] -> [B, L, S]."""
        scores = self.copy_query(hidden) @ copy_keys.transpose(1, 2)
        scores = scores.float() * self.config.copy_width**-0.5 + bias.float()
        if not self.config.induction:
            return scores
        bonus = F.pad(self.copy_match.cumsum(0), (1, 0))  # the bonus of 0, 1, 2 and 3 matching tokens
        if torch.is_grad_enabled() and not torch.onnx.is_in_onnx_export():
            looked_up: Tensor = _Bonus.apply(bonus, matches)
            return scores + looked_up
        return scores + F.embedding(matches, bonus[:, None]).squeeze(-1)

    def coverage(self, hidden: Tensor, used: Tensor, before: Tensor) -> Tensor:
        """What is added to the copy scores of source tokens that were copied already, in this call or one before it.

        hidden [B, L, width]; used, before [B, L, S] in 0..1 -> [B, L, S]. See et al. 2017 (coverage), without their
        loss.
        """
        if not self.config.coverage:
            return torch.zeros_like(used)
        weight = self.copy_used(hidden).float()  # [B, L, 2]
        return weight[..., :1] * used + weight[..., 1:] * before

    def link(self, hidden: Tensor, features: Tensor) -> Tensor:
        """What is added to the copy scores for the words that conversation and parameter share.

        hidden [B, L, width], features [B, L, S, FEATURES] of `model.links` -> [B, L, S].
        """
        weight = self.copy_link(hidden).float()
        with _products(features):
            return (features @ weight[..., None]).squeeze(-1)

    def vocab_logits(self, hidden: Tensor) -> Tensor:
        """hidden [N, width] -> [N, V]."""
        return F.linear(self.to_vocab(hidden), self.embedding.weight) + self.vocab_bias

    def vocab_probability(self, hidden: Tensor, target: Tensor) -> Tensor:
        """The softmax of `vocab_logits` at `target`: hidden [N, width], target [N] -> [N]."""
        return probability(F.linear(self.to_vocab(hidden), self.embedding.weight), self.vocab_bias, target)

    def gates(self, hidden: Tensor) -> Tensor:
        """hidden [..., width] -> [..., 3]: the shares of vocabulary, copying, and copying without the leading space."""
        scores = self.gate(hidden).float()
        if not self.config.copy:
            scores = F.pad(scores[..., :1], (0, 2), value=MASKED)
        return scores.softmax(-1)


class _Bonus(torch.autograd.Function):
    """bonus[matches], of which a few numbers have very many places: their gradients would be added up one by one."""

    @staticmethod
    def forward(ctx: Any, bonus: Tensor, matches: Tensor) -> Tensor:
        ctx.save_for_backward(matches)
        ctx.size = len(bonus)
        return bonus[matches]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (matches,) = ctx.saved_tensors
        return torch.stack([grads[0].masked_fill(matches != k, 0.0).sum() for k in range(ctx.size)]), None


def match_lengths(source: Tensor, twins: Tensor, written: Tensor) -> Tensor:
    """How many tokens before each source position equal what was just written: the copy head's induction bias.

    source [B, S]; twins [V] from `Tokenizer.twins`; written [B, L], every token up to and including the current input.
    Returns [B, L, S] in 0..3. Special tokens match nothing and are never a continuation.
    """
    plain = source >= len(SPECIAL_TOKENS)
    equal = (source[:, None] == written[:, :, None]) | (twins[source][:, None] == written[:, :, None])
    equal &= plain[:, None] & (written >= len(SPECIAL_TOKENS))[:, :, None]
    run = F.pad(equal, (1, 0))[:, :, :-1] & plain[:, None]  # position s continues a match that ends at s-1
    total = run.long()
    for shift in (1, 2):
        earlier = F.pad(equal, (1 + shift, 0, shift, 0))[:, : equal.shape[1], : equal.shape[2]]
        run = run & earlier
        total += run
    return total


class Network(nn.Module):
    """Encoder and decoder with one token embedding."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        embedding = nn.Embedding(config.vocab_size, config.width)
        self.encoder = Encoder(config, embedding)
        self.decoder = Decoder(config, embedding)
        self.apply(_initialise)
        nn.init.zeros_(self.decoder.copy_used.weight)  # to begin with, what was copied makes no difference
        nn.init.zeros_(self.decoder.parameter.weight)  # nor does which parameter is written
        nn.init.zeros_(self.decoder.copy_link.weight)  # nor do words that it or its tool shares with the conversation
        nn.init.zeros_(self.decoder.route_overlap.weight)

    def set_dropout(self, dropout: float, word_dropout: float) -> None:
        """How much is dropped while training, as of `TrainConfig`; nothing until this is called."""
        for module in self.modules():
            if isinstance(module, nn.Dropout):
                module.p = dropout
        self.encoder.word_dropout.p = word_dropout

    def parameter_count(self) -> int:
        """Distinct parameters; the shared embedding counts once."""
        return sum(p.numel() for p in self.parameters())


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
