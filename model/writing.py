"""One JSON value while it is written: from the decoder's tokens to pieces of text that end at whole characters."""

from __future__ import annotations

import codecs
import math
from collections.abc import Iterator
from dataclasses import dataclass

from model.decoder import Written
from model.session import Float
from model.tokenizer import Tokenizer
from model.types import TokenLogprob


@dataclass(frozen=True)
class Piece:
    """The next characters, and the tokens that end in them; those only when they were asked for."""

    text: str
    logprobs: tuple[TokenLogprob, ...]


class Writing:
    """Takes tokens and gives pieces; afterwards it knows the whole.

    Args:
        tokenizer: theirs.
        top_logprobs: as in the request.
        before: `model.response.Response.before`: text that is left out, and so is then the last token.

    Set `cut` when the value ends before it is complete, and call `end` at its end in any case.

    `text` is what was written so far; `logs` are the natural log probabilities of its tokens that were not certain.
    Of each token, `sizes` has its number of bytes and `copied` its copy attention [C] to the conversation, None where
    it was forced.
    """

    def __init__(self, tokenizer: Tokenizer, top_logprobs: int | None, before: bytes = b"") -> None:
        self._bytes = tokenizer.token_bytes
        self._top = top_logprobs
        self._wrapped = bool(before)
        self._skip = len(before)
        self._last: Written | None = None  # may turn out to be the last
        self._characters = codecs.getincrementaldecoder("utf-8")("replace")
        self._waiting: list[TokenLogprob] = []  # tokens of which no character is whole yet
        self.cut = False
        self.text = ""
        self.logs: list[float] = []
        self.logprobs: list[TokenLogprob] = []
        self.sizes: list[int] = []
        self.copied: list[Float | None] = []

    def feed(self, written: Written) -> Piece | None:
        """The text that is whole now; None when there is no more than before."""
        if not self._wrapped:
            return self._take(written)
        piece = None
        for part in _single(written):
            if self._skip:
                self._skip -= len(self._bytes[part.tokens[0]])  # no token is on both sides of a mark of JSON
                continue
            more = None if self._last is None else self._take(self._last)
            self._last = part
            piece = more if piece is None else _joined(piece, more)
        return piece

    def end(self) -> Piece | None:
        """What is left. A character that is not whole is dropped, its tokens are not."""
        piece = None
        if self._last is not None and self.cut:
            piece = self._take(self._last)
        elif self._last is not None and self._last.probability < 1.0:
            self.logs.append(log(self._last.probability))  # that nothing followed was a choice
        if self._waiting:
            rest = Piece("", tuple(self._waiting))
            piece = rest if piece is None else _joined(piece, rest)
            self.logprobs += self._waiting
            self._waiting = []
        return piece

    def _take(self, written: Written) -> Piece | None:
        if written.probability < 1.0:
            self.logs.append(log(written.probability))
        text = ""
        ended: list[TokenLogprob] = []
        for token in written.tokens:
            raw = self._bytes[token]
            self.sizes.append(len(raw))
            self.copied.append(written.copied)
            if self._top is not None:
                self._waiting.append(self._logprob(raw, written))
            if characters := self._characters.decode(raw):
                text += characters
                ended += self._waiting
                self._waiting = []
        self.text += text
        self.logprobs += ended
        return Piece(text, tuple(ended)) if text else None

    def _logprob(self, raw: bytes, written: Written) -> TokenLogprob:
        if written.copied is None:
            return TokenLogprob(raw, 0.0, ((raw, 0.0),) if self._top else ())
        alternatives = tuple((self._bytes[token], log(p)) for token, p in written.alternatives)
        return TokenLogprob(raw, log(written.probability), alternatives)


def log(probability: float) -> float:
    """Natural logarithm, none above 0; a probability that underflowed counts as a very small one."""
    return min(0.0, math.log(max(probability, 1e-30)))


def _single(written: Written) -> Iterator[Written]:
    if len(written.tokens) == 1:
        yield written
    else:
        for token in written.tokens:
            yield Written([token], written.probability)


def _joined(a: Piece, b: Piece | None) -> Piece:
    return a if b is None else Piece(a.text + b.text, a.logprobs + b.logprobs)
