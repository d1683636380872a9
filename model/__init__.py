"""Inference: `load_engine(folder)` gives an `Engine` that answers `GenerationRequest`s. No HTTP, no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.engine import BodkinEngine

__all__ = ["load_engine"]


def load_engine(folder: Path, threads: int = 2) -> BodkinEngine:
    """The engine of an artifact folder. Raises `model.errors.ArtifactError` or `RuntimeMissingError`.

    Imported on call: `model.types` and `model.errors` stay cheap, and importable without ONNX Runtime.
    """
    from model import engine

    return engine.load_engine(folder, threads)
