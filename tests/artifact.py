"""What the tests of the network and the engine share: a small tokenizer, a random network, and its artifact, made once.

Needs torch; modules that use it start with `pytest.importorskip("torch")`.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch

from model.confidence import FEATURES, VERSION
from model.manifest import read_manifest, set_calibration
from model.tokenizer import Tokenizer
from model.types import Message, Tool
from training.config import ModelConfig
from training.export import export
from training.network import Network
from training.tokenizer import train_tokenizer

SENTENCES = (
    "What is the weather in Paris, in celsius or fahrenheit? Current weather of a city. Name of the city.",
    "Send an email to anna@example.com with the subject Weekly report. Recipient, subject and body of the message.",
    "Book a table for two in San Francisco on Friday at 7:30 PM. "
    "Reserve seats in a restaurant, number of guests and date.",
    "Play a song by Daft Punk in the living room. Start playing music on a device, with a volume.",
    "Transfer 250 dollars from checking to savings. Move money between accounts, amount and currency.",
    "true false null string integer number boolean list of object default "
    "get_weather sendEmail book_table play_song transfer",
    "Springfield springfield zurich Zurich the report of a an and to for with is are on off up down left right",
    'say "hello" {"city":"Paris","days":3} [1,2.5,-7] été 日本 naïve, über; C++ / a_b-c 100% #1 (x) <end>',
)
CITIES = ("Paris", "Springfield", "San Francisco", "Zürich", "東京", "New York", "Daft Punk", "o'Brien")


def tool(name: str, description: str = "", required: tuple[str, ...] = (), /, **properties: Any) -> Tool:
    """A tool whose object is closed."""
    parameters = {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}
    return Tool(name, description, parameters)


WEATHER = tool(
    "get_weather",
    "Current weather of a city.",
    ("city",),
    city={"type": "string", "maxLength": 20, "description": "Name of the city"},
    unit={"enum": ["celsius", "fahrenheit"]},
)
EMAIL = tool(
    "sendEmail",
    "Send an email.",
    ("to", "urgent"),
    to={"type": "string", "maxLength": 24},
    urgent={"type": "boolean"},
    copies={"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 99}, "maxItems": 3},
)
TABLE = tool(
    "book_table",
    "Reserve seats in a restaurant.",
    ("guests",),
    guests={"type": "integer", "minimum": 1, "maximum": 500},
    where={"type": "object", "properties": {"city": {"type": "string", "maxLength": 9}}, "additionalProperties": False},
)
PING = tool("ping", "Answer at once.")
TOOLS = (WEATHER, EMAIL, TABLE, PING)
"""Every string and number is bounded, so that random weights come to an end."""


def user(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


@cache
def tokenizer() -> Tokenizer:
    """Some 700 tokens, built as the shipped ones are."""
    return Tokenizer(train_tokenizer(SENTENCES * 5, vocab_size=700, spaced=140))


def random_network(seed: int, ending: float = 0.0) -> Network:
    """A tiny network whose choices are far from ties; `ending` favours the tokens that close strings and objects."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Network(ModelConfig.tiny(tokenizer().vocab_size))
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.ndim > 1:
                    parameter.mul_(8.0)
                elif parameter.shape == (tokenizer().vocab_size,):
                    parameter.normal_()
            # So that no tool always wins and some requests get no call.
            network.encoder.embedding.weight.mul_(5.0)
            network.decoder.route.weight.mul_(2.5)
            network.decoder.route_similarity.fill_(4.0)
            network.decoder.gate.bias.copy_(torch.tensor([1.0, 0.5, 0.5]))
            # Untrained, coverage is zero: what was copied is to make a difference, more or less from token to token.
            network.decoder.copy_used.weight.normal_(std=0.3)
            network.decoder.copy_used.bias.copy_(torch.tensor([-3.0, 2.0]))
            network.decoder.covered.normal_(std=3.0)
            network.decoder.copy_link.weight.normal_(
                std=0.3
            )  # nor do words that it or its tool shares with the request
            network.decoder.copy_link.bias.normal_()
            network.decoder.route_overlap.weight.normal_(std=0.5)
            network.decoder.route_overlap.bias.normal_()
            network.decoder.parameter.weight.normal_(std=0.3)  # nor does which parameter is written, yet
            for token in ('"', "}", "]"):
                network.decoder.vocab_bias[tokenizer().encode(token)[0]] += ending
    return network.eval()


@cache
def network() -> Network:
    """The network of `artifact`."""
    return random_network(1)


@cache
def artifact(int8: bool = False, ending: float = 0.0) -> Path:
    """An artifact folder; it lives as long as the process. Read-only: copy it to change it."""
    folder = Path(tempfile.mkdtemp(prefix="bodkin-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    export(random_network(1, ending), tokenizer(), folder / "artifact", int8=int8, info={"note": "random"})
    return folder / "artifact"


@cache
def calibrated() -> Path:
    """`artifact`, with a calibration that leaves the model's own probabilities as they are."""
    folder = artifact().parent / "calibrated"
    shutil.copytree(artifact(), folder)
    models = {kind: {"weights": {"raw": 1.0}, "bias": 0.0} for kind in FEATURES}
    set_calibration(folder, {"version": VERSION, "files": read_manifest(folder).files, "models": models})
    return folder
