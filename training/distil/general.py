"""What the student knew before: examples to replay, so that it stays, and requests that show whether it did.

Both can come from the scenario library, which ships with the package: the one from the domains that the base was
trained on, the other from those that were held out from it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from model.tokenizer import Tokenizer
from training.data.encoder import ExampleEncoder
from training.data.example import Example
from training.data.prepare import Gates, PrepareConfig, compose_scenarios, is_held_out
from training.data.scenarios.library import FOLDER, load_library
from training.data.shards import ExampleTable, ToolTable, load_description, load_examples, load_tools


def composed_replay(
    tokenizer: Tokenizer, count: int, seed: int = 0, library: Path = FOLDER
) -> tuple[ExampleTable, ToolTable]:
    """About `count` examples of the library's trained domains; a few are turned away by the gates of the corpus."""
    encoder = ExampleEncoder(tokenizer, PrepareConfig())
    return encoder.encode(_conversations(library, False, count, seed, "replay"), "replay"), encoder.tool_table()


def sampled_replay(shards: Path, tokenizer: Tokenizer, count: int, seed: int = 0) -> tuple[ExampleTable, ToolTable]:
    """At most `count` training examples of prepared shards. ValueError for another tokenizer."""
    load_description(shards)
    if Tokenizer.load(shards / "tokenizer.json").json_text != tokenizer.json_text:
        raise ValueError(f"{shards} was prepared with another tokenizer than that of the model to start from")
    examples = load_examples(shards, "train")
    keep = np.zeros(len(examples), np.bool_)
    keep[np.random.default_rng(seed).permutation(len(examples))[:count]] = True
    return examples.where(keep), load_tools(shards)


def general_requests(count: int, seed: int = 0, library: Path = FOLDER) -> list[Example]:
    """At most `count` conversations of all kinds over the library's held-out domains."""
    return list(_conversations(library, True, count, seed, "held-out"))


def _conversations(library: Path, held_out: bool, count: int, seed: int, purpose: str) -> list[Example]:
    domains = [d for d in load_library(library) if is_held_out(f"scenario:{d.name}") is held_out]
    gates = Gates(decontamination=None)
    found = compose_scenarios(domains, count, PrepareConfig(seed=seed), purpose)
    return [e for e in found if gates(e, purpose) is None]
