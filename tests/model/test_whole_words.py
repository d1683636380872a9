"""Which words that were read a piece of a word may go on as."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.decoder import Decoder
from model.engine import BodkinEngine
from model.parameters import ParameterTracker
from model.sampling import Sampler
from model.tokenizer import Tokenizer
from model.types import GenerationRequest, Message, Tool, ToolChoice
from model.whole_words import ASTRAY, Float, Read, WholeWords

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
        ("at 3. Then 25", '{"r":3', ",}.", "20"),
        ("in room 5 at 3", '{"r":"room 5', '"', ".0"),
        ("order QX4417Z", '{"o":"QX44', "1", '"47'),
        ("order QX4417Z", '{"o":"QX4417Z', '"-', "41"),
        ("order QX4417Z", '{"o":"QX4417', 'Z"', "41"),
        ("the year 1987", '{"y":198', "7", "60,"),
        ("213 million people", '{"p":213', "0,}", "a"),  # written out
        ("8.5 million square km", '{"a":8', "5.0", "a,"),
        ("213 people and 8 million", '{"p":213', ",}", "0"),
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
    assert kept("a gas-powered car", '{"fuel":"gas', '"-s') == [True, True, False]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("New York… please", "New York"),
        ("“New York” is it", "New York"),
        ("Smith’s car", "Smith"),
        ("Rome–Oslo", "Rome"),
    ],
)
def test_marks_beyond_ascii_end_a_word(text: str, written: str) -> None:
    assert kept(text, f'{{"x":"{written}', '"s') == [True, False]


def test_a_script_without_spaces_has_no_words_to_keep_whole() -> None:
    assert kept("東京の天気は", '{"x":"東京', '"')[0]


def test_only_the_beginning_of_a_word_counts() -> None:
    assert behind("order QX4417Z", '{"n":4').weights() is None


def test_a_word_beyond_ascii() -> None:
    assert kept("via Tromsø", '{"city":"Tromsø', '"s') == [True, False]


def test_the_decoder_ends_a_number_where_it_was_read(shipped: BodkinEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that would rather go on with a fourth digit than end: 300 is read, and nothing that goes on so."""
    schema = {"type": "object", "properties": {"t": {"type": "integer"}}, "required": ["t"]}
    tools = (Tool("heat", "Heat the sample.", schema),)
    request = GenerationRequest((Message("user", "heat the sample to 300 K"),), tools, ToolChoice("auto"))
    prepared = shipped._prepare(request)
    decoder = shipped._decoder(request, prepared, Sampler(0.0, 1.0, None), 50)
    digits = iter("300")

    def next_(_: Decoder) -> tuple[Float, Float]:
        likely = {digit: 1.0} if (digit := next(digits, "")) else {"0": 0.6, "}": 0.3}
        probabilities = np.zeros(TOKENIZER.vocab_size, np.float32)
        for text, probability in likely.items():
            probabilities[TOKENIZER.encode(text)[0]] = probability
        return probabilities, np.ones(len(decoder._before), np.float32)

    monkeypatch.setattr(Decoder, "_next", next_)
    [entry] = prepared.tools
    decoder.route([entry.encoding], allow_none=False)
    written = list(decoder.fill(entry.grammar, ParameterTracker(TOKENIZER, entry.keys)))
    assert TOKENIZER.decode([t for w in written for t in w.tokens]) == '{"t":300}'
    assert written[-1].probability == pytest.approx(0.3 / (0.3 + 0.6 * ASTRAY))
