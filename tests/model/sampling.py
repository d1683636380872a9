"""Texts of a grammar, by chance."""

from __future__ import annotations

import random

import numpy as np

from model.grammar import Grammar
from tests.model.tiny_tokenizer import TinyTokenizer

MAX_TOKENS = 600


def sample(grammar: Grammar, tokenizer: TinyTokenizer, rng: random.Random) -> str | None:
    """A text of the grammar: uniform over the allowed tokens, then closing what is open; None when it never ended."""
    quote, brace, bracket, comma, *opening = (tokenizer.encode(text)[0] for text in '"}],{[')
    matcher, tokens = grammar.matcher(), list[int]()
    budget = rng.randint(0, 60)
    while not matcher.finished and len(tokens) < MAX_TOKENS:
        step = matcher.forced()
        if not step:
            allowed = matcher.allowed()
            assert not allowed[tokenizer.end]
            closing = [brace, bracket, quote] if tokens[-1] in opening else [quote, brace, bracket, comma]
            choices = [token for token in closing if allowed[token]][:1] if len(tokens) > budget else []
            choices = choices or [int(token) for token in np.flatnonzero(allowed)]
            assert choices, "a dead end"
            step = [rng.choice(choices)]
        matcher.accept(step)
        tokens += step
    return tokenizer.decode(tokens) if matcher.finished else None
