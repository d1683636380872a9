"""The training loss: fill, route, contrast, and a hold on what the encoder knew."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from model.tokenizer import NONE, PAD, SLOT
from training.data.batches import NO_TOOL, Batch
from training.network import MASKED, Decoded, Encoded, Network, match_lengths

CONTRASTIVE_TEMPERATURE = 0.05
ROUTE_GROUPS = 4  # rows of a route loss are taken in so many groups of like tool length


class Losses(NamedTuple):
    """Means, in nats: `fill` per free token, `route` per slot, `contrast` per row; and two accuracies in [0, 1]."""

    fill: Tensor
    route: Tensor
    contrast: Tensor
    fill_accuracy: Tensor
    route_accuracy: Tensor


def compute_losses(network: Network, batch: Batch, twins: Tensor) -> tuple[Losses, Encoded]:
    """One pass over a batch. Also returns the encoded conversations, for further terms."""
    query = network.encoder(batch.query_ids, batch.query_pool)
    tool = encode_tools(network, batch)
    called = batch.row_tools.clamp(min=0)  # [B, K]
    width, tool_length = called.shape[1], batch.tool_ids.shape[1]

    def beside(q: Tensor, t: Tensor) -> Tensor:
        """[.., B, Tq, d], [.., M, Tt, d] -> [.., B, Tq + K*Tt, d]: each row's conversation and the tools it calls."""
        return torch.cat((q, _take(t, called)), dim=-2)

    # Filling: every token reads the conversation and the tool of its own call; [B, L, S].
    keys, values = beside(query.keys, tool.keys), beside(query.values, tool.values)
    source = torch.cat((batch.query_ids, batch.tool_ids[called].flatten(1)), dim=1)
    places = torch.arange(width, device=source.device).repeat_interleave(tool_length)
    own = F.pad(places == batch.owner[:, :, None], (batch.query_ids.shape[1], 0), value=True)
    reads = own & (source != PAD)[:, None]
    length = batch.decoder_ids.shape[1]
    slots = tool.pooled[called.gather(1, batch.owner)]
    positions = torch.arange(length, device=source.device).expand(batch.decoder_ids.shape)
    causal = torch.ones(length, length, dtype=torch.bool, device=source.device).tril()
    past = keys[:, :, :0]
    filled = network.decoder(
        batch.decoder_ids, slots, positions, past, past, _bias(causal)[None, None], keys, values, _bias(reads)[:, None]
    )
    copy_keys = beside(query.copy_keys, tool.copy_keys)
    fill, fill_accuracy = _fill_loss(network, batch, filled.hidden, copy_keys, source, reads, twins)
    route, route_accuracy = _route_loss(network, batch, query, tool, filled)
    contrast = _contrastive_loss(batch, query.pooled, tool.pooled)
    return Losses(fill, route, contrast, fill_accuracy, route_accuracy), query


def encode_tools(network: Network, batch: Batch) -> Encoded:
    """The batch's tools, encoded in groups of like length, so that short ones do not pay for long ones' padding."""
    lengths = (batch.tool_ids != PAD).sum(1)
    order = lengths.argsort()
    parts = []
    for members in order.tensor_split(min(4, len(order))):
        longest = int(lengths[members].max())
        part = network.encoder(batch.tool_ids[members, :longest], batch.tool_pool[members, :longest])
        gap = (0, 0, 0, batch.tool_ids.shape[1] - longest)
        parts.append(Encoded(part.pooled, *(F.pad(x, gap) for x in part[1:])))
    back = order.argsort()
    pooled, keys, values, copy_keys = zip(*parts, strict=True)
    return Encoded(
        torch.cat(pooled)[back],
        _gather(torch.cat(keys, 1), back),
        _gather(torch.cat(values, 1), back),
        _gather(torch.cat(copy_keys), back),
    )


class _Gather(torch.autograd.Function):
    """x [.., M, T, d], index [N] -> [.., N, T, d]. `index_select` with a backward that uses every core of a CPU.

    Its own adds row by row on one; as a product with the transposed one-hot matrix it is a matrix multiplication.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.rows = x.shape[-3]
        return x.index_select(-3, index)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        (grad,) = grads
        chosen = F.one_hot(index, ctx.rows).T.to(grad.dtype)  # [M, N]
        return (chosen @ grad.flatten(-2)).unflatten(-1, grad.shape[-2:]), None


def _gather(x: Tensor, index: Tensor) -> Tensor:
    gathered: Tensor = _Gather.apply(x, index)
    return gathered


def _take(encoded: Tensor, tools: Tensor) -> Tensor:
    """encoded [.., M, T, d], tools [B, K] -> [.., B, K*T, d]."""
    return _gather(encoded, tools.flatten()).unflatten(-3, tools.shape).flatten(-3, -2)


def _bias(allowed: Tensor) -> Tensor:
    return torch.where(allowed, 0.0, MASKED)


def _route_loss(
    network: Network, batch: Batch, query: Encoded, tool: Encoded, filled: Decoded
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of each slot's softmax; every candidate is one decoder step, as in serving."""
    scores = route_scores(network, batch, query, tool, filled)
    slots = scores[batch.route_index.clamp(min=0)].masked_fill(batch.route_index == NO_TOOL, MASKED)  # [R, C+1]
    accuracy = (slots.argmax(-1) == batch.route_target).float().mean()
    return F.cross_entropy(slots, batch.route_target), accuracy


def route_scores(network: Network, batch: Batch, query: Encoded, tool: Encoded, filled: Decoded) -> Tensor:
    """The score [N] of every route row, taken in groups of like tool length: NONE reads no tool at all."""
    lengths = (batch.tool_ids != PAD).sum(1)[batch.route_tool.clamp(min=0)]
    lengths = torch.where(batch.route_tool == NO_TOOL, 0, lengths)
    order = lengths.argsort()
    without = int((lengths == 0).sum())
    groups = [g for g in (order[:without], *order[without:].tensor_split(ROUTE_GROUPS)) if len(g)]
    scores = [_group_scores(network, batch, query, tool, filled, g, int(lengths[g].max())) for g in groups]
    return torch.cat(scores)[order.argsort()]


def _group_scores(
    network: Network, batch: Batch, query: Encoded, tool: Encoded, filled: Decoded, group: Tensor, length: int
) -> Tensor:
    """Scores [n] of the route rows `group` [n], whose tools have at most `length` tokens."""
    row, start = batch.route_row[group], batch.route_start[group]
    none, chosen = batch.route_tool[group] == NO_TOOL, batch.route_tool[group].clamp(min=0)
    keys = torch.cat((_gather(query.keys, row), _gather(tool.keys[:, :, :length], chosen)), dim=2)
    values = torch.cat((_gather(query.values, row), _gather(tool.values[:, :, :length], chosen)), dim=2)
    reads = torch.cat((batch.query_ids[row] != PAD, batch.tool_ids[chosen, :length] != PAD), dim=1)
    past = int(start.max())
    earlier = torch.arange(past, device=row.device) < start[:, None]
    sees = F.pad(earlier, (0, 1), value=True)  # the calls before, and itself
    stepped = network.decoder(
        torch.where(none, NONE, SLOT)[:, None],
        tool.pooled[chosen][:, None],
        start[:, None],
        _gather(filled.keys[:, :, :past], row),
        _gather(filled.values[:, :, :past], row),
        _bias(sees)[:, None, None],
        keys,
        values,
        _bias(reads)[:, None, None],
    )
    similarity = (query.pooled[row] * tool.pooled[chosen]).sum(-1).masked_fill(none, 0.0)
    return network.decoder.route_scores(stepped.hidden[:, 0], similarity)


def _fill_loss(
    network: Network, batch: Batch, hidden: Tensor, copy_keys: Tensor, source: Tensor, reads: Tensor, twins: Tensor
) -> tuple[Tensor, Tensor]:
    """Negative log of `g0 softmax(logits)[t] + g1 Σ a[source = t] + g2 Σ a[twin(source) = t]` over the free tokens.

    The copy distribution is never built over the vocabulary: only the target's share of it is needed. The accuracy
    counts a token as right when it gets more than half of the probability, which is a lower bound of the argmax being
    right.
    """
    if not len(batch.fill_row):
        zero = hidden.sum() * 0.0
        return zero, zero.detach()
    row, at, target = batch.fill_row, batch.fill_position, batch.fill_target
    # Free positions, left-aligned per row: [B, F] with F the most of any row.
    count = torch.bincount(row, minlength=hidden.shape[0])
    column = torch.arange(len(row), device=row.device) - (count.cumsum(0) - count)[row]
    grid = torch.zeros(hidden.shape[0], int(count.max()), dtype=torch.long, device=row.device)
    grid[row, column] = at
    batch_index = torch.arange(hidden.shape[0], device=row.device)[:, None]
    decoder = network.decoder
    states = hidden[batch_index, grid]  # [B, F, width]
    matches = match_lengths(source, twins, batch.decoder_ids)[batch_index, grid]
    bias = torch.where(reads[batch_index, grid], 0.0, MASKED)
    attention = decoder.copy_attention(states, copy_keys, matches, bias)[row, column]  # [N, S]
    states = states[row, column]  # [N, width]
    gates = decoder.gates(states)
    logits = decoder.vocab_logits(states).float()
    vocab = (logits.gather(1, target[:, None]).squeeze(1) - logits.logsumexp(-1)).exp()
    exact = (attention * (source[row] == target[:, None])).sum(-1)
    twin = (attention * (twins[source[row]] == target[:, None])).sum(-1)
    probability = gates[:, 0] * vocab + gates[:, 1] * exact + gates[:, 2] * twin
    accuracy = (probability > 0.5).float().mean()
    return -(probability + 1e-9).log().mean(), accuracy


def _contrastive_loss(batch: Batch, query: Tensor, tool: Tensor) -> Tensor:
    """InfoNCE of each conversation's first called tool among the batch's tools; siblings are not held against it."""
    rows = batch.positive != NO_TOOL
    if not rows.any():
        return query.sum() * 0.0
    positive = batch.positive[rows]
    scores = (query[rows] @ tool.T) / CONTRASTIVE_TEMPERATURE
    sibling = batch.row_group[rows][:, None] == batch.tool_group[None]
    sibling[torch.arange(len(positive), device=positive.device), positive] = False
    return F.cross_entropy(scores.masked_fill(sibling, MASKED), positive)
