"""Words and numbers of the texts being read are copied whole, told from token ids alone.

A copy head points at one token at a time, and now and then leaves a word in its middle ("Gr" of "Grades"), runs on
behind its end (3000 of "300 K"), or jumps into another ("12" of "1, 2"). Where what has been written of a word is the
beginning of words that were read, tokens that go on as none of those words does are made less probable. No more than
that: what is worked out ("2026" where "20" was read) is no copy, and the network is sure of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

SCALES = frozenset("hundred thousand million millions billion billions trillion lakh crore".split())
ASTRAY = np.float32(0.05)  # what the probability of a token that leaves its word is multiplied by

Bool = npt.NDArray[np.bool_]
Float = npt.NDArray[np.float32]
Int = npt.NDArray[np.int64]


class Shapes(NamedTuple):
    """Of each token: whether it begins, and whether it ends, with a letter or digit, and with a digit, and whether it
    is a scale ("million"); all [V]. `point` and `comma` are ids. A token that begins with a space begins with none of
    these."""

    begins: Bool
    ends: Bool
    begins_digit: Bool
    ends_digit: Bool
    scale: Bool
    point: int
    comma: int

    @classmethod
    def of(cls, token_bytes: Sequence[bytes], specials: int) -> Shapes:
        """Of a vocabulary whose first `specials` tokens are none of text."""
        pieces = [" "] * specials + [_text(piece) or " " for piece in token_bytes[specials:]]
        first, last = [piece[0] for piece in pieces], [piece[-1] for piece in pieces]
        return cls(
            begins=np.array([letter.isalnum() for letter in first]),
            ends=np.array([letter.isalnum() for letter in last]),
            begins_digit=np.array([letter in "0123456789" for letter in first]),
            ends_digit=np.array([letter in "0123456789" for letter in last]),
            scale=np.array([piece.strip().lower() in SCALES for piece in pieces]),
            point=pieces.index("."),
            comma=pieces.index(","),
        )


def _text(piece: bytes) -> str:
    """The piece's text. A fragment of a letter beyond ASCII is a letter, unless it may be one of punctuation (U+2000 to
    U+2FFF, which begin with the byte E2) or of a script that puts nothing between words (beyond them)."""
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return "".join(chr(b) if b < 0x80 else "\u00aa" if b < 0xE2 else " " for b in piece)


class Read:
    """The tokens of a text that may be copied: which of them go on with the word before them.

    Args:
        ids, twins: [S] the tokens, and each one's id without its leading space.
    """

    def __init__(self, ids: Int, twins: Int, shapes: Shapes) -> None:
        self.ids, self.twins, self.shapes = ids, twins, shapes
        follows = np.append(False, shapes.ends[ids[:-1]])
        digit, before = shapes.begins_digit[ids], np.append(False, shapes.ends_digit[ids[:-1]])
        # A point between digits is of the number, and so is the digit behind it.
        point = (ids == shapes.point) & before & np.append(digit[1:], False)
        self.joined = (shapes.begins[ids] & follows) | point | np.append(False, point[:-1])
        unit = self.joined & before & ~digit & ~point  # what is behind a number may be its unit: 300K
        self.bound = self.joined & ~unit
        # 12,500 is written without its comma: a comma with three digits behind it, and no more, may be passed over.
        behind = np.pad(digit, (0, 4))
        n = len(ids)
        three = behind[1 : n + 1] & behind[2 : n + 2] & behind[3 : n + 3] & ~behind[4 : n + 4]
        self.skipped = (ids == shapes.comma) & before & three
        # 213 million is written with more digits than are read.
        self.scaled = np.zeros(n + 1, np.bool_)
        for place in np.flatnonzero(shapes.scale[ids]):
            while place > 0 and (shapes.ends_digit[ids[place - 1]] or ids[place - 1] == shapes.point):
                self.scaled[place] = True
                place -= 1

    def starts(self, token: int) -> list[int]:
        """Places behind each word's first token that is `token`."""
        found = ((self.ids == token) | (self.twins == token)) & ~self.joined
        places: list[int] = (np.flatnonzero(found) + 1).tolist()
        return places

    def next(self, place: int) -> Iterator[tuple[int, int]]:
        """What continues the word at `place`, and the place behind it."""
        if place >= len(self.ids):
            return
        if self.joined[place] or self.skipped[place]:
            place += not self.joined[place]
            yield int(self.ids[place]), place + 1

    def stops(self, place: int) -> bool:
        """Whether there is a full stop at `place`."""
        return place < len(self.ids) and bool(self.ids[place] == self.shapes.point)

    def may_end(self, place: int) -> bool:
        """Whether the word may be over at `place`."""
        return place >= len(self.ids) or not self.bound[place]


class WholeWords:
    """Follows the tokens of an answer, and knows which words that were read the last one may be a piece of."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._last = 0
        self._in_word = False
        self._places: list[int] = []  # where in the text the word that is being written goes on, if it is a copy

    def feed(self, tokens: Sequence[int]) -> None:
        for token in tokens:
            self._step(token)

    def _step(self, token: int) -> None:
        shapes = self._read.shapes
        if self._in_word and self._goes_on(token):
            self._places = [after for place in self._places for t, after in self._read.next(place) if t == token]
        else:
            self._in_word = bool(shapes.begins[token] or shapes.ends[token])
            self._places = self._read.starts(token) if self._in_word else []
        self._last = token

    def _goes_on(self, token: int) -> bool:
        """Whether `token` is of the word before it."""
        shapes = self._read.shapes
        if token == shapes.point:
            return bool(shapes.ends_digit[self._last])
        if self._last == shapes.point:  # within a word: a decimal point
            return bool(shapes.begins_digit[token])
        return bool(shapes.begins[token] and shapes.ends[self._last])

    def weights(self) -> Float | None:
        """What each token's probability [V] is to be multiplied by; None where it does not matter."""
        if not self._places:
            return None
        read, shapes = self._read, self._read.shapes
        astray = shapes.begins.copy()
        # A full stop behind a number, which reads as if more of it came, is the text's own or it is none.
        astray[shapes.point] = shapes.ends_digit[self._last] and not any(map(read.stops, self._places))
        if not any(map(read.may_end, self._places)):
            astray[:] = True
        for place in self._places:
            astray[[token for token, _ in read.next(place)]] = False
        if read.scaled[self._places].any():
            astray[shapes.begins_digit] = False
        return np.where(astray, ASTRAY, np.float32(1.0))
