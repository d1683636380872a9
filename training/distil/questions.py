"""From what a teacher invented to the questions it is asked: those that can be used and were not asked before."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence

from model.types import Message, Tool
from training.data.sources.grounding import tokens
from training.distil.answers import arguments_of
from training.distil.briefs import Aim, some_of
from training.distil.ledger import Asked
from training.distil.near import NearIndex, features
from training.teacher.base import Question

MAX_CHARACTERS = 4_000  # of a conversation
NEARLY_THE_SAME = 0.9  # before the answers are known, only this is dropped: near requests may have other answers
_SPELT_OUT = re.compile(r"[_.-]|[a-z][A-Z]|\d")  # a tool's name that is no word of a language


class Questions:
    """Makes questions of inventions, in the order in which it is given them. `dropped` counts what it turns away."""

    def __init__(self, tools: Sequence[Tool], seed: int) -> None:
        self._tools = tuple(tools)
        self._by_name = {t.name: t for t in tools}
        self._seed = seed
        self._seen = NearIndex(NEARLY_THE_SAME)
        names = [re.escape(t.name) for t in tools if _SPELT_OUT.search(t.name)]
        self._names = re.compile(rf"(?<!\w)(?:{'|'.join(names)})(?!\w)") if names else None
        self.dropped: Counter[str] = Counter()

    def __call__(self, aim: Aim, requests: Sequence[tuple[Message, ...]]) -> list[Asked]:
        """The questions of one brief's requests."""
        made = []
        for messages in requests:
            reason = self._unusable(messages)
            found = features(messages)
            if reason is None and self._seen.similar(found):
                reason = "asked before"
            if reason:
                self.dropped[reason] += 1
                continue
            self._seen.add(found)
            needed = aim.tools | {c.name for m in messages for c in m.tool_calls}
            offered = some_of(self._tools, needed, random.Random(f"{self._seed}:{messages[-1].text}"))
            question = Question(messages, offered)
            made.append(Asked(question.id, aim.brief.kind, question))
        return made

    def _unusable(self, messages: Sequence[Message]) -> str | None:
        if not messages or messages[-1].role != "user":
            return "does not end with the user"
        if not tokens(messages[-1].text):
            return "empty"
        if sum(len(m.text) for m in messages) > MAX_CHARACTERS:
            return "too long"
        if self._names and any(self._names.search(m.text) for m in messages if m.role == "user"):
            return "names a function"
        open_calls = 0
        for message in messages:
            if message.role == "tool":
                open_calls -= 1
            elif open_calls:
                return "a call without its result"
            if open_calls < 0 or (message.role == "tool" and message.name not in self._by_name):
                return "a result without its call"
            for call in message.tool_calls:
                if call.name not in self._by_name or arguments_of(call) is None:
                    return "an earlier call that cannot be made"
                open_calls += 1
        return None
