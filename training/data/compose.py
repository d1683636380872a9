"""Conversations out of the library's requests: several calls, distractors, history, and ways for no call to be right.

A *visit* draws a few examples over one variant of one domain, so that they share tools; see `augment.Variant`.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from model.types import Message, Tool
from training.data.augment import Variant, make_variant
from training.data.example import Call, Example
from training.data.scenarios import draw, together
from training.data.scenarios.drawn import Draw
from training.data.scenarios.library import Domain, ScenarioTool, common_lists
from training.data.sources.naming import words
from training.data.synthesis import begins_with_value
from training.data.synthesis import compose as joined

VARIANTS = 8  # declarations of each domain, the written one among them
VISIT = 8  # examples of a visit
OFFERED = (1, 2, 3, 4, 4, 5, 6, 8, 10, 12, 15, 20)  # tools of an example; siblings come before strangers
TOO_CLOSE = 0.5  # overlap of two names' words from which one tool may serve the other's requests
SAME_AGAIN = 0.4  # share of requests behind another that are meant for the same tool; more are by chance
OPENED = 0.4  # share of requests behind another that an opener ties to it
OPENERS = ("And ", "and ", "Also, ", "Now ", "ok, now ", "Thanks. ", "Great, ", "Next: ", "then ")
SHARING_TRIES = 6  # tools that are tried until one shares its values with another
LOWER_CASE = 0.08
SYSTEM = 0.12

# What a visit's examples are, by weight; the first seven hold calls of a single turn.
KINDS: dict[str, float] = {
    "single": 50,
    "same tool twice": 5,
    "as written": 20,
    "told together": 16,
    "several tools": 12,
    "same values": 6,
    "other domain too": 4,
    "value missing": 7,
    "no such tool": 7,
    "chat": 2,
    "later turn": 6,
    "after another request": 6,
    "finished": 3,
    "chain": 4,
}

SYSTEM_PROMPTS = (
    "You are a helpful assistant.",
    "You are a helpful assistant with access to functions. Use them when they fit.",
    "You are an assistant for {about}.",
    "Answer briefly. Use the tools provided.",
    "You help customers. Today is {today}.",
    "Only call a function when the user asks for what it does.",
    "You are {name}, a friendly voice assistant.",
)


class Composer:
    """Makes examples from the library's domains. Deterministic: all randomness comes from the `rng` passed in.

    `variants` are the declarations that a domain comes in; 1 leaves the written ones. `kinds` are some of
    `KINDS`, with weights of their own.
    """

    def __init__(
        self,
        domains: Sequence[Domain],
        seed: int = 0,
        variants: int = VARIANTS,
        kinds: Mapping[str, float] | None = None,
    ) -> None:
        self.domains = list(domains)
        self.seed = seed
        self.variants = variants
        self.kinds = KINDS if kinds is None else kinds
        self._variants: dict[tuple[str, int], Variant] = {}

    @cached_property
    def _chat(self) -> Draw:
        return common_lists()["chat"]

    def visit(self, rng: random.Random, count: int = VISIT) -> Iterator[Example]:
        """`count` examples over one variant of one domain; a domain's weight is its number of tools."""
        domain = rng.choices(self.domains, [len(d.tools) for d in self.domains])[0]
        number = rng.randrange(self.variants)
        variant = self.variant(domain, number)
        for _ in range(count):
            example = self._offer(self._kind(domain, rng), domain, rng)
            yield _surface(self._reworded(example, domain, variant), domain, rng)

    def variant(self, domain: Domain, number: int) -> Variant:
        """The domain's declarations number `number`; the same whatever was drawn before."""
        key = (domain.name, number)
        if key not in self._variants:
            rng = random.Random(f"{self.seed}:{domain.name}:{number}")
            self._variants[key] = make_variant([t.tool for t in domain.tools], number, domain.name, rng)
        return self._variants[key]

    def _kind(self, domain: Domain, rng: random.Random) -> Example:
        """One example before distractors; a kind that the drawn tool has nothing for becomes a single request."""
        kind = rng.choices(list(self.kinds), list(self.kinds.values()))[0]
        tool = rng.choice(domain.tools)
        made: Example | None = None
        if kind == "same tool twice":
            made = draw.both(domain, tool, rng) or self._several(domain, [tool, tool], rng)
        elif kind == "as written" and domain.together:
            made = together.as_written(domain, rng.choice(domain.together), rng)
        elif kind in ("as written", "told together"):
            made = together.told_together(domain, tool, rng) or self._several(domain, [tool, tool], rng)
        elif kind == "several tools":
            made = self._several(
                domain, rng.sample(domain.tools, min(len(domain.tools), rng.choice((2, 2, 3, 3, 4)))), rng
            )
        elif kind == "same values":
            tools = rng.sample(domain.tools, min(SHARING_TRIES, len(domain.tools)))
            made = next(filter(None, (together.sharing(domain, t, rng) for t in tools)), None)
        elif kind == "other domain too":
            made = self._across(domain, tool, rng)
        elif kind == "value missing" and tool.missing:
            made = draw.missing(domain, tool, rng)
        elif kind == "no such tool":
            made = self._no_such_tool(domain, tool, rng)
        elif kind == "chat":
            turns = list(draw.finished(domain, tool, rng).messages) if rng.random() < 0.5 else []
            made = Example(draw.SOURCE, draw.group(domain), (*turns, Message("user", self._chat(rng).text)), (), ())
        elif kind == "later turn" and tool.then:
            made = draw.follow_up(domain, tool, rng)
        elif kind == "after another request":
            made = self._after(domain, tool, rng)
        elif kind == "finished":
            made = draw.finished(domain, tool, rng)
        elif kind == "chain" and domain.chains:
            made = draw.chain(domain, rng.choice(domain.chains), rng)
        return made or draw.single(domain, tool, rng)

    def _several(self, domain: Domain, tools: Sequence[ScenarioTool], rng: random.Random) -> Example | None:
        examples = [draw.single(domain, tool, rng) for tool in tools]
        calls = [c for e in examples for c in e.calls]
        return joined(examples, rng) if len({str(c) for c in calls}) == len(calls) else None

    def _across(self, domain: Domain, tool: ScenarioTool, rng: random.Random) -> Example | None:
        other = rng.choice(self.domains)
        second = rng.choice(other.tools)
        if other is domain or second.tool.name in {t.tool.name for t in domain.tools}:
            return None
        examples = [draw.single(domain, tool, rng), draw.single(other, second, rng)]
        return joined(examples if rng.random() < 0.5 else examples[::-1], rng)

    def _no_such_tool(self, domain: Domain, tool: ScenarioTool, rng: random.Random) -> Example | None:
        """A request of the domain for which none of the other tools, those of near names left out, is right."""
        siblings = [t.tool for t in domain.tools if _overlap(t.tool.name, tool.tool.name) < TOO_CLOSE]
        if not siblings:
            return None
        offered = rng.sample(siblings, min(len(siblings), rng.choice((1, 2, 3, 5))))
        return replace(draw.single(domain, tool, rng), tools=tuple(offered), calls=())

    def _after(self, domain: Domain, tool: ScenarioTool, rng: random.Random) -> Example | None:
        """A request behind another that is done: for another tool or, with values of its own, for the same one."""
        first = tool if rng.random() < SAME_AGAIN else rng.choice(domain.tools)
        turns = draw.replied(first, rng)
        example = draw.single(domain, tool, rng)
        [before] = [c for m in turns for c in m.tool_calls]
        [call] = example.calls
        said = json.loads(before.arguments)
        # What was done is not asked for again, and what says less than before reads as if it took the rest from there.
        if call.name == before.name and (call.arguments == said or not call.arguments.keys() >= said.keys()):
            return None
        [request] = example.messages
        if rng.random() < OPENED and not begins_with_value(example):
            text = request.text[:1].lower() + request.text[1:] if request.text[1:2].islower() else request.text
            request = replace(request, text=rng.choice(OPENERS) + text)
        tools = {t.name: t for t in (*example.tools, first.tool)}
        return replace(example, messages=(*turns, request), tools=tuple(tools.values()))

    def _offer(self, example: Example, domain: Domain, rng: random.Random) -> Example:
        """`example` with distractors: siblings first, then tools of other domains."""
        wanted = rng.choice(OFFERED)
        tools = {t.name: t for t in example.tools}
        # Where no call is right, siblings could be (a request without its tool) or add nothing (a value is missing).
        closed = not example.calls and example.messages[-1].role == "user" and tools
        if not closed:
            for sibling in rng.sample(domain.tools, len(domain.tools)):
                if len(tools) < wanted:
                    tools.setdefault(sibling.tool.name, sibling.tool)
        while len(tools) < wanted and len(self.domains) > 1:
            stranger = rng.choice(rng.choice(self.domains).tools).tool
            if stranger.name not in {t.tool.name for t in domain.tools}:
                tools.setdefault(stranger.name, stranger)
            else:
                wanted -= 1
        return replace(example, tools=tuple(tools.values()))

    def _reworded(self, example: Example, domain: Domain, variant: Variant) -> Example:
        """`example` over the variant's tools; tools of other domains in those domains' variant of the same number."""
        renamed = dict(variant.renamed)
        for tool in example.tools:
            if tool.name not in renamed:
                home = self._home(tool)
                new = self.variant(home, variant.number).renamed[tool.name]
                if new.tool.name not in {r.tool.name for r in renamed.values()}:
                    renamed[tool.name] = new
        kept = tuple(t for t in example.tools if t.name in renamed)
        declared = Variant(variant.number, renamed)
        if any(c.name not in renamed for c in example.calls) or not declared.fits(example):
            return example
        return declared.rewrite(replace(example, tools=kept))

    @cached_property
    def _homes(self) -> dict[int, Domain]:
        return {id(t.tool): d for d in self.domains for t in d.tools}

    def _home(self, tool: Tool) -> Domain:
        return self._homes[id(tool)]


def _surface(example: Example, domain: Domain, rng: random.Random) -> Example:
    """What happens to any text on its way: no capitals, no full stop, a greeting, a system prompt before it."""
    messages = list(example.messages)
    last = messages[-1]
    first = len(messages) == 1  # nobody says hello in the middle
    calls = example.calls
    if last.role == "user" and rng.random() < LOWER_CASE and len(messages) == 1:
        messages[-1] = replace(last, text=last.text.lower())
        calls = tuple(_lower_cased(c, last.text, example.tools) for c in calls)
    elif last.role == "user" and rng.random() < 0.25 and not begins_with_value(example):
        change: Callable[[str], str] = rng.choice(
            (
                lambda text: text.rstrip("."),
                lambda text: text[:1].lower() + text[1:] if text[1:2].islower() else text,
                lambda text: (
                    f"{rng.choice(('Hi! ', 'Hello, ', 'Hey, ', 'ok ', 'Hi there. '))}{text}" if first else text
                ),
                lambda text: (
                    f"{text}{rng.choice((' Thanks!', ' Thank you.', ' Cheers', ' :)'))}" if text[-1] in ".?!" else text
                ),
            )
        )
        messages[-1] = replace(last, text=change(last.text))
    if rng.random() < SYSTEM:
        day = common_lists()["today"](rng).text
        prompt = rng.choice(SYSTEM_PROMPTS)
        about = domain.about[:1].lower() + domain.about[1:]
        text = prompt.format(about=about, today=day, name=rng.choice(("Robin", "Ava", "Max", "Juno", "Kit")))
        messages.insert(0, Message("system", text))
    return replace(example, messages=tuple(messages), calls=calls)


def _lower_cased(call: Call, text: str, tools: Sequence[Tool]) -> Call:
    """The call's free texts as the lower-cased request has them; members of an enum stay."""
    schema = next(t.parameters for t in tools if t.name == call.name)

    def lower(value: object, declared: object) -> object:
        inner = declared if isinstance(declared, dict) else {}
        if isinstance(value, dict):
            return {name: lower(v, (inner.get("properties") or {}).get(name)) for name, v in value.items()}
        if isinstance(value, list):
            return [lower(v, inner.get("items")) for v in value]
        if not isinstance(value, str) or value not in text or {"enum", "const", "pattern", "format"} & inner.keys():
            return value
        # A member of an enum that is told in prose stays, and so does an ISO date with its T.
        told = value in str(inner.get("description", "")) or re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]+", value)
        return value if told else value.lower()

    arguments = {n: lower(v, schema["properties"].get(n)) for n, v in call.arguments.items()}
    return Call(call.name, arguments)


def _overlap(one: str, other: str) -> float:
    a, b = set(words(one)), set(words(other))
    return len(a & b) / max(1, min(len(a), len(b)))
