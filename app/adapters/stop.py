"""Stop sequences: an answer's text ends before the first of them that occurs in it.

They apply to text alone. A call is always whole: one that ended in the middle of its arguments would be none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from model.types import Event, Finished, GenerationResult, TextDelta, TokenLogprob


def cut_text(text: str, stop: Sequence[str]) -> str:
    """`text` up to the sequence in `stop` that is complete first, as if writing had ended there."""
    found = [(at + len(sequence), at) for sequence in stop if (at := text.find(sequence)) >= 0]
    return text[: min(found)[1]] if found else text


def cut_result(result: GenerationResult, stop: Sequence[str]) -> GenerationResult:
    """`result` with its text cut, which is finished then even if the budget cut the rest.

    Cut JSON is none, so nothing is said any more about where its values come from.
    """
    if result.text is None:
        return result
    text = cut_text(result.text, stop)
    if len(text) == len(result.text):
        return result
    logprobs = result.logprobs
    if logprobs is not None:
        logprobs = logprobs[: _tokens_in(logprobs, len(text.encode()))]
    return replace(result, text=text, logprobs=logprobs, text_evidence=(), finish_reason="stop")


def _tokens_in(tokens: Sequence[TokenLogprob], size: int) -> int:
    """How many of `tokens` begin in the first `size` bytes of what they spell."""
    begin = 0
    for i, token in enumerate(tokens):
        if begin >= size:
            return i
        begin += len(token.token)
    return len(tokens)


class StopFilter:
    """The same for the events of an answer, one after the other.

    What may be the beginning of a stop sequence waits until it is known to be none. A token goes with its first byte.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = stop
        self._stopped = False
        self._text = ""  # what waits,
        self._tokens: list[TokenLogprob] = []  # and its tokens
        self._ahead = 0  # bytes at the beginning of `_text` whose token has gone already

    def events(self, event: Event) -> Iterator[Event]:
        """What `event` becomes."""
        match event:
            case TextDelta(text, logprobs) if self._stop:
                if not self._stopped:
                    self._text += text
                    self._tokens += logprobs
                    yield from self._release()
            case Finished(result):
                if self._text or self._tokens:
                    yield TextDelta(self._text, tuple(self._tokens))
                yield Finished(cut_result(result, self._stop))
            case _:
                yield event

    def _release(self) -> Iterator[Event]:
        """What is certain by now."""
        text = cut_text(self._text, self._stop)
        self._stopped = len(text) < len(self._text)
        if not self._stopped:
            text = text[: len(text) - self._held()]
        size = len(text.encode()) - self._ahead
        tokens = tuple(self._tokens[: _tokens_in(self._tokens, size)])
        if text or tokens:
            yield TextDelta(text, tokens)
        if self._stopped:
            self._text, self._tokens = "", []
        else:
            self._text = self._text[len(text) :]
            self._tokens = self._tokens[len(tokens) :]
            self._ahead = sum(len(token.token) for token in tokens) - size

    def _held(self) -> int:
        """How many of the last characters that wait may begin a stop sequence."""
        longest = min(len(self._text), max(map(len, self._stop)) - 1)
        for size in range(longest, 0, -1):
            if any(sequence.startswith(self._text[-size:]) for sequence in self._stop):
                return size
        return 0
