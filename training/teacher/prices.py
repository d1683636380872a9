"""What a teacher costs, in dollars. Prices change: check your vendor's page, or give your own."""

from __future__ import annotations

import re
from dataclasses import dataclass

from training.teacher.base import Tokens

AS_OF = "November 2026"
PAGE = "https://ai.google.dev/gemini-api/docs/pricing"
# Of a batch job's tokens, in and out.
BATCH_SHARE = 0.5


@dataclass(frozen=True)
class Price:
    """Dollars per million tokens, thoughts priced as output."""

    input: float
    output: float

    def __post_init__(self) -> None:
        if self.input < 0 or self.output < 0:
            raise ValueError(f"a price is not negative, as {self.input}/{self.output} is")


# Prompts up to 200,000 tokens, text. Models 3.6 to 3.8 are at half this price until the end of 2026.
PRICES = {
    "gemini-2.5-flash-lite": Price(0.10, 0.40),
    "gemini-2.5-flash": Price(0.30, 2.50),
    "gemini-2.5-pro": Price(1.25, 10.00),
    "gemini-3-flash-preview": Price(0.50, 3.00),
    "gemini-3.1-flash-lite": Price(0.25, 1.50),
    "gemini-3.1-pro-preview": Price(2.00, 12.00),
    "gemini-3.5-flash-lite": Price(0.30, 2.50),
    "gemini-3.5-flash": Price(1.50, 9.00),
    "gemini-3.6-flash": Price(1.50, 7.50),
    "gemini-3.7-flash": Price(1.50, 7.50),
    "gemini-3.8-flash": Price(1.50, 7.50),
}


@dataclass(frozen=True)
class Estimate:
    """What a run would use; `inventing` and `answering` are dollars."""

    tokens: Tokens
    inventing: float
    answering: float

    @property
    def dollars(self) -> float:
        return self.inventing + self.answering


def price(model: str, override: Price | None = None) -> Price:
    """The price of `model`, also by a dated name. Raises ValueError for one that is not listed and has no override."""
    if override is not None:
        return override
    name = model.removeprefix("models/")
    listed = PRICES.get(name) or PRICES.get(re.sub(r"-(\d{3}|preview(-\d\d-\d{4})?)$", "", name))
    if listed is None:
        raise ValueError(
            f"no price is known for {model!r}: give its dollars per million input and output tokens, see {PAGE} "
            f"(known: {', '.join(PRICES)})"
        )
    return listed


def cost(tokens: Tokens, model: str, override: Price | None = None, batch: bool = False) -> float:
    """Dollars for `tokens`. Raises ValueError as `price` does."""
    per_million = price(model, override)
    full = (tokens.input * per_million.input + tokens.output * per_million.output) / 1e6
    return full * BATCH_SHARE if batch else full


def estimate(
    model: str,
    *,
    inventions: int,
    invention: Tokens,
    answers: int,
    answer: Tokens,
    override: Price | None = None,
    batch: bool = False,
) -> Estimate:
    """What `inventions` requests of mean size `invention` and `answers` of mean size `answer` will cost.

    One invention is a call that makes up a brief's requests; one answer is a question with all of its samples. With
    `batch` the answers come by batch job; inventions never do. Raises ValueError as `price` does.
    """
    inventing = Tokens(inventions * invention.input, inventions * invention.output)
    answering = Tokens(answers * answer.input, answers * answer.output)
    return Estimate(
        inventing + answering, cost(inventing, model, override), cost(answering, model, override, batch=batch)
    )
