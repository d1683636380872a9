"""The optimizer: which parameters learn how fast, and by which rule."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from training.config import TrainConfig
from training.network import Network

ADAM_BETAS = (0.9, 0.98)


class Optimizers:
    """Several optimizers over disjoint parameters, used as one."""

    def __init__(self, parts: list[torch.optim.Optimizer]) -> None:
        self.parts = parts

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for part in self.parts for group in part.param_groups]

    def zero_grad(self) -> None:
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def step(self) -> None:
        for part in self.parts:
            part.step()

    def state_dict(self) -> list[dict[str, Any]]:
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """ValueError when `states` comes from a run with other optimizers."""
        if len(states) != len(self.parts):
            raise ValueError("the checkpoint was written with another --optimizer")
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


def make_optimizer(network: Network, config: TrainConfig) -> Optimizers:
    """AdamW; with `config.optimizer == "muon"`, Muon for the matrices inside the layers.

    What comes from the warm start learns at `encoder_lr`, the rest at `decoder_lr`; what Muon moves, at
    `config.muon_scale` times that, and it decays no faster for it. Vectors and embeddings do not decay.
    """
    groups: dict[tuple[bool, float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        muon = config.optimizer == "muon" and ".layers." in name and parameter.ndim == 2
        inherited = name.startswith("encoder.") and not name.startswith(("encoder.cross", "encoder.copy_key"))
        rate = config.encoder_lr if inherited else config.decoder_lr
        scale = config.muon_scale if muon else 1.0
        matrix = parameter.ndim > 1 and "embedding" not in name and "positions" not in name
        decay = config.weight_decay / scale if matrix else 0.0  # a step takes away rate times decay
        groups.setdefault((muon, scale * rate, decay), []).append(parameter)

    def chosen(muon: bool) -> list[dict[str, Any]]:
        return [
            {"params": parameters, "lr": rate, "base_lr": rate, "weight_decay": decay}
            for (by_muon, rate, decay), parameters in groups.items()
            if by_muon is muon
        ]

    parts: list[torch.optim.Optimizer] = [torch.optim.AdamW(chosen(False), betas=ADAM_BETAS, fused=True)]
    if config.optimizer == "muon":
        if not hasattr(torch.optim, "Muon"):
            raise ValueError(f"--optimizer muon needs torch 2.9 or newer, this is {torch.__version__}")
        # Updates of a fifth of the rate (root mean square); AdamW's begin at the rate itself and become as small later.
        # Newton-Schulz is in bf16 on every device.
        parts.append(torch.optim.Muon(chosen(True), adjust_lr_fn="match_rms_adamw"))
    return Optimizers(parts)


def set_learning_rate(optimizer: Optimizers, step: int, done: float, config: TrainConfig) -> float:
    """Warmup, stable, and decay to zero over the last `config.decay` of the run; returns the factor of the base rates.

    done: the share of the run, 0 to 1, that lies before step `step`.
    """
    factor = min(1.0, (step + 1) / config.warmup, (1.0 - done) / max(config.decay, 1e-9))
    for group in optimizer.param_groups:
        group["lr"] = factor * group["base_lr"]
    return factor
