"""Fixtures of the model's tests that need no artifact."""

from __future__ import annotations

import pytest

from model.grammar import GrammarCompiler
from tests.model.tiny_tokenizer import TinyTokenizer


@pytest.fixture(scope="session")
def tiny_tokenizer() -> TinyTokenizer:
    return TinyTokenizer()


@pytest.fixture(scope="session")
def compiler(tiny_tokenizer: TinyTokenizer) -> GrammarCompiler:
    return GrammarCompiler(tiny_tokenizer.json_text, tiny_tokenizer.vocab_size, tiny_tokenizer.end)
