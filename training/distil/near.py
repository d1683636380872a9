"""Requests that say nearly the same: by the words and pairs of neighbouring words that they share."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from model.types import Message
from training.data.sources.grounding import tokens

Features = frozenset[str]


def features(messages: Sequence[Message]) -> Features:
    """Words, and neighbouring words, which tell "from Oslo to Rome" from "from Rome to Oslo". Case, punctuation and the
    spelling of numbers do not count."""
    found: set[str] = set()
    for message in messages:
        words = tokens(message.text)
        found.update(words)
        found.update(f"{a} {b}" for a, b in zip(words, words[1:], strict=False))
    return frozenset(found)


class NearIndex:
    """Finds the members whose Jaccard similarity to a set is at least `threshold`, in (0, 1].

    It counts what is shared by a list of members for each feature: exact, and quick enough for some ten thousand
    requests of which many are of one template.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._sizes = array("q")
        self._members: dict[str, array[int]] = defaultdict(lambda: array("q"))  # by feature

    def add(self, member: Features) -> int:
        """Its number, from 0."""
        number = len(self._sizes)
        self._sizes.append(len(member))
        for feature in member:
            self._members[feature].append(number)
        return number

    def similar(self, to: Features) -> list[int]:
        """The numbers of all similar members, in order."""
        lists = [np.frombuffer(self._members[f], np.int64) for f in to if f in self._members]
        if not lists:
            return []
        sizes = np.frombuffer(self._sizes, np.int64)
        shared = np.bincount(np.concatenate(lists), minlength=len(sizes))
        near = shared >= self._threshold * (len(to) + sizes - shared) - 1e-9
        return [int(n) for n in np.flatnonzero(near)]


class Clusters:
    """Sets of numbers that belong together (union-find)."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def root(self, number: int) -> int:
        """The same for all members of a cluster: its smallest member."""
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number

    def join(self, a: int, b: int) -> None:
        first, second = sorted((self.root(a), self.root(b)))
        self._parents[second] = first
