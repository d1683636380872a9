"""Log probabilities of tokens, as the wire has them."""

from __future__ import annotations

from collections.abc import Sequence

from app.schemas.chat import ChoiceLogprobs, TopLogprob
from app.schemas.chat import TokenLogprob as WireTokenLogprob
from model.types import TokenLogprob

# OpenAI's number for "as good as impossible"; JSON has no infinity.
_LOWEST = -9999.0


def choice_logprobs(tokens: Sequence[TokenLogprob]) -> ChoiceLogprobs:
    return ChoiceLogprobs(content=[token_logprob(token) for token in tokens], refusal=None)


def token_logprob(token: TokenLogprob) -> WireTokenLogprob:
    return WireTokenLogprob(
        token=_text(token.token),
        logprob=max(token.logprob, _LOWEST),
        bytes=list(token.token),
        top_logprobs=[
            TopLogprob(token=_text(spelling), logprob=max(logprob, _LOWEST), bytes=list(spelling))
            for spelling, logprob in token.alternatives
        ],
    )


def _text(token: bytes) -> str:
    """A token may begin or end in the middle of a character."""
    return token.decode("utf-8", "replace")
