"""Three small tools, and a teacher that invents requests to them by templates and answers by reading them."""

from __future__ import annotations

import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import model
from model.prompt import dumps
from model.tokenizer import Tokenizer
from model.types import Message, Tool, ToolCall
from training.distil.ledger import Asked
from training.teacher.base import BatchError, Brief, Invention, Question, Reply, Tokens, digest

WEATHER = Tool(
    "get_weather",
    "Weather of a city.",
    {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Name of the city"},
            "days": {"type": "integer", "description": "How many days ahead"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        },
        "required": ["city"],
    },
)
TIMER = Tool(
    "set_timer",
    "Start a timer.",
    {
        "type": "object",
        "properties": {
            "minutes": {"type": "integer"},
            "label": {"type": "string"},
            "sound": {"type": "string", "default": "bell"},
        },
        "required": ["minutes"],
    },
)
MESSAGE = Tool(
    "send_message",
    "Send a text message.",
    {
        "type": "object",
        "properties": {"to": {"type": "string"}, "text": {"type": "string"}},
        "required": ["to", "text"],
    },
)
TOOLS = (WEATHER, TIMER, MESSAGE)
CITIES = "Oslo Rome Paris Lima Quito Cairo Delhi Seoul Tokyo Turin Lyon Porto Gent Bern Graz Riga Kiel Bonn".split()
WORDS = "red blue green apple stone river cloud table paper window garden silver copper wooden little quiet".split()


def price(tokens: Tokens) -> float:
    """A dollar for a million tokens in, four for those out."""
    return (tokens.input + 4 * tokens.output) / 1e6


@cache
def tokenizer() -> Tokenizer:
    """The shipped model's."""
    return Tokenizer.load(Path(model.__file__).parent / "artifact" / "tokenizer.json")


def user(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


def call(name: str, **arguments: object) -> ToolCall:
    return ToolCall(name, dumps(arguments))


def asked(text: str, kind: str = "call", tools: tuple[Tool, ...] = TOOLS) -> Asked:
    question = Question(user(text), tools)
    return Asked(question.id, kind, question)


def reply(*calls: ToolCall, **fields: object) -> Reply:
    return Reply(calls, tokens=Tokens(10, 5), **fields)  # type: ignore[arg-type]


class Toy:
    """A `Teacher`: the same inventions for the same brief, the same samples for the same call, whenever it is asked.

    All values of its calls are said. `seen` counts what was asked of it, `before` is called with a description of each
    call before it is answered, `unsure` is the share of the questions to which it gives two different answers.
    """

    name = "toy"

    def __init__(self, unsure: float = 0.25, before: Callable[[str], None] | None = None, seconds: float = 0.0) -> None:
        self.unsure, self.before, self.seconds = unsure, before, seconds
        self.seen: Counter[str] = Counter()
        self.dollars = 0.0
        self.running = self.most_running = 0
        self._lock = threading.Lock()

    def invent(self, brief: Brief, tools: Sequence[Tool]) -> Invention:
        self._enter(f"invent {brief.id}")
        rng = random.Random(brief.id)
        aim = re.search(r"call of (\w+)|close to (\w+)|want (\w+)", brief.text)
        name = next(filter(None, aim.groups())) if aim else ""
        requests = tuple(_conversation(brief.kind, name, rng) for _ in range(brief.count))
        return self._paid(Invention(requests, Tokens(len(brief.text) // 4, 40 * brief.count)))

    def answer(self, question: Question, samples: int) -> list[Reply]:
        self._enter(f"answer {question.id} {samples}")
        replies = self.replies(question, samples)
        self._paid(Invention((), sum((r.tokens for r in replies), Tokens())))
        return replies

    def replies(self, question: Question, samples: int) -> list[Reply]:
        unsure = random.Random(question.id).random() < self.unsure
        rng = random.Random(digest([question.id, samples]))
        said = question.messages[-1].text
        calls = _read(said)
        declared = dumps([[t.name, t.description, t.parameters] for t in question.tools])
        tokens = Tokens(50 + (len(declared) + sum(len(m.text) for m in question.messages)) // 4, 30)
        made = []
        for _ in range(samples):
            other = calls[:-1] if calls else (call("get_weather", city=said.split()[-1]),)
            made.append(Reply(other if unsure and rng.random() < 0.4 else calls, tokens=tokens))
        return made

    def _enter(self, what: str) -> None:
        with self._lock:
            self.seen[what] += 1
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        try:
            if self.before:
                self.before(what)
            time.sleep(self.seconds)
        finally:
            with self._lock:
                self.running -= 1

    def _paid(self, invention: Invention) -> Invention:
        with self._lock:
            self.dollars += price(invention.tokens)
        return invention


class BatchToy(Toy):
    """A `BatchTeacher`: a job is done at its second look. `fail` says which questions fail, `broken` which labels."""

    def __init__(self, **fields: object) -> None:
        super().__init__(**fields)  # type: ignore[arg-type]
        self.jobs: dict[str, tuple[list[Question], int]] = {}
        self.looks: Counter[str] = Counter()
        self.fail: Callable[[Question], bool] = lambda question: False
        self.broken: set[str] = set()

    def split_batch(self, questions: Sequence[Question], samples: int) -> list[list[Question]]:
        return [list(questions[i : i + 30]) for i in range(0, len(questions), 30)]

    def submit_batch(self, questions: Sequence[Question], samples: int, label: str) -> str:
        name = f"jobs/{label}"
        if name not in self.jobs:
            self._enter(f"submit {label}")
            self.jobs[name] = (list(questions), samples)
        assert self.jobs[name] == (list(questions), samples)
        return name

    def collect_batch(self, name: str, questions: Sequence[Question]) -> list[list[Reply]] | None:
        self.looks[name] += 1
        if name.removeprefix("jobs/") in self.broken:
            raise BatchError(f"The batch {name} ended without answers: expired.")
        if self.looks[name] < 2:
            return None
        samples = self.jobs[name][1]
        found = [[] if self.fail(q) else self.replies(q, samples) for q in questions]
        if self.looks[name] == 2:
            self._paid(Invention((), sum((r.tokens for replies in found for r in replies), Tokens())))
        return found


def _conversation(kind: str, name: str, rng: random.Random) -> tuple[Message, ...]:
    if kind in ("irrelevant", "near_miss", "missing"):
        return user(f"tell me about {rng.choice(WORDS)} {rng.choice(WORDS)} and {rng.choice(WORDS)}")
    text = _request(name, rng)
    if kind == "several":
        return user(f"{text}; then {_request('set_timer', rng)}")
    if kind == "follow_up":
        minutes = rng.randint(2, 90)
        earlier = (
            Message("user", f"a timer for {minutes} minutes"),
            Message("assistant", "", (call("set_timer", minutes=minutes),)),
            Message("tool", '{"started":true}', name="set_timer"),
        )
        return (*earlier, Message("user", text))
    return user(text)


def _request(name: str, rng: random.Random) -> str:
    if name == "get_weather":
        return f"{rng.choice(('weather in', 'how is it in'))} {rng.choice(CITIES)} for {rng.randint(2, 30)} days"
    if name == "send_message":
        return f"tell {rng.choice(CITIES)} that {' '.join(rng.choices(WORDS, k=4))}"
    return f"a timer for {rng.randint(2, 90)} minutes called {rng.choice(WORDS)}"


def _read(text: str) -> tuple[ToolCall, ...]:
    calls = []
    for part in text.split("; then "):
        if match := re.search(r"in (\w+) for (\d+) days", part):
            calls.append(call("get_weather", city=match[1], days=int(match[2])))
        if match := re.search(r"tell (\w+) that (.+)", part):
            calls.append(call("send_message", to=match[1], text=match[2]))
        if match := re.search(r"timer for (\d+) minutes called (\w+)", part):
            calls.append(call("set_timer", label=match[2], minutes=int(match[1])))
    return tuple(calls)
