"""The sizes of the network and the settings of a run; both are saved with every checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the network. The defaults are the shipped 26M model; `tiny()` is for tests."""

    vocab_size: int = 14_000
    width: int = 384
    heads: int = 12
    kv_heads: int = 4  # of the decoder's self- and cross-attention: small, because the cross K/V are cached per tool
    feed_forward: int = 1536
    encoder_layers: int = 6
    decoder_layers: int = 5
    copy_width: int = 64
    max_positions: int = 512
    # Parts that an ablation turns off. Their parameters stay: weights load either way, but only the whole is served.
    copy: bool = True  # the copy head; without it every token comes from the vocabulary
    induction: bool = True  # the bonus of source tokens that continue what was just written
    coverage: bool = True  # what copying a source token does to copying it again
    links: bool = True  # the bonus of source tokens near words that the parameter and the conversation share
    overlap: bool = True  # the part of words that tool and conversation share in the route score
    parameters: bool = True  # the vector of the parameter being written, in the decoder's input
    routed_coverage: bool = True  # what calls have copied, in what slots behind them read
    rerank: bool = True  # the decoder's part in the route score; without it pooled vectors decide alone
    # A part that serving does not have; its parameters are there only where it is.
    late: bool = False  # how well the tokens of conversation and tool match one by one, in the route score

    @property
    def not_served(self) -> tuple[str, ...]:
        """In what this network differs from one that can be served; empty for that one."""
        parts = ("copy", "induction", "coverage", "links", "overlap", "parameters", "routed_coverage", "rerank")
        return tuple(f"without {name}" for name in parts if not getattr(self, name)) + ("with late",) * self.late

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def kv_width(self) -> int:
        return self.kv_heads * self.head_width

    @classmethod
    def tiny(cls, vocab_size: int) -> ModelConfig:
        """A network of the same shape that trains in seconds."""
        return cls(
            vocab_size,
            width=32,
            heads=4,
            kv_heads=2,
            feed_forward=64,
            encoder_layers=2,
            decoder_layers=2,
            copy_width=16,
        )


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run. Raises ValueError where a setting cannot be trained with."""

    steps: int = 10_000  # 0 for no limit
    time_limit: float = 0.0  # minutes of training; 0 for no limit. A run with both limits ends at the first
    rows: int = 64  # examples per micro-batch
    accumulate: int = 1  # micro-batches per step, shared out among the processes
    candidates: int = 4  # tools among which a training example is routed, the right one included, if it is not closed
    optimizer: Literal["adamw", "muon"] = "adamw"  # Muon, if chosen, moves the matrices inside the layers only
    decoder_lr: float = 1e-3
    encoder_lr: float = 2e-4
    muon_scale: float = 1.0  # what Muon's parameters learn at, as a multiple of these two
    warmup: int = 200
    decay: float = 0.3  # the last share of the run, over which the rate falls to zero (warmup-stable-decay)
    patience: int = 0  # measurements without a lower held-out loss after which decay begins; 0: the last weights count
    weight_decay: float = 0.05
    grad_clip: float = 1.0
    contrastive_weight: float = 0.2
    dropout: float = 0.0  # of what a layer adds to its input: the share of numbers set to zero, the rest scaled up
    word_dropout: float = 0.0  # share of conversations' and tools' tokens whose embedding the encoder gets as zero
    anchor_weight: float = 0.0  # of the hold on what the encoder was before this run
    free_only: bool = True  # False: arguments' tokens that the grammar forces count in the fill loss too
    without: tuple[str, ...] = ()  # sources of the shards whose examples are left out of training (not of evaluation)
    eval_every: int = 500
    checkpoint_minutes: float = 10.0
    precision: Literal["bf16", "fp32"] = "bf16"  # of matrix products; weights are always float32
    seed: int = 0
    workers: int = 0  # processes that build batches ahead; 0: each is built when it is needed

    def __post_init__(self) -> None:
        for name in ("rows", "accumulate", "candidates", "warmup", "eval_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not self.muon_scale > 0:
            raise ValueError(f"muon_scale must be above 0, not {self.muon_scale}")
        for name in ("dropout", "word_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be from 0 to less than 1, not {getattr(self, name)}")
        # A rate of zero is one: what has it stays as it is.
        not_negative = (
            "steps",
            "time_limit",
            "decoder_lr",
            "encoder_lr",
            "decay",
            "weight_decay",
            "anchor_weight",
            "workers",
        )
        for name in not_negative:
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, but is {getattr(self, name)}")
