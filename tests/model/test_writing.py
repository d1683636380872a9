"""From tokens to pieces of text: no character in halves, no token lost, and what is around an answer left out."""

from __future__ import annotations

import json
import math
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.decoder import Written
from model.prompt import dumps
from model.tokenizer import Tokenizer
from model.writing import Piece, Writing


class Bytes:
    """A tokenizer of which a token is a byte."""

    token_bytes = [bytes([byte]) for byte in range(256)]


BYTES = cast(Tokenizer, Bytes())
ATTENTION = np.ones(3, np.float32)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def chosen(token: int, probability: float = 0.5) -> Written:
    return Written([token], probability, ATTENTION, ((token, probability), (7, 0.1)))


def forced(text: str) -> Written:
    return Written(list(text.encode()), 1.0)


def pieces(writing: Writing, runs: list[Written]) -> list[Piece]:
    found = [piece for run in runs if (piece := writing.feed(run))]
    if last := writing.end():
        found.append(last)
    return found


def split(text: str, sizes: list[int]) -> list[Written]:
    """`text` in runs: of one byte a choice, of several forced."""
    raw = list(text.encode())
    runs = []
    while raw:
        size = sizes.pop() if sizes else 1
        runs.append(chosen(raw[0]) if size == 1 else Written(raw[:size], 1.0))
        raw = raw[size:]
    return runs


@settings(deadline=None)
@given(TEXTS, st.lists(st.integers(1, 5)), st.sampled_from([None, 0, 2]))
def test_pieces_add_up(text: str, sizes: list[int], top: int | None) -> None:
    writing = Writing(BYTES, top)
    found = pieces(writing, split(text, sizes))
    assert "".join(piece.text for piece in found) == writing.text == text
    assert all(piece.text for piece in found)
    logprobs = [token for piece in found for token in piece.logprobs]
    assert logprobs == writing.logprobs
    assert b"".join(token.token for token in logprobs) == (b"" if top is None else text.encode())
    assert len(writing.sizes) == len(writing.copied) == sum(writing.sizes) == len(text.encode())


@settings(deadline=None)
@given(TEXTS, st.data())
def test_a_cut_text_ends_in_a_whole_character_and_keeps_its_tokens(text: str, data: st.DataObject) -> None:
    raw = text.encode()[: data.draw(st.integers(0, len(text.encode())))]
    writing = Writing(BYTES, 1)
    writing.cut = True
    found = pieces(writing, [chosen(byte) for byte in raw])
    assert writing.text == raw.decode(errors="ignore") == "".join(piece.text for piece in found)
    assert b"".join(token.token for piece in found for token in piece.logprobs) == raw
    assert [token for piece in found for token in piece.logprobs] == writing.logprobs


def test_tokens_wait_for_their_character() -> None:
    writing = Writing(BYTES, 1)
    first, *others = "é".encode()
    assert writing.feed(chosen(first)) is None
    piece = writing.feed(chosen(others[0]))
    assert piece is not None
    assert (piece.text, [t.token for t in piece.logprobs]) == ("é", [b"\xc3", b"\xa9"])
    assert writing.end() is None


def test_log_probabilities() -> None:
    writing = Writing(BYTES, 2)
    found = pieces(writing, [forced("{"), chosen(65, 0.25), chosen(66, 0.0), chosen(67, 1.0 + 1e-7)])
    brace, a, b, c = (token for piece in found for token in piece.logprobs)
    assert (brace.token, brace.logprob, brace.alternatives) == (b"{", 0.0, ((b"{", 0.0),))
    assert a.logprob == pytest.approx(math.log(0.25))
    assert a.alternatives == ((b"A", pytest.approx(math.log(0.25))), (b"\x07", pytest.approx(math.log(0.1))))
    assert -100 < b.logprob < -50  # JSON has no infinity
    assert c.logprob == 0.0
    assert writing.logs == [a.logprob, b.logprob]


def test_without_alternatives_there_are_none() -> None:
    [piece] = pieces(Writing(BYTES, 0), [Written([65, 66], 1.0)])
    assert [token.alternatives for token in piece.logprobs] == [(), ()]


@settings(deadline=None)
@given(st.text(max_size=8) | st.integers() | st.lists(st.integers()), st.lists(st.integers(1, 9)), st.booleans())
def test_what_is_around_an_answer_is_left_out(value: object, sizes: list[int], top: bool) -> None:
    before, text = '{"answer":', dumps(value)
    runs = [forced(before), *split(text, sizes), chosen(ord("}"), 0.9)]
    writing = Writing(BYTES, 1 if top else None, before.encode())
    found = pieces(writing, runs)
    assert "".join(piece.text for piece in found) == writing.text == text
    assert json.loads(writing.text) == value
    assert b"".join(t.token for t in writing.logprobs) == (text.encode() if top else b"")
    assert sum(writing.sizes) == len(text.encode())
    assert writing.logs[-1] == math.log(0.9)  # that the answer ends here was a choice


def test_the_run_that_is_left_out_may_hold_the_beginning_of_the_answer() -> None:
    writing = Writing(BYTES, None, b'{"a":')
    found = pieces(writing, [forced('{"a":"b'), forced('"}')])
    assert "".join(piece.text for piece in found) == '"b"'


def test_a_cut_answer_keeps_its_last_token() -> None:
    writing = Writing(BYTES, 0, b'{"a":')
    writing.cut = True
    assert "".join(p.text for p in pieces(writing, [forced('{"a":'), *map(chosen, b"[1,2")])) == "[1,2"
    assert [t.token for t in writing.logprobs] == [b"[", b"1", b",", b"2"]
