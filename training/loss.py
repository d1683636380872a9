"""The training loss: fill, route, contrast, and a hold on what the encoder knew.

Everything runs over the packed tokens of a batch (`training/data/packing.py`): linear layers over all of them at once,
attention as `training/attention.py` says.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from model.parameters import NO_PARAMETER
from model.tokenizer import NONE, PAD, SLOT
from training.attention import FillAttention, bias, fill_attention, route_attention, take, take_all, text_attention
from training.data.batches import CONVERSATION, NO_TOOL, NOBODY, Batch
from training.data.packing import ROWS, Packed, pad_to
from training.links import link_features, overlap_features
from training.network import MASKED, Encoder, Network, Spelling, match_lengths

CONTRASTIVE_TEMPERATURE = 0.05


class Losses(NamedTuple):
    """Means, in nats: `fill` per counted token, `route` per slot, `contrast` per row; and two accuracies in [0, 1].

    A token or slot has its row's weight in the losses. In the accuracies all count alike.
    """

    fill: Tensor
    route: Tensor
    contrast: Tensor
    fill_accuracy: Tensor
    route_accuracy: Tensor


class Memory(NamedTuple):
    """The encoded texts of a batch.

    `pooled` [n, width] of unit length, one a text, and `parameters` [P, width], one a parameter; of every token [N, ..]
    `cross`, the decoder's keys and values of all layers side by side, `copy_keys` and, if the network has that part,
    the vectors `late` of late interaction.
    """

    pooled: Tensor
    parameters: Tensor
    cross: Tensor
    copy_keys: Tensor
    late: Tensor | None


def compute_losses(network: Network, batch: Batch, spelling: Spelling, free_only: bool = True) -> tuple[Losses, Tensor]:
    """One pass over a batch. Also returns the conversations' pooled vectors [B, width], for further terms.

    `fill` counts the tokens that the grammar leaves free; with `free_only=False`, all tokens of arguments.
    """
    memory = encode(network.encoder, batch)
    query, tool = memory.pooled[: len(batch)], memory.pooled[len(batch) :]
    reads = [
        (s.owner[:, None] == CONVERSATION) | (s.owner[:, None] == owner[:, :, None])
        for s, owner in zip(batch.sources, batch.decoder.split(batch.owner), strict=True)
    ]  # [b, L, S]
    attention = fill_attention(network, batch, memory.cross, reads)
    vectors = torch.cat((tool, memory.parameters, torch.zeros_like(tool[:1])))  # the last is that of no parameter
    hidden = network.decoder(batch.decoder.ids, take(vectors, batch.vector), batch.decoder.position, attention)
    counted = batch.free if free_only else batch.target != PAD
    fill, fill_accuracy, marks = _fill_loss(network, batch, memory, hidden, reads, spelling, counted)
    scores = route_scores(network, batch, memory, query, tool, attention, spelling, marks)
    route, route_accuracy = _route_loss(batch, scores)
    contrast = _contrastive_loss(batch, query, tool)
    return Losses(fill, route, contrast, fill_accuracy, route_accuracy), query


def encode(encoder: Encoder, batch: Batch) -> Memory:
    """What the decoder reads of the batch's texts."""
    texts = batch.texts
    states = encoder.states(texts.ids, texts.position, text_attention(texts, encoder.head_width))
    pooled = pool_texts(texts, batch.pool, states)
    sums = torch.zeros(batch.parameters, states.shape[-1], device=states.device)
    sums = sums.index_add(0, batch.parameter_row, states.index_select(0, batch.parameter_token).float())
    late = encoder.late(states) if encoder.late else None
    return Memory(pooled, F.normalize(sums, dim=-1), encoder.cross(states), encoder.copy_key(states), late)


def pool_texts(texts: Packed, pool: Tensor, states: Tensor) -> Tensor:
    """The unit vectors [n, width] of the texts: sums of their states [N, width], weighted by `pool` [N]."""
    pairs = zip(texts.split(pool), texts.split(states), strict=True)
    pooled = torch.cat([(weights[:, None].to(x.dtype) @ x)[:, 0] for weights, x in pairs])
    return F.normalize(pooled.float(), dim=-1)[texts.order.argsort()]


def _route_loss(batch: Batch, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of each slot's softmax over the `scores` [n] of its route rows, and the accuracy."""
    slots = take(scores, batch.route_index.clamp(min=0)).masked_fill(batch.route_index == NO_TOOL, MASKED)  # [R, C+1]
    accuracy = (slots.argmax(-1) == batch.route_target).float().mean()
    row = batch.routes.row[batch.route_index[:, -1]]  # NONE is a candidate of every slot
    return _weighted_cross_entropy(slots, batch.route_target, batch.row_weight[row]), accuracy


def route_scores(
    network: Network,
    batch: Batch,
    memory: Memory,
    query: Tensor,
    tool: Tensor,
    fill: FillAttention,
    spelling: Spelling,
    marks: Tensor,
) -> Tensor:
    """The score [n] of every route row: every candidate is one decoder step, as in serving.

    marks [J]: how much of each `Reread` token calls have copied, 0..1.
    """
    routes = batch.routes
    none = routes.tool == NO_TOOL
    vectors = take(tool, routes.tool.clamp(min=0)).masked_fill(none[:, None], 0.0)
    ids = torch.where(none, NONE, SLOT)
    cross = memory.cross
    if len(marks):
        reread = take(cross, batch.reread.token)
        if network.config.routed_coverage and network.config.copy:  # else nothing was copied
            reread = reread + marks[:, None].to(reread) * network.decoder.covered.to(reread)
        cross = torch.cat((cross, reread))
    hidden = network.decoder(ids, vectors, routes.start, route_attention(network, batch, cross, fill))
    similarity = (take(query, routes.row) * vectors).sum(-1)
    late = None
    if memory.late is not None:
        tools = late_interaction(batch, memory.late)[routes.row, routes.tool.clamp(min=0)]
        late = tools.masked_fill(none, 0.0)
    return network.decoder.route_scores(hidden, similarity, overlaps_of(batch, spelling), late)


def _fill_loss(
    network: Network,
    batch: Batch,
    memory: Memory,
    hidden: Tensor,
    reads: list[Tensor],
    spelling: Spelling,
    counted: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Negative log of `g0 softmax(logits)[t] + g1 Σ a[source = t] + g2 Σ a[twin(source) = t]` over the tokens that
    are `counted` [N].

    The copy distribution is never built over the vocabulary: only the target's share of it is needed. The accuracy
    counts a token as right when it gets more than half of the probability, which is a lower bound of the argmax being
    right. Returned last is how much of each `Reread` token was copied before its slot [J], 0..1.
    """
    reread = batch.reread
    marks = torch.zeros(len(reread.token), device=hidden.device)
    if not counted.any():
        zero = hidden.sum() * 0.0
        return zero, zero.detach(), marks
    decoder = network.decoder
    exact, twin = [], []
    first = 0  # of the bucket's rows
    split = batch.decoder.split
    keys = take_all(memory.copy_keys, [s.index for s in batch.sources])
    links = links_of(batch, spelling) if network.config.links else repeat(None)
    parts = zip(
        split(hidden), split(batch.decoder.ids), split(batch.target), split(batch.free), split(counted),
        split(batch.call_start), batch.sources, keys, reads, links, strict=False,
    )  # fmt: skip
    for states, written, target, free, chosen, call_start, sources, copy_keys, readable, linked in parts:
        source = batch.texts.ids[sources.index].masked_fill(sources.owner == NOBODY, PAD)  # [b, S]
        same = source[:, None] == target[:, :, None]  # [b, L, S]
        same_twin = spelling.twins[source][:, None] == target[:, :, None]
        matches = match_lengths(source, spelling.twins, written)
        scores = decoder.copy_scores(states, copy_keys, matches, bias(readable))
        if linked is not None:
            scores = scores + decoder.link(states, linked)
        used, before, behind = coverage(scores.detach(), (same | same_twin) & free[:, :, None], call_start)
        mine = (reread.order >= first) & (reread.order < first + len(behind))
        marks[mine] = behind[reread.order[mine] - first, reread.before[mine] - 1, reread.place[mine]].clamp(max=1.0)
        first += len(behind)
        copied = (scores + decoder.coverage(states, used, before)).softmax(-1)
        exact.append((copied * same).sum(-1)[chosen])
        twin.append((copied * same_twin).sum(-1)[chosen])
    states = hidden[counted]  # [F, width]
    gates = decoder.gates(states)
    padding = pad_to(ROWS, len(states)) - len(states)
    targets = F.pad(batch.target[counted], (0, padding))
    vocab = decoder.vocab_probability(F.pad(states, (0, 0, 0, padding)), targets)[: len(states)]
    probability = gates[:, 0] * vocab + gates[:, 1] * torch.cat(exact) + gates[:, 2] * torch.cat(twin)
    accuracy = (probability > 0.5).float().mean()
    shares = zip(batch.decoder.rows(batch.row_weight), batch.decoder.shapes, strict=True)
    weight = batch.decoder.join(w[:, None].expand(shape) for w, shape in shares)[counted]
    return _weighted_mean(-(probability + 1e-9).log(), weight), accuracy, marks


def links_of(batch: Batch, spelling: Spelling) -> Iterator[Tensor]:
    """Each decoder bucket's features [b, L, S, FEATURES] of `training.links`."""
    words, tools = spelling.words[batch.texts.ids], len(batch.tool_group)
    parameter = torch.full_like(batch.texts.ids, NO_PARAMETER)
    parameter[batch.parameter_token] = batch.parameter_row
    # Before the parameters' vectors are the tools', at slots; behind them is that of no parameter.
    written = (batch.vector - tools).clamp(min=NO_PARAMETER)
    written = written.masked_fill(written == batch.parameters, NO_PARAMETER)
    parts = zip(batch.sources, *map(batch.decoder.split, (batch.owner, written)), strict=True)
    for sources, called, belongs in parts:
        padding = sources.owner == NOBODY
        yield link_features(
            words[sources.index].masked_fill(padding, 0),
            parameter[sources.index].masked_fill(padding, NO_PARAMETER),
            sources.owner,
            called,
            belongs,
        )


def overlaps_of(batch: Batch, spelling: Spelling) -> Tensor:
    """The overlaps [n, OVERLAPS] of `training.links` of every route row; zero for NONE."""
    texts, rows = batch.texts, len(batch)
    words, text = spelling.words[texts.ids], token_texts(texts)
    inside, outside = torch.zeros(2, len(texts), int(spelling.words.max()) + 1, device=words.device)
    for found, places in ((inside, batch.pool > 0), (outside, batch.pool == 0)):
        found[text[places], words[places]] = 1.0
    index = batch.route_index[:, :-1]  # of candidates; behind them is NONE
    tools = batch.routes.tool[index.clamp(min=0)].masked_fill(index == NO_TOOL, NO_TOOL)
    row = batch.routes.row[batch.route_index[:, -1]]
    # At the last slot only a few of the row's candidates are scored; serving has them all there, too.
    first = torch.searchsorted(row, row)
    overlaps = overlap_features(inside[:rows], inside[rows:], outside[rows:], row, tools, tools[first])
    found = overlaps.new_zeros(len(batch.routes.row), overlaps.shape[-1])
    found[index[tools != NO_TOOL]] = overlaps[tools != NO_TOOL]
    return found


def late_interaction(batch: Batch, vectors: Tensor) -> Tensor:
    """Of every conversation and tool of the batch [B, M]: the mean over the conversation's pooled tokens of the cosine
    with the tool's token that is most like it. vectors [N, copy_width] of the texts' tokens.

    MaxSim of Khattab & Zaharia 2020 (ColBERT).
    """
    rows, texts = len(batch), token_texts(batch.texts)
    asked = (batch.pool > 0) & (texts < rows)
    declared = (texts >= rows) & (batch.texts.ids != PAD)
    with torch.autocast(vectors.device.type, enabled=False):
        unit = F.normalize(vectors.float(), dim=-1)
        similarity = unit[asked] @ unit[declared].T
        tool = (texts[declared] - rows).expand_as(similarity)
        best = similarity.new_zeros(len(similarity), len(batch.texts) - rows)
        best = best.scatter_reduce(1, tool, similarity, "amax", include_self=False)
        sums = best.new_zeros(rows, best.shape[1]).index_add(0, texts[asked], best)
        return sums / texts[asked].bincount(minlength=rows)[:, None]


def token_texts(texts: Packed) -> Tensor:
    """Which text [N] each token is of; behind the last bucket, none of them: the first."""
    numbers = texts.rows(torch.arange(len(texts), device=texts.ids.device))
    return texts.join(k[:, None].expand(shape) for k, shape in zip(numbers, texts.shapes, strict=True))


def coverage(scores: Tensor, same: Tensor, call_start: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How much of each source token has been copied before each decoder token, in its own call and in earlier ones, and
    by all calls up to and with what is written behind it.

    scores [B, L, S]: copy scores; same [B, L, S]: whether the source token is what is written next, and by choice;
    call_start [B, L]: the place of the call's slot. Each written token is laid to the source tokens that it equals, in
    proportion to their copy attention. Returns tensors [B, L, S]: two in 0..1, and the last not bounded by 1.
    """
    weight = scores.softmax(-1) * same
    share = weight / weight.sum(-1, keepdim=True).clamp(min=1e-9)
    behind = share.cumsum(1)
    total = F.pad(behind, (0, 0, 1, 0))[:, :-1]  # before token l: what 0..l-1 chose
    before = total.gather(1, call_start[:, :, None].expand(total.shape))
    return (total - before).clamp(0.0, 1.0), before.clamp(max=1.0), behind


def _contrastive_loss(batch: Batch, query: Tensor, tool: Tensor) -> Tensor:
    """InfoNCE of each conversation's first called tool among the batch's tools; siblings are not held against it."""
    rows = batch.positive != NO_TOOL
    if not rows.any():
        return query.sum() * 0.0
    positive = batch.positive[rows]
    scores = (query[rows] @ tool.T) / CONTRASTIVE_TEMPERATURE
    sibling = batch.row_group[rows][:, None] == batch.tool_group[None]
    sibling[torch.arange(len(positive), device=positive.device), positive] = False
    return _weighted_cross_entropy(scores.masked_fill(sibling, MASKED), positive, batch.row_weight[rows])


def _weighted_mean(losses: Tensor, weight: Tensor) -> Tensor:
    return (losses * weight).sum() / weight.sum()


def _weighted_cross_entropy(scores: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """scores [n, C], target and weight [n] -> the weighted mean. With weights of 1, `F.cross_entropy` to the last bit:
    the operator that makes its mean adds up in an order of its own, and so does this."""
    return F.nll_loss(scores.log_softmax(-1) * weight[:, None], target, reduction="sum") / weight.sum()


def anchor_loss(pooled: Tensor, reference: Encoder, batch: Batch) -> Tensor:
    """1 - cosine between a few conversations' vectors and those of the encoder as it was before training."""
    with torch.no_grad():
        before = reference(batch.anchor_ids, batch.anchor_pool[:, None]).pooled[:, 0]
    return 1.0 - (pooled[: len(before)] * before).sum(-1).mean()
