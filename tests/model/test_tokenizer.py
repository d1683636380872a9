"""The shipped tokenizer: nothing is lost, no text is special, and a leading space changes nothing but itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.tokenizer import PAD, SPECIAL_TOKENS, Tokenizer

ARTIFACT = Path(__file__).resolve().parents[2] / "model" / "artifact"
TOKENIZER = Tokenizer.load(ARTIFACT / "tokenizer.json")

NASTY = st.lists(
    st.sampled_from(
        [
            *SPECIAL_TOKENS,
            " ",
            "  ",
            "\t",
            "\r\n",
            "\0",
            "\x7f",
            "\u00a0",
            "\u2028",
            "\ufeff",
            "\ufffd",
            "é",
            "e\u0301",
            "ß",
            "Ġ",
            "Ċ",
            "日本",
            "𝕏",
            "👩‍👩‍👧",
            "🇫🇷",
            "עִבְ",
            "ﬁ",
            "ǅ",
            "½",
            "٣",
            "\\u00e9",
            '\\"',
            "```",
            "camelCaseHTTP2x",
        ]
    )  # fmt: skip
    | st.text(max_size=12),
    max_size=12,
).map("".join)


def segments(text: str) -> list[str]:
    return [TOKENIZER.tokens[i] for i in TOKENIZER.encode(text)]


@settings(max_examples=150, deadline=None)
@given(NASTY)
def test_lossless_and_no_special_token_comes_of_text(text: str) -> None:
    ids = TOKENIZER.encode(text)
    assert TOKENIZER.decode(ids) == text
    assert all(len(SPECIAL_TOKENS) <= i < TOKENIZER.vocab_size for i in ids)


@settings(max_examples=50, deadline=None)
@given(st.lists(NASTY, max_size=4))
def test_a_batch_encodes_as_its_texts_do(texts: list[str]) -> None:
    assert TOKENIZER.encode_batch(texts) == [TOKENIZER.encode(text) for text in texts]


@settings(max_examples=150, deadline=None)
@given(st.from_regex(r"\A[^\W\d_]{1,14}\Z"))
def test_a_space_is_absorbed_by_the_first_token_or_stands_alone(word: str) -> None:
    spaced, plain = TOKENIZER.encode(" " + word), TOKENIZER.encode(word)
    if len(spaced) > len(plain):
        assert spaced == [*TOKENIZER.encode(" "), *plain]
    else:
        assert TOKENIZER.twins[spaced[0]] == plain[0]
        assert spaced[1:] == plain[1:]


def test_twins_in_a_sentence() -> None:
    assert segments(" Springfield") == ["ĠSpring", "field"]
    assert segments("Springfield") == ["Spring", "field"]
    inside, quoted = TOKENIZER.encode("go to Springfield now"), TOKENIZER.encode('"Springfield"')
    assert [int(TOKENIZER.twins[inside[2]]), inside[3]] == quoted[1:3]


def test_every_spaced_token_has_its_twin_and_no_other_has_one() -> None:
    tokens = TOKENIZER.tokens
    assert len(tokens) == len(set(tokens)) == TOKENIZER.vocab_size == len(TOKENIZER.twins) == 14_000
    for token, twin in zip(tokens, TOKENIZER.twins, strict=True):
        if token.startswith("Ġ") and len(token) > 1:
            assert tokens[twin] == token[1:]
        else:
            assert twin == PAD
    assert np.count_nonzero(TOKENIZER.twins) == 5_400


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '{"days":120,"t":-2.5}',
            ["{", '"', "days", '"', ":", "1", "2", "0", ",", '"', "t", '"', ":", "-", "2", ".", "5", "}"],
        ),
        ("getHTTPResponse_fast2x", ["get", "HTTP", "Response", "_", "fast", "2", "x"]),
        ('"San Francisco"', ['"', "San", "ĠFrancisco", '"']),
        ("it's 3,000 (or so)!", ["it", "'", "s", "Ġ3", ",", "0", "0", "0", "Ġ(", "or", "Ġso", ")", "!"]),
    ],
)
def test_digits_quotes_and_punctuation_stand_alone(text: str, expected: list[str]) -> None:
    assert segments(text) == expected


def test_an_incomplete_character_shows_as_the_replacement() -> None:
    first = TOKENIZER.encode("𝕏")[0]
    assert TOKENIZER.decode([first]) == "\ufffd"


def test_special_tokens_must_be_where_the_network_expects_them() -> None:
    text = TOKENIZER.json_text.replace('"<slot>"', '"<gap>"')
    with pytest.raises(ValueError, match="<slot>.* at id 2"):
        Tokenizer(text)


@settings(max_examples=100, deadline=None)
@given(NASTY)
def test_tokens_are_bytes_of_the_text(text: str) -> None:
    ids = TOKENIZER.encode(text)
    assert b"".join(TOKENIZER.token_bytes[i] for i in ids) == text.encode()
    assert int(TOKENIZER.sizes[ids].sum()) == len(text.encode())


@pytest.mark.parametrize(
    "same",
    [
        ("sell", " sell", " selling"),
        ("city", "City", " City"),
        ("day", " days", "Days"),
        ("start", " starting", "started"),
        ("price", " prices"),
    ],
)
def test_tokens_of_one_word_have_one_number(same: tuple[str, ...]) -> None:
    ids = [TOKENIZER.encode(text) for text in same]
    assert all(len(i) == 1 for i in ids), ids
    assert len({int(TOKENIZER.words[i]) for [i] in ids}) == 1 and TOKENIZER.words[ids[0][0]] > 0


@pytest.mark.parametrize("text", ["the", " The", " of", "7", '"', "_", " (", "."])
def test_what_means_nothing_alone_is_no_word(text: str) -> None:
    [token] = TOKENIZER.encode(text)
    assert TOKENIZER.words[token] == 0


def test_words_that_tell_parameters_apart_are_words() -> None:
    numbers = [int(TOKENIZER.words[TOKENIZER.encode(word)[0]]) for word in ("from", "to", "min", "max", "class", "cm")]
    assert 0 not in numbers and len(set(numbers)) == len(numbers)
    assert not TOKENIZER.words[: len(SPECIAL_TOKENS)].any()
