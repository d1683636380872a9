"""The byte-level BPE tokenizer: text to ids and back, the special ids, and each token's no-leading-space twin.

Spaced tokens are built so that `" San"` and `"San"` segment alike (see `training/tokenizer.py`). The copy head relies
on it: a word that follows a space in the request is written after a quote in the arguments, without one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer as _Tokenizer

from model.whole_words import Shapes

PAD, END, SLOT, NONE, TOOL, SYSTEM, USER, ASSISTANT, RESULT = range(9)
SPECIAL_TOKENS = ("<pad>", "<end>", "<slot>", "<none>", "<tool>", "<system>", "<user>", "<assistant>", "<result>")


class Tokenizer:
    """Wraps a `tokenizer.json` whose first ids are `SPECIAL_TOKENS`.

    Special tokens inside text are plain text: a request that contains "<end>" cannot end anything.
    """

    def __init__(self, json_text: str) -> None:
        self.json_text = json_text
        self._tokenizer = _Tokenizer.from_str(json_text)
        self._tokenizer.encode_special_tokens = True
        for token_id, token in enumerate(SPECIAL_TOKENS):
            if self._tokenizer.token_to_id(token) != token_id:
                raise ValueError(f"tokenizer.json does not have {token!r} at id {token_id}")

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """Read a `tokenizer.json`."""
        return cls(path.read_text(encoding="utf-8"))

    @property
    def vocab_size(self) -> int:
        return self._tokenizer.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, without any special token."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        """`encode` for many texts, on all cores."""
        return [list(e.ids) for e in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    def encode_with_offsets(self, texts: list[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """`encode` for many texts, and the characters [start, end) of its text that each token stands for.

        A leading space is among them. Of a character whose bytes are several tokens, each has the whole.
        """
        encodings = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        return [(list(e.ids), list(e.offsets)) for e in encodings]

    def encode_pieces(self, pieces: Sequence[str]) -> tuple[list[int], list[int]]:
        """Token ids of the joined pieces, and where in them each piece begins: at its first token."""
        encoding = self._tokenizer.encode("".join(pieces), add_special_tokens=False)
        ends = [end for _, end in encoding.offsets]
        begins = accumulate((len(piece) for piece in pieces), initial=0)
        return list(encoding.ids), [bisect_right(ends, begin) for begin in list(begins)[:-1]]

    def decode(self, ids: list[int]) -> str:
        """The text of `ids`; incomplete UTF-8 at the end becomes U+FFFD."""
        return self._tokenizer.decode(ids, skip_special_tokens=True)

    @cached_property
    def tokens(self) -> list[str]:
        """Each id's token in the byte-level alphabet, where "Ġ" stands for a space."""
        by_id = {i: t for t, i in self._tokenizer.get_vocab(with_added_tokens=True).items()}
        return [by_id[i] for i in range(len(by_id))]

    @cached_property
    def token_bytes(self) -> list[bytes]:
        """Each id's token as the bytes that it stands for: a piece of UTF-8 text, which may end within a character."""
        byte_of = _bytes_by_letter()
        return [bytes(byte_of[letter] for letter in token) for token in self.tokens]

    @cached_property
    def sizes(self) -> npt.NDArray[np.int64]:
        """[vocab_size]: how many bytes of text each token stands for."""
        return np.array([len(token) for token in self.token_bytes])

    @cached_property
    def marks(self) -> dict[int, str]:
        """The tokens that are a mark of JSON's punctuation, alone or behind a space, as a quote can be in a string."""
        marks = {form: mark for mark in '"\\{}[],:' for form in (mark, f"Ġ{mark}")}
        return {i: marks[token] for i, token in enumerate(self.tokens) if token in marks}

    @cached_property
    def twins(self) -> npt.NDArray[np.int64]:
        """[vocab_size]: the id of the same token without its leading space; PAD for tokens that have none."""
        ids = {token: i for i, token in enumerate(self.tokens)}
        return np.array([ids.get(t[1:], PAD) if t.startswith("Ġ") and len(t) > 1 else PAD for t in self.tokens])

    @cached_property
    def shapes(self) -> Shapes:
        """How each token begins and ends."""
        return Shapes.of(self.token_bytes, len(SPECIAL_TOKENS))

    @cached_property
    def words(self) -> npt.NDArray[np.int64]:
        """[vocab_size]: the same number for tokens that are the same word but for case, leading space and ending.

        0 for marks, digits, special tokens and `_STOP_WORDS`. A fragment of a longer word counts as one.
        """
        numbers: dict[str, int] = {}
        found = np.zeros(self.vocab_size, np.int64)
        for i, raw in enumerate(self.token_bytes[len(SPECIAL_TOKENS) :], len(SPECIAL_TOKENS)):
            word = raw.decode("utf-8", "replace").strip().lower()
            if word.isalpha() and word not in _STOP_WORDS:
                found[i] = numbers.setdefault(_stem(word), len(numbers) + 1)
        return found


# Not among them: from, to, by, with, before, after and their like, which tell parameters apart.
_STOP_WORDS = frozenset(
    "a an the this that these those of and or is are was be been am it its i me my we us our you your he she they "
    "them their in on at for as if so do does did can could will would shall should may please there here what which "
    "who how not s t re ve ll d m".split()
)


def _stem(word: str) -> str:
    """The word without a common English ending. A rule of our own, because weights are trained on what it gives: it
    must not change with the version of a library."""
    if word.endswith("ies") and len(word) > 4:
        return word.removesuffix("ies") + "y"
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and not word.endswith("ss") and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            break
    return word.removesuffix("e") if len(word) > 3 else word


def _bytes_by_letter() -> dict[str, int]:
    """The byte that each letter of the byte-level alphabet stands for: a printable one for itself (GPT-2's table)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}
