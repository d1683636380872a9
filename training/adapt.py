"""Encoder adaptation: before any training on calls, the warm-started encoder learns to read our tokens as MiniLM reads
its word pieces.

The warm start's token embeddings are averages of word pieces, which the layers have never seen. Here the original
MiniLM, frozen, reads plain texts with its own tokenizer, and the encoder is to arrive at the same states with ours:
cross-tokenizer distillation, the tokens of both aligned by the characters that they stand for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer as WordPieceTokenizer
from torch import Tensor
from tqdm import tqdm

from model.tokenizer import ASSISTANT, RESULT, SPECIAL_TOKENS, SYSTEM, TOOL, USER, Tokenizer
from training.attention import take, text_attention
from training.config import TrainConfig
from training.data.packing import Packed, pack
from training.data.shards import load_description, load_examples, load_tools
from training.distributed import join_world
from training.memory import keep_freed_memory, return_freed_memory
from training.network import Encoder, Network
from training.optimizer import make_optimizer, set_learning_rate
from training.warm_start import original_encoder, word_pieces

LONGEST = 256  # tokens of a text; what is behind them is cut off, for both
MEASURED = 256  # texts
WARMUP = 0.1  # of the steps
RETURN_EVERY = 20  # steps: freed memory, to the system
# What opens the prompts: alike after the warm start, they take turns, and so stay alike.
ROLES = (TOOL, SYSTEM, USER, ASSISTANT, RESULT)


class Pair(NamedTuple):
    """The same texts as `ours` and as `theirs`, MiniLM's word pieces between [CLS] and [SEP]; PAD is 0 in both.

    `token`, `piece` [P]: places in `ours.ids` and `theirs.ids` of tokens and pieces that share a character.
    """

    ours: Packed
    theirs: Packed
    token: Tensor
    piece: Tensor

    def to(self, device: torch.device) -> Pair:
        return Pair(self.ours.to(device), self.theirs.to(device), self.token.to(device), self.piece.to(device))


class Match(NamedTuple):
    """Mean cosines of an encoder's vectors to MiniLM's: of `texts`, pooled, and of single `tokens`.

    Pooled is the mean over all tokens, [CLS] and [SEP] among them, as sentence-transformers has it for this model.
    """

    texts: Tensor
    tokens: Tensor


def adapt_on(
    shards: Path, network: Network, tokenizer: Tokenizer, steps: int, rows: int, lr: float, seed: int
) -> tuple[Match, Match]:
    """`adapt` on the training texts of `shards`, measured on held-out ones; FileNotFoundError without shards."""
    if not (shards / "shards.json").exists():
        raise FileNotFoundError(f"no shards in {shards}: `bodkin data prepare` writes them")
    reader = Tokenizer.load(shards / "tokenizer.json")
    measured = list(dict.fromkeys(islice(texts_of(shards, reader, seed, "heldout"), MEASURED)))
    # The two splits share some distractors and some small talk.
    texts = (text for text in texts_of(shards, reader, seed) if text not in measured)
    keep_freed_memory()
    with join_world() as world:
        return adapt(network.to(world.device), tokenizer, texts, measured, steps, rows, lr)


def texts_of(shards: Path, tokenizer: Tokenizer, seed: int, split: str = "train") -> Iterator[str]:
    """The conversations of a split, a turn a line, and the tools they show; endless, every pass in another order.

    tokenizer: the shards' own. ValueError for shards without texts, or of another format.
    """
    load_description(shards)
    queries, others, called = (getattr(load_examples(shards, split), n) for n in ("query", "others", "call_tools"))
    tools = load_tools(shards).ids
    prompts = [(tools, i) for i in np.unique(np.concatenate((others.flat, called.flat)))]
    prompts += [(queries, i) for i in range(len(queries))]
    if not prompts:
        raise ValueError(f"{shards} has no {split} texts")
    rng = np.random.default_rng(seed)
    while True:
        for k in rng.permutation(len(prompts)):
            source, i = prompts[k]
            ids = source[i]
            turns = np.split(ids, np.flatnonzero(ids < len(SPECIAL_TOKENS)))
            text = "\n".join(filter(None, (tokenizer.decode(turn.tolist()) for turn in turns)))
            if text.strip():
                yield text


def adapt(
    network: Network,
    tokenizer: Tokenizer,
    texts: Iterator[str],
    measured: Sequence[str],
    steps: int,
    rows: int = 64,
    lr: float = 1e-4,
    folder: Path | None = None,
) -> tuple[Match, Match]:
    """Train `network.encoder`, in place, to match MiniLM on `steps` batches of `rows` texts.

    The loss is 1 - the cosine of pooled vectors, its mean over texts, plus 1 - the cosine of a token's state and the
    mean of the states of the word pieces that share a character with it, its mean over tokens; those that share none
    do not count. The learning rate rises to `lr` and falls to zero, linearly. The same texts give the same weights.

    Args:
        measured: texts to measure on, before and after; that is what is returned.
        folder: MiniLM's; by default the package's, of which FileNotFoundError says how to get it.
    """
    device = network.encoder.embedding.weight.device
    teacher, pieces = original_encoder(network.config, folder).to(device), word_pieces(folder)
    config = TrainConfig(steps=steps, encoder_lr=lr, warmup=max(1, round(WARMUP * steps)), decay=1.0, weight_decay=0.0)
    optimizer = make_optimizer(network, config)  # what gets no gradient, as the decoder, stays as it is
    before = measure(network.encoder, teacher, tokenizer, pieces, measured)
    with tqdm(total=steps, unit="step", dynamic_ncols=True) as bar:
        for step in range(steps):
            pair = read_both(tokenizer, pieces, list(islice(texts, rows))).to(device)
            set_learning_rate(optimizer, step, step / steps, config)
            optimizer.zero_grad()
            with torch.autocast(device.type, torch.bfloat16):
                match = compare(network.encoder, teacher, pair)
                loss = (1.0 - match.texts) + (1.0 - match.tokens)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.encoder.parameters(), config.grad_clip)
            optimizer.step()
            bar.update()
            bar.set_postfix_str(f"loss {loss.item():.4f}")
            if step % RETURN_EVERY == 0:
                return_freed_memory()
    optimizer.zero_grad()
    return before, measure(network.encoder, teacher, tokenizer, pieces, measured)


@torch.no_grad()
def measure(
    encoder: Encoder, teacher: Encoder, tokenizer: Tokenizer, pieces: WordPieceTokenizer, texts: Sequence[str]
) -> Match:
    """`compare` in float32, over all of `texts` together."""
    return compare(encoder, teacher, read_both(tokenizer, pieces, texts).to(encoder.embedding.weight.device))


def read_both(tokenizer: Tokenizer, pieces: WordPieceTokenizer, texts: Sequence[str]) -> Pair:
    """Texts as both tokenizers read them, ours behind a role token as in a prompt."""
    ours = [(ids[:LONGEST], spans[:LONGEST]) for ids, spans in tokenizer.encode_with_offsets(list(texts))]
    cut = [text[: max((end for _, end in spans), default=0)] for text, (_, spans) in zip(texts, ours, strict=True)]
    theirs = pieces.encode_batch(cut)
    packed = pack([[ROLES[i % len(ROLES)], *ids] for i, (ids, _) in enumerate(ours)])
    packed_theirs = pack([encoding.ids for encoding in theirs])
    shared = [overlaps(spans, encoding.offsets) for (_, spans), encoding in zip(ours, theirs, strict=True)]
    token = [start + 1 + token for start, (token, _) in zip(packed.start.numpy(), shared, strict=True)]
    piece = [start + piece for start, (_, piece) in zip(packed_theirs.start.numpy(), shared, strict=True)]
    return Pair(packed, packed_theirs, *(torch.from_numpy(np.concatenate(x)) for x in (token, piece)))


def overlaps(
    ours: Sequence[tuple[int, int]], theirs: Sequence[tuple[int, int]]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Half-open ranges of characters -> (i, k) of all that share one; an empty range, as [CLS] has, shares none."""
    (start, end), (first, last) = (np.array(spans, np.int64).reshape(-1, 2).T for spans in (ours, theirs))
    i, k = np.nonzero(np.maximum(start[:, None], first) < np.minimum(end[:, None], last))
    return i, k


def compare(encoder: Encoder, teacher: Encoder, pair: Pair) -> Match:
    """Cosines do not depend on lengths, so that sums of states do for their means."""
    ours = _states(encoder, pair.ours)
    with torch.no_grad():
        theirs = _states(teacher, pair.theirs)
    token, row = pair.token.unique(return_inverse=True)
    wanted = theirs.new_zeros(len(token), theirs.shape[1]).index_add(0, row, take(theirs, pair.piece))
    return Match(
        F.cosine_similarity(_sums(pair.ours, ours), _sums(pair.theirs, theirs), dim=-1).mean(),
        F.cosine_similarity(take(ours, token), wanted, dim=-1).mean(),
    )


def _states(encoder: Encoder, texts: Packed) -> Tensor:
    return encoder.states(texts.ids, texts.position, text_attention(texts, encoder.head_width)).float()


def _sums(texts: Packed, states: Tensor) -> Tensor:
    """states [N, width] -> the sum of each text's [n, width], padding left out."""
    text = torch.arange(len(texts), device=states.device).repeat_interleave(texts.length)
    behind = torch.arange(len(text), device=states.device) - (texts.length.cumsum(0) - texts.length)[text]
    sums = states.new_zeros(len(texts), states.shape[1])
    return sums.index_add(0, text, take(states, texts.start[text] + behind))
