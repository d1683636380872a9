"""Which words that were read a piece of a word may go on as."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.tokenizer import Tokenizer
from model.whole_words import ASTRAY, Read, WholeWords

TOKENIZER = Tokenizer.load(Path(__file__).parents[2] / "model" / "artifact" / "tokenizer.json")


def behind(text: str, written: str) -> WholeWords:
    """What follows the tokens of `written`, of an answer to `text`."""
    ids = np.array(TOKENIZER.encode(text), np.int64)
    words = WholeWords(Read(ids, TOKENIZER.twins[ids], TOKENIZER.shapes))
    words.feed(TOKENIZER.encode(written))
    return words


def kept(text: str, written: str, tokens: str) -> list[bool]:
    """Of each of `tokens`, one character each, whether it keeps its probability behind `written`."""
    weights = behind(text, written).weights()
    return [weights is None or weights[TOKENIZER.encode(token)[0]] == 1.0 for token in tokens]


@pytest.mark.parametrize(
    ("text", "written", "on", "astray"),
    [
        ("the sample at 300K", '{"t":30', "0", "1,}."),  # a number goes on as it was read
        ("the sample at 300K", '{"t":300', ",}", "01."),  # ... and ends where it ended
        ("either 30 or 300", '{"t":30', "0,}", "1."),  # two numbers begin so
        ("a list [12,15,18]", '{"v":[12', ",]", "158"),
        ("12,500 of them", '{"n":12', "5,}", "07"),  # written without its comma
        ("at 3.25 percent", '{"r":3', ".", "2,}"),
        ("at 3.25 percent", '{"r":3.2', "5", ".,}0"),
        ("at 3. Then 25", '{"r":3', ",}", ".20"),
        ("order QX4417Z", '{"o":"QX44', "1", '"47'),
        ("order QX4417Z", '{"o":"QX4417Z', '"-', "41"),
        ("order QX4417Z", '{"o":"QX4417', 'Z"', "41"),
        ("the year 1987", '{"y":198', "7", "60,"),
    ],
)
def test_what_a_piece_goes_on_as(text: str, written: str, on: str, astray: str) -> None:
    assert all(kept(text, written, on)), on
    assert not any(kept(text, written, astray)), astray


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("twenty of them", '{"n":2'),  # no word begins so
        ("in 27 days", '{"y":202'),  # gone another way before: worked out
        ("at 5 percent", '{"r":0.0'),
        ("go to Rome", '{"city":"'),  # between words
        ("go to Rome", '{"city":'),
        ("", '{"n":2'),
    ],
)
def test_what_is_no_copy_is_free(text: str, written: str) -> None:
    assert behind(text, written).weights() is None


def test_a_word_of_several_tokens_does_not_end_in_its_middle() -> None:
    word = next(w for w in ("Thessaloniki", "Grades", "barristers") if len(TOKENIZER.encode(f" {w}")) > 1)
    first, *rest = TOKENIZER.encode(word)
    weights = behind(f"we read {word} here", f'{{"x":"{TOKENIZER.decode([first])}').weights()
    assert weights is not None
    assert weights[rest[0]] == 1.0
    assert weights[TOKENIZER.encode('"')[0]] == ASTRAY
    assert kept(f"we read {word} here", f'{{"x":"{word}', '"') == [True]


def test_a_word_may_be_left_behind_a_mark() -> None:
    assert kept("a gas-powered car", '{"fuel":"gas', '"-') == [True, True]


def test_only_the_beginning_of_a_word_counts() -> None:
    assert behind("order QX4417Z", '{"n":4').weights() is None


def test_a_word_beyond_ascii() -> None:
    assert kept("via Tromsø", '{"city":"Tromsø', '"s') == [True, False]
