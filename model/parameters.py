"""Which parameter each token of a call's arguments belongs to, told from token ids alone.

The tokenizer keeps JSON's punctuation apart, one token a mark, so that nothing needs to be decoded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from model.prompt import dumps
from model.tokenizer import Tokenizer

NO_PARAMETER = -1

Keys = Mapping[tuple[int, ...], int]  # the token ids of a key, from behind its first quote, to the parameter's number


class ParameterTracker:
    """Follows the tokens of one arguments object, written as compact JSON.

    A token belongs to a parameter from the quote that ends its key to the last token of its value. What is between two
    parameters, keys included, belongs to none, as do keys that are not among `keys`.
    """

    __slots__ = ("_tokenizer", "_keys", "_depth", "_in_string", "_escaped", "_at_key", "_key", "_current")

    def __init__(self, tokenizer: Tokenizer, keys: Keys) -> None:
        self._tokenizer = tokenizer
        self._keys = keys
        self._depth = 0
        self._in_string = self._escaped = False
        self._at_key = False  # the next string of the outermost object is a key
        self._key: list[int] = []
        self._current = NO_PARAMETER

    def feed(self, tokens: Sequence[int]) -> list[int]:
        """The number of the parameter that each of `tokens` belongs to, or NO_PARAMETER."""
        return [self._step(token) for token in tokens]

    def _step(self, token: int) -> int:
        marks = self._tokenizer.marks
        mark = marks.get(token)
        if self._in_string:
            self._key.append(token)
            if mark == '"' and not self._escaped:
                self._in_string = False
                if self._at_key:
                    self._current = self._keys.get(tuple(self._key), NO_PARAMETER)
                    self._at_key = False
            self._escaped = mark == "\\" and not self._escaped
        elif mark == '"':
            self._in_string, self._key = True, []
        elif mark is not None and mark in "{[":
            self._depth += 1
            self._at_key = self._depth == 1
        elif mark is not None and mark in "}]":
            self._depth -= 1
        elif mark == "," and self._depth == 1:
            self._at_key, self._current = True, NO_PARAMETER
        return self._current if self._depth else NO_PARAMETER


def parameter_keys(names: Sequence[str], tokenizer: Tokenizer) -> Keys:
    """The keys of parameters that are numbered in this order."""
    return {tuple(tokenizer.encode(dumps(name))[1:]): number for number, name in enumerate(names)}
