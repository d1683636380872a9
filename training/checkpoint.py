"""Checkpoints: everything a run needs to go on as if it had never stopped. Written whole or not at all."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.config import ModelConfig, TrainConfig
from training.network import Encoder, Network
from training.optimizer import Optimizers


@dataclass
class Progress:
    """How far a run is: steps taken, seconds spent on them (over all its interruptions), and what was measured.

    Of a run with `TrainConfig.patience`: `lowest` held-out loss so far and `best`, the weights that had it; how many
    measurements it `waited` since; and `end`, the share of the planned run after which it ends.
    """

    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    lowest: float = math.inf
    best: dict[str, Tensor] = field(default_factory=dict)
    waited: int = 0
    end: float = 1.0

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Progress:
        """That of a checkpoint; one from before there was patience has none."""
        return cls(**{f.name: state[f.name] for f in fields(cls) if f.name in state})


def save_checkpoint(
    path: Path, network: Network, reference: Encoder, optimizer: Optimizers, progress: Progress, train: TrainConfig
) -> None:
    """Write to a temporary file, sync, rename: a kill at any moment leaves the previous checkpoint whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    state = {
        "model_config": asdict(network.config),
        "train_config": asdict(train),
        "network": network.state_dict(),
        "reference": reference.state_dict(),
        "optimizer": optimizer.state_dict(),
        **vars(progress),
    }
    with temporary.open("wb") as f:
        torch.save(state, f)
        f.flush()
        os.fsync(f.fileno())
    temporary.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The dictionary that `save_checkpoint` wrote, on the CPU."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def network_of(state: dict[str, Any]) -> Network:
    """The network of a checkpoint, in evaluation mode: its best weights, of a run that kept them."""
    network = Network(ModelConfig(**state["model_config"]))
    network.load_state_dict(Progress.of(state).best or state["network"])
    return network.eval()


def write_history(path: Path, history: list[dict[str, float]]) -> None:
    """The run's measurements as JSON lines, for people and plots."""
    path.write_text("".join(json.dumps(row) + "\n" for row in history), encoding="utf-8")
