"""What a call to a teacher will cost, before it is made: what is likely, for a plan, and at most, for a budget."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from model.prompt import calls_text, dumps
from model.types import Tool
from training.teacher.base import Brief, Question, Tokens

Price = Callable[[Tokens], float]  # dollars of a call that used so many tokens

CHARACTERS_PER_TOKEN = 4  # of English and JSON, for the tokenizers of today's large models
OVERHEAD = 60  # tokens around a question: roles, the form of declarations
INSTRUCTIONS = 400  # tokens by which a teacher says in which form it wants inventions, its schema included
REQUEST = 45  # tokens of one invented request as JSON, mean over the lengths of `manners`
CONVERSATION = 200  # tokens of one with earlier turns
CALL = 15  # tokens of a call without arguments
ARGUMENT = 12  # tokens of one argument
MARGIN = 2.0  # times the likely cost that a call may cost, until dearer ones have been seen
SAFETY = 1.25  # times the dearest call seen that the next one may cost


def tokens_of(text: str) -> int:
    """An estimate; a script of other letters has more tokens per character, and more bytes."""
    return len(text.encode()) // CHARACTERS_PER_TOKEN + 1


def invention(brief: Brief) -> Tokens:
    """What is likely used to invent the requests of a brief, whose text shows the tools."""
    return Tokens(
        INSTRUCTIONS + tokens_of(brief.text), brief.count * (CONVERSATION if brief.kind == "follow_up" else REQUEST)
    )


def answer(question: Question, samples: int) -> Tokens:
    """What is likely used to answer, each sample by a call of its own."""
    said = sum(tokens_of(m.text + calls_text(m.tool_calls)) for m in question.messages)
    one = Tokens(OVERHEAD + said + tools_tokens(question.tools), reply_tokens(question.tools))
    return Tokens(samples * one.input, samples * one.output)  # a teacher may do better


def tools_tokens(tools: Iterable[Tool]) -> int:
    """Tokens of the declarations."""
    return sum(tokens_of(dumps([t.name, t.description, t.parameters])) for t in tools)


def reply_tokens(tools: Sequence[Tool]) -> int:
    """Tokens of one call, over the mean of the tools."""
    return CALL + ARGUMENT * sum(_arguments(t.parameters) for t in tools) // max(1, len(tools))


class Bounds:
    """The most that a call may cost: `MARGIN` times what is likely, or more once a call was dearer. Thread-safe.

    A model that thinks before it answers uses tokens that no prompt shows. `learned` says whether any call was seen.
    """

    def __init__(self, price: Price) -> None:
        self._price = price
        self.learned = False
        self._margin = MARGIN
        self._lock = threading.Lock()

    def __call__(self, likely: Tokens) -> float:
        """In dollars."""
        return self._margin * self._price(likely)

    def learn(self, likely: Tokens, dollars: float) -> None:
        """A call that was thought to use `likely` cost `dollars`."""
        expected = self._price(likely)
        with self._lock:
            self.learned = True
            if expected > 0:
                self._margin = max(self._margin, SAFETY * dollars / expected)


def _arguments(schema: Mapping[str, Any]) -> int:
    """Required arguments, and half of the optional ones."""
    properties = len(schema.get("properties") or {})
    required = len(schema.get("required") or ())
    return required + (properties - required) // 2
