"""Between start and student: weights on the line from the one to the other.

Fine-tuned weights have forgotten something. Part of the way back, they know the general again and the new tools no
worse, often better (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models": WiSE-FT). How far back is chosen by
the held-out labels.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from model.tokenizer import Tokenizer
from training.config import TrainConfig
from training.data.shards import load_examples, load_tools
from training.distil.batches import held_out_batches
from training.network import Network, Spelling
from training.train import evaluate

SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # of the student
WORSE = 1.05  # how much of the lowest held-out loss may be given away for what was known before


def blend(student: Network, start: Network, loss: Callable[[Network], float]) -> float:
    """Set the student's weights, in place, to a mean of its own and the start's; returns its own share in it.

    That is the least of `SHARES` whose held-out `loss` is at most `WORSE` times the lowest of all.
    """
    own: dict[str, Tensor] = {name: value.clone() for name, value in student.state_dict().items()}
    before = start.state_dict()

    def mix(share: float) -> Network:
        student.load_state_dict({name: torch.lerp(before[name], own[name], share) for name in own})
        return student

    losses = {share: loss(mix(share)) for share in SHARES}
    share = next(share for share in SHARES if losses[share] <= WORSE * min(losses.values()))
    mix(share)
    return share


def held_out_loss(shards: Path, config: TrainConfig) -> Callable[[Network], float]:
    """The sum of fill and route loss on the held-out labels of `shards`, as training measures it."""
    tokenizer = Tokenizer.load(shards / "tokenizer.json")
    batches = list(held_out_batches(load_examples(shards, "heldout"), load_tools(shards), config))
    spelling = Spelling.of(tokenizer)

    def loss(network: Network) -> float:
        measured = evaluate(network, batches, spelling, config)
        network.eval()
        return measured["fill"] + measured["route"]

    return loss
