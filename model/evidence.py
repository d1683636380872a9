"""Where the values of an answer come from: whether the conversation has them, and what they were copied from.

While the model writes a token by choice, its copy head attends to the tokens of the conversation. Of the places where a
value is said, the one that its tokens attended to is its source. A value that is said nowhere may still have been put
together of words that are: then its source is the longest piece that was copied, if it is most of the value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from model.leaves import Leaf, leaves
from model.prompt import RESULT_OPENS, is_plain_result
from model.session import Float, Int
from model.spelling import Place, Text
from model.tokenizer import ASSISTANT, RESULT, SYSTEM, USER
from model.types import Evidence, Message, Span

LEAST_ATTENTION = 0.1  # of a value's tokens, on average: with less, a place was not what they were written from
LEAST_PART = 0.5  # of a value's characters: what is shorter was not copied but put together
MOST_TRIES = 8  # tokens from which a copied piece is looked for
_ROLES = (SYSTEM, USER, ASSISTANT, RESULT)  # neighbours in the vocabulary


@dataclass(frozen=True)
class _Turn:
    """A message's text, and where in it its tokens are: those of the conversation from `first` on."""

    text: Text
    first: int
    starts: Int  # [T], in characters
    ends: Int

    def tokens(self, start: int, end: int) -> tuple[int, int]:
        """The tokens, first and behind the last, that have a part in these characters."""
        low = int(np.searchsorted(self.ends, start, side="right"))
        high = int(np.searchsorted(self.starts, end, side="left"))
        return self.first + low, self.first + max(low, high)

    def piece(self, at: int, lower: str) -> Place:
        """The longest run of tokens around its token `at` that is part of `lower`; an empty place if there is none."""
        text = self.text.text
        low, high = at, at + 1

        def fits(low: int, high: int) -> bool:
            if low < 0 or high > len(self.starts):
                return False
            return text[self.starts[low] : self.ends[high - 1]].strip().lower() in lower

        if not fits(low, high):
            return 0, 0
        while fits(low, high + 1):
            high += 1
        while fits(low - 1, high):
            low -= 1
        start, end = int(self.starts[low]), int(self.ends[high - 1])
        while start < end and not text[start].isalnum():
            start += 1
        while start < end and not text[end - 1].isalnum():
            end -= 1
        return start, end


class Witness:
    """Knows one conversation and finds evidence in it for what was written.

    Args:
        messages: the conversation.
        ids: its tokens [C], as the model read them.
        sizes: `Tokenizer.sizes`.
    """

    def __init__(self, messages: Sequence[Message], ids: Int, sizes: Int) -> None:
        self._messages = messages
        self._ids = ids
        self._sizes = sizes
        self._made: list[_Turn] | None = None

    def evidence(
        self, text: str, sizes: Sequence[int], copied: Sequence[Float | None], cut: bool = False
    ) -> tuple[Evidence, ...]:
        """Of each value in `text`, compact JSON.

        Of the tokens that it was written with: `sizes`, their numbers of bytes, and `copied`, their copy attention to
        the conversation [C], None where the grammar forced them.
        """
        values = list(leaves(text, cut))
        if not values:
            return ()
        ends = np.cumsum(sizes)
        place = _bytes_before(text)
        return tuple(self._of(leaf, place, ends, copied) for leaf in values)

    def _of(self, leaf: Leaf, place: Int | None, ends: Int, copied: Sequence[Float | None]) -> Evidence:
        if leaf.value in ((), ""):
            return Evidence(leaf.path, False, None)
        start, end = (leaf.start, leaf.end) if place is None else (int(place[leaf.start]), int(place[leaf.end]))
        low, high = np.searchsorted(ends, (start, end), side="right")
        if high < len(ends) and (high == 0 or ends[high - 1] < end):
            high += 1  # the last token may end behind the value
        chosen = [attention for attention in copied[low:high] if attention is not None]
        places = [(i, p) for i, turn in enumerate(self._turns) for p in turn.text.find(leaf.value)]
        if not chosen:
            return Evidence(leaf.path, bool(places), None)
        if places:
            attention: Float = np.add.reduce(chosen) / np.float32(len(chosen))
            share, best = max((self._share(attention, i, place), -k) for k, (i, place) in enumerate(places))
            return Evidence(leaf.path, True, self._span(*places[-best]) if share >= LEAST_ATTENTION else None)
        piece = self._piece(leaf.value, np.maximum.reduce(chosen)) if isinstance(leaf.value, str) else None
        return Evidence(leaf.path, False, piece and self._span(*piece))

    def _share(self, attention: Float, message: int, place: Place) -> float:
        low, high = self._turns[message].tokens(*place)
        return float(attention[low:high].sum())

    def _piece(self, value: str, attention: Float) -> tuple[int, Place] | None:
        """The longest piece of a message that is part of `value` and was attended to, if it is most of it."""
        pieces: list[tuple[int, Place]] = []
        for i, turn in enumerate(self._turns):
            heard = attention[turn.first : turn.first + len(turn.starts)]
            for at in np.argsort(-heard, kind="stable")[:MOST_TRIES]:
                if heard[at] < LEAST_ATTENTION:
                    break
                pieces.append((i, turn.piece(int(at), value.lower())))
        if not pieces:
            return None
        i, (start, end) = max(pieces, key=lambda piece: piece[1][1] - piece[1][0])
        if end == start or end - start < LEAST_PART * len(value):
            return None
        return i, self._turns[i].text.whole_words(start, end)

    def _span(self, message: int, place: Place) -> Span:
        start, end = place
        return Span(message, start, end, self._messages[message].text[start:end])

    @property
    def _turns(self) -> list[_Turn]:
        if self._made is None:
            self._made = list(self._make_turns())
        return self._made

    def _make_turns(self) -> Iterator[_Turn]:
        # No text can spell the tokens of roles, so they tell where the turns begin.
        begins = np.flatnonzero((self._ids >= min(_ROLES)) & (self._ids <= max(_ROLES)))
        for message, begin, end in zip(self._messages, begins, [*begins[1:], len(self._ids)], strict=True):
            first = int(begin) + 1
            ends = np.cumsum(self._sizes[self._ids[first:end]])
            if is_plain_result(message):  # its text is not the first thing that the model reads
                opening = int(np.searchsorted(ends, len(RESULT_OPENS))) + 1
                first, ends = first + opening, ends[opening:] - len(RESULT_OPENS)
            place = _characters_before(message.text)
            length = len(message.text) if place is None else len(place) - 1  # in bytes; calls follow the text
            inside = int(np.searchsorted(ends, length, side="left")) + 1 if length else 0
            ends = np.minimum(ends[:inside], length)
            starts = np.concatenate(([0], ends[:-1])).astype(np.int64)[: len(ends)]
            if place is not None:
                # A character that is spread over tokens belongs to all of them.
                starts, ends = place[starts], np.where(ends > starts, place[np.maximum(ends - 1, 0)] + 1, place[ends])
            yield _Turn(Text(message.text), first, starts, ends)


def _bytes_before(text: str) -> Int | None:
    """[len + 1]: how many bytes of UTF-8 are before each character and at the end; None when as many as characters."""
    if text.isascii():
        return None
    sizes = [len(character.encode()) for character in text]
    return np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)


def _characters_before(text: str) -> Int | None:
    """[bytes + 1]: the character that each byte of UTF-8 belongs to, and their number; None when all are ASCII."""
    if text.isascii():
        return None
    raw = np.frombuffer(text.encode(), np.uint8)
    return np.concatenate((np.cumsum((raw & 0xC0) != 0x80) - 1, [len(text)])).astype(np.int64)
