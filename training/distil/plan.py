"""What generating would take, before a cent is spent: counts, tokens, dollars, from the prompts that it would send."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from model.types import Message, Tool
from training.distil import forecast
from training.distil.briefs import COUNT, briefs, some_of
from training.distil.forecast import Price
from training.distil.generate import GenerateConfig
from training.distil.ledger import Contents
from training.teacher.base import Question, Tokens

USABLE = 0.9  # share of the inventions that make questions; the others are alike, or not in the form
DIFFERING = 0.25  # share of the questions whose first samples differ, or give a value that was not said
WORDS = 100  # characters of a request, mean over the lengths of `manners`; and of an earlier call with its result
EARLIER = 400


@dataclass(frozen=True)
class Plan:
    """What is still to be done, and `kinds`, the calls of the teacher that invent for each kind of request.

    `dollars` is what it is likely to cost, `at_most` what the budget reckons with; `spent` is what the ledger has paid
    for already.
    """

    examples: int
    inventions: int
    samples: int
    tokens: Tokens
    dollars: float
    at_most: float
    spent: float
    budget: float | None
    kinds: Counter[str]

    @property
    def affordable(self) -> float:
        """The share of it that the budget pays for."""
        if self.budget is None or self.dollars == 0:
            return 1.0
        return max(0.0, min(1.0, (self.budget - self.spent) / self.dollars))

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in self.kinds.most_common())
        lines = [
            f"{self.examples:,} requests to answer, by about {self.samples:,} answers, "
            f"and {self.inventions:,} calls to invent them{f': {kinds}' if kinds else ''}.",
            f"About {self.tokens.input:,} tokens in and {self.tokens.output:,} out: ${self.dollars:.2f}, "
            f"hardly more than ${self.at_most:.2f}.",
        ]
        if self.spent:
            lines.append(f"${self.spent:.2f} were spent before.")
        if self.budget is not None:
            lines.append(f"The budget of ${self.budget:.2f} pays for about {100 * self.affordable:.0f} % of it.")
        return "\n".join(lines)


def plan(
    tools: Sequence[Tool],
    config: GenerateConfig,
    price: Price,
    batch_price: Price | None = None,
    ledger: Contents | None = None,
) -> Plan:
    """The arguments are those of `training.distil.generate.generate`; nothing is asked of the teacher."""
    ledger = ledger or Contents()
    aims = list(islice(briefs(tools, config.seed), math.ceil(config.examples / USABLE / COUNT)))
    fresh = [aim for aim in aims if aim.brief.id not in ledger.inventions]
    answered = sum(
        1 for q in ledger.questions.values() if (a := ledger.answers.get(q.id)) and not config.sampling.due(q, a)
    )
    examples = max(0, config.examples - answered)
    each = config.sampling.first + DIFFERING * (config.sampling.most - config.sampling.first)
    inventing = sum((forecast.invention(aim.brief) for aim in fresh), Tokens())
    earlier = sum(aim.brief.kind == "follow_up" for aim in aims) / max(1, len(aims)) * EARLIER
    offered = some_of(tools, (), random.Random(config.seed))
    typical = Question((Message("user", "x" * round(WORDS + earlier)),), offered)
    one = forecast.answer(typical, 1)
    samples = round(each * examples)
    answering = Tokens(samples * one.input, samples * one.output)
    dollars = price(inventing) + ((batch_price if config.batch else None) or price)(answering)
    return Plan(
        examples=examples,
        inventions=len(fresh),
        samples=samples,
        tokens=inventing + answering,
        dollars=dollars,
        at_most=forecast.MARGIN * dollars,
        spent=ledger.dollars,
        budget=config.budget,
        kinds=Counter(aim.brief.kind for aim in fresh),
    )
