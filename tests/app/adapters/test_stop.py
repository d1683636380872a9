from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.adapters.stop import StopFilter, cut_result, cut_text
from model.types import (
    ArgumentsDelta,
    CallStarted,
    Event,
    Evidence,
    Finished,
    TextDelta,
    TokenLogprob,
)
from tests.conftest import PARIS, events, result


@pytest.mark.parametrize(
    ("text", "stop", "expected"),
    [
        ("abc", [], "abc"),
        ("abc", ["d"], "abc"),
        ("abc", ["c"], "ab"),
        ("abc", ["bc", "b", "c"], "a"),
        ("abcd", ["abcd", "c"], "ab"),
        ("abcd", ["cd", "bcd"], "a"),
        ("abab", ["ab"], ""),
        ("", ["a"], ""),
        ("zürich", ["r"], "zü"),
    ],
)
def test_cut_text(text: str, stop: list[str], expected: str) -> None:
    assert cut_text(text, stop) == expected


def tokens(*spellings: str | bytes) -> tuple[TokenLogprob, ...]:
    return tuple(TokenLogprob(s.encode() if isinstance(s, str) else s, -0.5) for s in spellings)


def test_cut_result() -> None:
    whole = result(
        text='{"a":"é","b":1}',
        logprobs=tokens('{"', "a", '":"', b"\xc3", b"\xa9", '","', 'b":1}'),
        text_evidence=(Evidence("/a", True, None),),
        finish="length",
    )
    cut = cut_result(whole, ["é"])
    assert (cut.text, cut.finish_reason, cut.text_evidence) == ('{"a":"', "stop", ())
    assert cut.logprobs == tokens('{"', "a", '":"')
    assert cut_result(whole, ['"b"']).logprobs == tokens('{"', "a", '":"', b"\xc3", b"\xa9", '","'), "cut in a token"
    assert cut.usage == whole.usage
    assert cut_result(whole, ["x"]) is whole
    assert cut_result(whole, []) is whole


def test_calls_are_whole() -> None:
    whole = result(PARIS, logprobs=tokens(PARIS.arguments))
    assert cut_result(whole, ["city"]) is whole
    stop_filter = StopFilter(["city"])
    assert [passed for event in events(whole) for passed in stop_filter.events(event)] == list(events(whole))


def filtered(deltas: list[Event], stop: list[str]) -> list[Event]:
    stop_filter = StopFilter(stop)
    return [passed for event in deltas for passed in stop_filter.events(event)]


def streamed(pieces: list[str], stop: list[str]) -> list[str]:
    text = "".join(pieces)
    *deltas, last = filtered([*map(TextDelta, pieces), Finished(result(text=text))], stop)
    assert isinstance(last, Finished)
    texts = []
    for delta in deltas:
        assert isinstance(delta, TextDelta)
        texts.append(delta.text)
    assert "".join(texts) == last.result.text, "streamed and whole are the same"
    return texts


@pytest.mark.parametrize(
    ("pieces", "stop", "sent"),
    [
        (["ab", "cd"], [], ["ab", "cd"]),
        (["ab", "cd"], ["x"], ["ab", "cd"]),
        (["ab", "cd"], ["bc"], ["a"]),
        (["ab", "xd"], ["bc"], ["a", "bxd"]),
        (["a", "b", "c"], ["abd"], ["abc"]),
        (["ab", "ab", "ac"], ["abac"], ["ab"]),
        (["ab"], ["bc"], ["a", "b"]),
        (["ab", "cd", "ab"], ["b", "d"], ["a"]),
        (["abc"], ["abc"], []),
    ],
)
def test_streaming(pieces: list[str], stop: list[str], sent: list[str]) -> None:
    assert streamed(pieces, stop) == sent


@settings(deadline=None)
@given(
    st.lists(st.text(alphabet="abé", max_size=4), max_size=8),
    st.lists(st.text(alphabet="abé", min_size=1, max_size=4), max_size=4),
)
def test_streaming_says_what_the_whole_answer_says(pieces: list[str], stop: list[str]) -> None:
    assert "".join(streamed(pieces, stop)) == cut_text("".join(pieces), stop)


@settings(deadline=None)
@given(
    st.lists(st.text(alphabet="abé", min_size=1, max_size=3), min_size=1, max_size=6),
    st.lists(st.text(alphabet="abé", min_size=1, max_size=4), max_size=4),
    st.integers(1, 3),
)
def test_tokens_go_with_their_text(words: list[str], stop: list[str], together: int) -> None:
    """Several tokens in a delta; all characters whole, as engines send them."""
    all_tokens = tokens(*words)
    deltas: list[Event] = [
        TextDelta("".join(words[i : i + together]), all_tokens[i : i + together])
        for i in range(0, len(words), together)
    ]
    whole = result(text="".join(words), logprobs=all_tokens)
    *got, last = filtered([*deltas, Finished(whole)], stop)
    sent = tuple(itertools.chain.from_iterable(d.logprobs for d in got if isinstance(d, TextDelta)))
    assert isinstance(last, Finished)
    assert sent == last.result.logprobs
    text, spelt = b"", b""
    for delta in got:
        assert isinstance(delta, TextDelta)
        text += delta.text.encode()
        spelt += b"".join(token.token for token in delta.logprobs)
        assert spelt[: len(text)] == text, "no text before its tokens"


def test_a_character_in_two_tokens() -> None:
    halves = tokens(b"\xc3", b"\xa9")
    deltas: list[Event] = [
        TextDelta("a", tokens("a")),
        TextDelta("", halves[:1]),
        TextDelta("éb", (*halves[1:], *tokens("b"))),
        Finished(result(text="aéb", logprobs=(*tokens("a"), *halves, *tokens("b")))),
    ]
    got = filtered(deltas, ["bc"])
    assert got[:-1] == [TextDelta("a", tokens("a")), TextDelta("é", halves), TextDelta("b", tokens("b"))]


def test_other_events_pass() -> None:
    made: list[Event] = [CallStarted(0, "f"), ArgumentsDelta(0, "{}"), Finished(result(PARIS))]
    assert filtered(made, ["{"]) == made
