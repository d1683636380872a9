"""The sizes of the network and the settings of a run; both are saved with every checkpoint."""

from __future__ import annotations

from dataclasses import dataclass


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
    """Settings of one training run."""

    steps: int = 10_000
    rows: int = 64  # examples per step
    candidates: int = 4  # tools among which a training example is routed, the right one included
    decoder_lr: float = 1e-3
    encoder_lr: float = 2e-4
    warmup: int = 200
    decay: float = 0.3  # the last share of the steps, over which the rate falls to zero (warmup-stable-decay)
    weight_decay: float = 0.05
    grad_clip: float = 1.0
    contrastive_weight: float = 0.2
    anchor_weight: float = 1.0
    eval_every: int = 500
    checkpoint_minutes: float = 10.0
    seed: int = 0
