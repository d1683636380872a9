"""The corpora: one module each, with `load(root) -> Iterator[Example]`. `pools` has tools without queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from training.data.example import Example
from training.data.sources import clinc150, droidcall, glaive, hwu64, seal_tools, sgd, snips

SOURCES: dict[str, Callable[[Path | None], Iterator[Example]]] = {
    "sgd": sgd.load,
    "seal_tools": seal_tools.load,
    "droidcall": droidcall.load,
    "snips": snips.load,
    "hwu64": hwu64.load,
    "glaive": glaive.load,
    "clinc150": clinc150.load,
}
