"""Fixtures that several of the model's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from model import load_engine
from model.engine import BodkinEngine
from model.grammar import GrammarCompiler
from tests.model.tiny_tokenizer import TinyTokenizer


@pytest.fixture(scope="session")
def tiny_tokenizer() -> TinyTokenizer:
    return TinyTokenizer()


@pytest.fixture(scope="session")
def compiler(tiny_tokenizer: TinyTokenizer) -> GrammarCompiler:
    return GrammarCompiler(tiny_tokenizer.json_text, tiny_tokenizer.vocab_size, tiny_tokenizer.end)


@pytest.fixture(scope="session")
def shipped() -> BodkinEngine:
    """The engine of the artifact in the repository: for what is claimed of the trained model."""
    return load_engine(Path(__file__).resolve().parents[2] / "model" / "artifact", threads=1)
