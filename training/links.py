"""`model.links` for batches: of decoder tokens, each with the parameter that it belongs to, and of slots."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from model.links import REACH, WINDOW
from training.data.batches import CONVERSATION


@torch.no_grad()
def link_features(words: Tensor, parameter: Tensor, owner: Tensor, called: Tensor, written: Tensor) -> Tensor:
    """The features [b, L, S, FEATURES] of source tokens for decoder tokens; see `model.links.Links.features`.

    words [b, S]: of the source tokens, 0 for none, as for padding; parameter [b, S]: in whose lines each is, negative
    for none; owner [b, S]: which of the row's called tools it is of, CONVERSATION for the conversation, whose tokens
    are the first; called, written [b, L]: which of those tools a decoder token is about, and the parameter that it
    belongs to, negative for none.
    """
    with torch.autocast(words.device.type, enabled=False):  # shares are to be what serving has, not rounded to bf16
        return _link_features(words, parameter, owner, called, written)


def _link_features(words: Tensor, parameter: Tensor, owner: Tensor, called: Tensor, written: Tensor) -> Tensor:
    same = ((words[:, :, None] == words[:, None]) & (words > 0)[:, None]).float()  # [b, S, S]
    declared = parameter >= 0
    sibling = (parameter[:, :, None] == parameter[:, None]) & declared[:, None]
    # The first place of a word in a parameter's lines stands for all of its places there.
    first = declared & ~(same.bool() & sibling).tril(-1).any(-1)
    conversation = (owner == CONVERSATION)[:, None]
    said = (conversation.float() @ same > 0)[:, 0]  # [b, S]

    mate = (owner[:, :, None] == owner[:, None]) & first[:, None]
    having = (mate * same).sum(-1)  # how many parameters of its tool have the word of a tool's token
    linked = torch.where(declared & said, 1.0 / having.clamp(min=1.0), 0.0)
    mentioned = (sibling * linked[:, None]).amax(-1)

    of_tool = owner[:, None] == called[:, :, None]  # [b, L, S]
    lines = declared[:, None] & (parameter[:, None] == written[:, :, None])
    having_here = (of_tool & first[:, None]).float() @ same
    own = ((lines & first[:, None]).float() @ same) / having_here.clamp(min=1.0)
    others = (having_here > 0).float() - own
    windows = [F.pad(x * conversation, (REACH, REACH)).unfold(-1, WINDOW, 1) for x in (own, others)]
    return torch.cat(
        (
            *(window * conversation[..., None] for window in windows),
            (lines * linked[:, None])[..., None],
            lines[..., None].float(),
            (of_tool * mentioned[:, None])[..., None],
        ),
        -1,
    )


@torch.no_grad()
def overlap_features(
    said: Tensor, heads: Tensor, rests: Tensor, row: Tensor, candidates: Tensor, listed: Tensor
) -> Tensor:
    """`model.links.overlaps` of every slot [R, C, OVERLAPS], zero where there is no candidate.

    said [B, W], heads and rests [M, W]: 1.0 for the words of a conversation's end and of a tool's head and parameters,
    else 0.0, column 0 being of no word; row [R], candidates [R, C]: each slot's conversation and tools, negative for
    none; listed [R, D]: the tools among which a word of one is its own, the candidates and perhaps more.
    """
    of_heads = heads[:, 1:].sum(-1).clamp(min=1.0)
    heard = said.any(0)  # the few words that matter for what is shared
    heard[0] = False
    said, heads, rests = said[:, heard], heads[:, heard], rests[:, heard]
    rests = rests * (1.0 - heads)
    there = (candidates >= 0).float()[..., None]
    asked = said[row][:, None]  # [R, 1, W]
    counts, own = [], []
    for words in (heads, rests):
        shared = words[candidates.clamp(min=0)] * there * asked  # [R, C, W]
        having = (words[listed.clamp(min=0)] * (listed >= 0)[..., None]).sum(1, keepdim=True)
        counts.append(shared.sum(-1))
        own.append((shared * (having == 1.0)).sum(-1))
    shares = [counts[0] / of_heads[candidates.clamp(min=0)], (counts[0] + counts[1]) / asked.sum(-1).clamp(min=1.0)]
    return torch.stack((*shares, *(n.log1p() for n in (*counts, *own))), -1) * there
