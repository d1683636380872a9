"""The corpora: one module each, with `load(root) -> Iterator[Example]`. `pools` has tools without queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from training.data.example import Example
from training.data.sources import (
    api_bank,
    clinc150,
    droidcall,
    glaive,
    home_assistant,
    hwu64,
    metatool,
    polyai,
    seal_tools,
    sgd,
    slurp,
    snips,
    taskmaster,
    thingpedia,
)

SOURCES: dict[str, Callable[[Path | None], Iterator[Example]]] = {
    "sgd": sgd.load,
    "seal_tools": seal_tools.load,
    "droidcall": droidcall.load,
    "snips": snips.load,
    "hwu64": hwu64.load,
    "glaive": glaive.load,
    "clinc150": clinc150.load,
    "slurp": slurp.load,
    "taskmaster": taskmaster.load,
    "api_bank": api_bank.load,
    "polyai": polyai.load,
    "home_assistant": home_assistant.load,
    "thingpedia": thingpedia.load,
    "metatool": metatool.load,
}
