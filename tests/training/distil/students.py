"""A tiny student, tools of its user, and labels for them: enough to learn in seconds."""

from __future__ import annotations

import atexit
import random
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch

from model.types import Tool
from tests.artifact import EMAIL, PING, TABLE, WEATHER, tokenizer, user
from tests.training import corpus
from training.config import ModelConfig, TrainConfig
from training.data.example import Call, Example
from training.distil.labels import Answer, Label
from training.distil.student import DistilConfig
from training.export import export
from training.network import Network

TOOLS = (EMAIL, WEATHER, TABLE, PING)
CONFIG = DistilConfig(
    name="tiny:mine",
    teacher="nobody",
    epochs=32.0,
    fewest_steps=1,
    replay=0.25,
    training=TrainConfig(
        rows=16, decoder_lr=3e-3, encoder_lr=3e-3, warmup=10, decay=0.4, anchor_weight=0.0, eval_every=20, patience=99
    ),
)


def label(
    text: str, *answers: tuple[float, tuple[Call, ...]], kind: str = "call", tools: Sequence[Tool] = TOOLS
) -> Label:
    """Without a share given, the teacher is sure."""
    example = Example("toy", "toy", user(text), tuple(tools), answers[0][1])
    return Label(example, tuple(Answer(calls, share) for share, calls in answers), kind)


def labels(count: int, seed: int) -> list[Label]:
    """The weather of a city, a ping, or nothing to do."""
    rng = random.Random(seed)
    made = []
    for k in range(count):
        city = rng.choice(corpus.CITIES)
        made.append(
            (
                label(f"weather in {city}?", (1.0, (Call("get_weather", {"city": city}),))),
                label("Answer at once.", (1.0, (Call("ping", {}),))),
                label(f"Who is {city}?", (1.0, ()), kind="irrelevant"),
            )[k % 3]
        )
    return made


@cache
def start() -> Path:
    """The artifact of a network that has learnt nothing yet. Lives as long as the process; read-only."""
    folder = Path(tempfile.mkdtemp(prefix="bodkin-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = Network(ModelConfig.tiny(tokenizer().vocab_size)).eval()
    export(network, tokenizer(), folder / "start", int8=False, info={"name": "tiny"})
    return folder / "start"


def configured(config: DistilConfig = CONFIG, **training: object) -> DistilConfig:
    """`config` with other settings of its training."""
    return replace(config, training=replace(config.training, **training))  # type: ignore[arg-type]
