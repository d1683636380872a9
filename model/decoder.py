"""The token loop of one answer: route to a tool, fill its arguments, again, until NONE.

Knows ids, probabilities and masks; nothing of JSON, tools' names or HTTP. One `Decoder` is one sequence and belongs to
one thread; the engine drives it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.grammar import Grammar
from model.links import FEATURES, OVERLAPS, Links, overlaps
from model.parameters import NO_PARAMETER, ParameterTracker
from model.sampling import Sampler
from model.session import Encoding, Float, Int, Session, Source, Step
from model.tokenizer import NONE, SLOT, SPECIAL_TOKENS
from model.whole_words import Read, WholeWords

MATCHES = 3  # the copy head's induction bias looks back this many tokens
NO_ROWS = np.zeros(0, np.int64)
UNSEEN = 1e-9  # where no source token has any copy attention, what is written was not copied


class BudgetSpent(Exception):
    """The token budget ended in the middle of a call."""


@dataclass(frozen=True)
class Route:
    """The outcome of a slot: which candidate (None: no call), its probability, and that of no call."""

    choice: int | None
    probability: float
    none: float


@dataclass(frozen=True)
class Written:
    """Tokens just written: a run that the grammar forced, or one that was chosen.

    `probability` is that of the choice before the grammar masks any, words kept whole (`model.whole_words`), and 1 of a
    forced run. Of a choice only: `copied` [C] is the copy attention that it paid to each token of the conversation, and
    `alternatives` are the most probable tokens that the grammar admitted, with their probabilities, best first.
    """

    tokens: list[int]
    probability: float
    copied: Float | None = None
    alternatives: tuple[tuple[int, float], ...] = ()


class Decoder:
    """Writes the calls of one answer.

    Args:
        session: the graphs.
        conversation: its encoding.
        sampler: how tokens and routes are picked.
        budget: the most argument tokens to write, forced ones included.
        alternatives: of each choice to report.
    """

    def __init__(
        self, session: Session, conversation: Encoding, sampler: Sampler, budget: int, alternatives: int = 0
    ) -> None:
        self._session = session
        self._conversation = conversation
        self._sampler = sampler
        self._alternatives = alternatives
        self._past = session.empty_cache()
        self._source: Source | None = None
        self._pending: list[int] = []  # written, but not yet in the cache
        self._parameters: list[int] = []  # which of the tool's parameters each of those belongs to
        self._nothing = np.zeros(session.sizes["width"], np.float32)
        self._recent = [SLOT] * MATCHES  # the last tokens written, oldest first
        # How much of each source token was copied: by this call, by those before it, and the latter of every text.
        self._used = self._before = np.zeros(0, np.float32)
        self._covered: dict[int, Float] = {}
        self._reading: tuple[Encoding, ...] = ()
        self._links: dict[int, Links] = {}  # of each tool that was called
        self._overlaps: dict[tuple[int, ...], Float] = {}  # of the candidates of each slot
        self._words: WholeWords | None = None
        self.budget = budget
        self.written = 0

    def route(self, candidates: Sequence[Encoding], allow_none: bool) -> Route:
        """Choose among `candidates` and NONE; what is written next is a call of the chosen one.

        `allow_none` masks the softmax, as `tool_choice` demands. The probability is the one before masking, so that a
        forced answer does not look certain.
        """
        self._flush()
        self._close_call()
        tools: list[Encoding | None] = [*candidates, None]
        rows = len(tools)
        conversation = self._conversation
        if id(conversation) in self._covered:
            conversation = self._session.mark_copied(conversation, np.minimum(self._covered[id(conversation)], 1.0))
        source = self._session.source(conversation, tools)
        ids = np.full((rows, 1), SLOT, np.int64)
        ids[-1] = NONE
        vectors = np.stack([self._nothing if t is None else t.pooled for t in tools])
        similarity = (vectors @ self._conversation.pooled).astype(np.float32)
        past = tuple(np.repeat(p, rows, axis=1) for p in self._past)
        nothing = np.zeros((0, source.ids.shape[1]), np.int64)
        none = nothing.astype(np.float32)
        step = self._session.step(
            ids,
            vectors[:, None],
            (past[0], past[1]),
            source,
            similarity,
            self._overlap(candidates),
            NO_ROWS,
            nothing,
            none,
            none,
            no_links(source),
        )
        scores = np.exp(step.route.astype(np.float64) - step.route.max())
        probabilities = scores / scores.sum()
        allowed = np.array([True] * len(candidates) + [allow_none])
        choice = self._sampler.pick(np.where(allowed, probabilities + 1e-30, 0.0).astype(np.float32))
        route = Route(
            choice if choice < len(candidates) else None, float(probabilities[choice]), float(probabilities[-1])
        )
        if route.choice is None:
            return route
        # Read once more with the call's first tokens, which see the conversation as it is.
        self._pending, self._parameters = [SLOT], [NO_PARAMETER]
        self._recent = [SLOT] * MATCHES
        self._open_call(candidates[choice])
        return route

    def _overlap(self, candidates: Sequence[Encoding]) -> Float:
        """[candidates + 1, OVERLAPS]: of words with the conversation's end; zero for NONE, the last."""
        key = tuple(map(id, candidates))  # the same at every slot of an answer
        if key not in self._overlaps:
            start, end = self._conversation.pool
            tools = [(t.words[slice(*t.pool)], t.words[t.pool[1] :]) for t in candidates]
            found = overlaps(self._conversation.words[start:end], tools)
            self._overlaps[key] = np.pad(found, ((0, 1), (0, 0)))
        return self._overlaps[key]

    def fill(self, grammar: Grammar, tracker: ParameterTracker) -> Iterator[Written]:
        """Write one call's arguments under `grammar`, piece by piece.

        `tracker` tells which of the tool's parameters a token belongs to.

        Forced runs cost one step together with the next choice. Raises `BudgetSpent`.
        """
        matcher = grammar.matcher()
        while True:
            forced = matcher.forced()
            if forced:
                self._write(forced, tracker)
                matcher.accept(forced)
                yield Written(forced, 1.0)
            if matcher.finished:
                return
            probabilities, copied = self._next()
            assert self._words is not None
            weights = self._words.weights()
            if weights is not None:
                probabilities = probabilities * weights
                probabilities /= max(float(probabilities.sum()), UNSEEN)
            allowed = np.where(matcher.allowed(), probabilities, 0.0)
            if allowed.max() <= 0.0:
                # Nothing that the grammar admits has any probability (it underflowed): any of it is as good.
                allowed = matcher.allowed().astype(np.float32)
            token = self._sampler.pick(allowed)
            written = Written(
                [token],
                float(probabilities[token]),
                copied[: len(self._conversation.ids)],
                best(allowed, probabilities, self._alternatives) if self._alternatives else (),
            )
            self._write([token], tracker)
            self._cover(token, copied)
            matcher.accept([token])
            yield written

    def _write(self, tokens: list[int], tracker: ParameterTracker) -> None:
        if self.written + len(tokens) > self.budget:
            raise BudgetSpent
        self.written += len(tokens)
        self._pending += tokens
        self._parameters += tracker.feed(tokens)
        assert self._words is not None
        self._words.feed(tokens)
        self._recent = [*self._recent, *tokens][-MATCHES:]

    def _next(self) -> tuple[Float, Float]:
        """Feed what is pending; the distribution of the next token [V] and the copy attention [S]."""
        assert self._source is not None
        matches = match_lengths(self._source.ids[0], self._source.twins[0], self._recent)
        links = self._links[id(self._reading[-1])].features(self._parameters[-1])
        step = self._feed(np.zeros(1, np.int64), matches[None], self._used[None], self._before[None], links[None])
        return step.probabilities[0], step.copied[0]

    def _flush(self) -> None:
        """Bring the cache up to date when no distribution is wanted."""
        if self._pending:
            assert self._source is not None
            nothing = np.zeros((0, self._source.ids.shape[1]), np.int64)
            none = nothing.astype(np.float32)
            self._feed(NO_ROWS, nothing, none, none, no_links(self._source))

    def _feed(self, fill: Int, matches: Int, used: Float, before: Float, links: Float) -> Step:
        assert self._source is not None
        ids = np.array([self._pending], np.int64)
        _, tool = self._reading
        inputs = zip(self._pending, self._parameters, strict=True)
        vectors = np.stack([self._input(tool, token, parameter) for token, parameter in inputs])
        similarity = np.zeros(1, np.float32)
        step = self._session.step(
            ids,
            vectors[None].astype(np.float32),
            self._past,
            self._source,
            similarity,
            np.zeros((1, OVERLAPS), np.float32),
            fill,
            matches,
            used,
            before,
            links,
        )
        self._past = (step.keys, step.values)
        self._pending, self._parameters = [], []
        return step

    def _input(self, tool: Encoding, token: int, parameter: int) -> npt.NDArray[Any]:
        """What the decoder reads beside a token of a call of `tool` [width]."""
        if token == SLOT:
            return tool.pooled
        return self._nothing if parameter == NO_PARAMETER else tool.parameters[parameter]

    def _open_call(self, tool: Encoding) -> None:
        self._reading = (self._conversation, tool)
        before = [self._covered.get(id(text), np.zeros(len(text.ids), np.float32)) for text in self._reading]
        self._before = np.minimum(np.concatenate(before), np.float32(1.0))
        self._used = np.zeros(len(self._before), np.float32)
        self._source = self._session.source(self._conversation, [tool])
        self._words = WholeWords(Read(self._source.ids[0], self._source.twins[0], self._session.shapes))
        if id(tool) not in self._links:
            self._links[id(tool)] = Links(self._conversation.words, tool.words, tool.owner)

    def _cover(self, token: int, copied: Float) -> None:
        """Lay a chosen token to the source tokens that it equals, in proportion to their copy attention.

        The same as `training.loss.coverage`.
        """
        assert self._source is not None
        share = np.where((self._source.ids[0] == token) | (self._source.twins[0] == token), copied, 0.0)
        self._used = np.minimum(self._used + share / max(float(share.sum()), UNSEEN), 1.0).astype(np.float32)

    def _close_call(self) -> None:
        """Remember what the call that ends here has copied of the texts that it read."""
        start = 0
        for text in self._reading:
            end = start + len(text.ids)
            self._covered[id(text)] = self._covered.get(id(text), np.float32(0.0)) + self._used[start:end]
            start = end
        self._reading = ()


def best(allowed: Float, probabilities: Float, count: int) -> tuple[tuple[int, float], ...]:
    """The `count` most probable tokens among those with a positive value in `allowed` [V], best first."""
    admitted = np.flatnonzero(allowed > 0.0)
    order = admitted[np.argsort(-probabilities[admitted], kind="stable")[:count]]
    return tuple((int(token), float(probabilities[token])) for token in order)


def match_lengths(source: Int, twins: Int, recent: Sequence[int]) -> Int:
    """How many of the tokens before each source position equal the last written ones, 0..3.

    source, twins [S]; `recent` the last tokens, newest last. Special tokens match nothing and continue nothing. The
    same as `training.network.match_lengths` for one position.
    """
    plain = source >= len(SPECIAL_TOKENS)
    run = plain.copy()
    total = np.zeros(len(source), np.int64)
    for back, token in enumerate(reversed(recent)):
        equal = ((source == token) | (twins == token)) & plain & (token >= len(SPECIAL_TOKENS))
        shifted = np.zeros_like(equal)
        shifted[back + 1 :] = equal[: len(equal) - back - 1]
        run &= shifted
        total += run
    return total


def no_links(source: Source) -> Float:
    """The links of no row."""
    return np.zeros((0, source.ids.shape[1], FEATURES), np.float32)
