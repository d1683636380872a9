"""A brain for `gemini_server` that teaches a few tools: it makes up requests from templates, and understands them.

It answers like a decent model: mostly right, at times wrong, blocked, malformed or empty, and with every integer as a
float. What it draws depends on the seed, the text and how often it was asked about it, on no order of threads.

    with gemini_server(ToyTeacher(seed=1, wrong=0.05)) as server: ...
"""

from __future__ import annotations

import json
import random
import re
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model.types import Tool
from tests.training.gemini_server import JSON, call, candidate, prompt_blocked, response, text

Values = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Skill:
    """A tool, sentences that call it, what may stand in their slots, and sentences that nearly call it."""

    tool: Tool
    templates: tuple[str, ...]
    values: Values
    vague: tuple[str, ...]  # want the tool, and leave out what it needs
    near: tuple[str, ...]  # of its topic, and nothing that it does


def _tool(name: str, description: str, required: Sequence[str], **properties: JSON) -> Tool:
    return Tool(name, description, {"type": "object", "properties": properties, "required": list(required)})


_CITIES = (
    "Lisbon Oslo Nairobi Quito Hanoi Perth Lyon Gdansk Fukuoka Bergen Porto Malmo Tartu Cusco Dakar Izmir Basel Turin "
    "Ghent Aarhus Kyoto Bogota Leeds Cork Split Varna Jaipur Utrecht Calgary Tampere"
).split()
_PEOPLE = "Anna Bruno Chidi Dilek Emil Fatima Goran Hana Igor Jonas Keiko Lena Mateo Nadia Otto Priya Rosa Sven".split()
_ARTISTS = (
    "Nina Simone,Radiohead,Miriam Makeba,Daft Punk,Björk,Johnny Cash,Fela Kuti,Massive Attack,Edith Piaf,Cesária Évora,"
    "The Clash,Herbie Hancock,Ravi Shankar,Portishead,Buena Vista Social Club,Tom Waits"
).split(",")
_THINGS = "oat milk,rice,blue paint,batteries,olive oil,a doormat,printer paper,lemons,soap,dog food,nails,tea".split(
    ","
)
_SAYINGS = (
    "I am running late,dinner is ready,the train is cancelled,happy birthday,call me back,the keys are under the mat,"
    "see you at the station,the meeting moved to noon,thanks for yesterday,do not wait for me"
).split(",")

SKILLS = (
    Skill(
        _tool(
            "get_weather",
            "Weather forecast of a city.",
            ["city"],
            city={"type": "string", "description": "City."},
            days={"type": "integer", "minimum": 1, "maximum": 14, "description": "Days ahead."},
        ),
        (
            "what's the weather in {city}",
            "will it rain in {city} in the next {days} days",
            "forecast for {city} please",
            "how warm does it get in {city} over {days} days",
            "do I need an umbrella in {city}",
            "{city} weather, {days} days",
        ),
        {"city": _CITIES, "days": range(2, 15)},
        vague=("what will the weather be like", "forecast for the next {days} days please", "do I need an umbrella"),
        near=("why does it rain so much in {city}", "how big is {city}", "it was cold in {city} for {days} days"),
    ),
    Skill(
        _tool(
            "set_timer",
            "Start a kitchen timer.",
            ["minutes"],
            minutes={"type": "integer", "minimum": 1, "description": "Minutes."},
            label={"type": "string", "description": "What it is for."},
        ),
        (
            "set a timer for {minutes} minutes",
            "wake me in {minutes} minutes",
            "{minutes} minute timer for {label}",
            "start a timer called {label}, {minutes} minutes",
            "remind me of the {label} in {minutes} minutes",
        ),
        {"minutes": range(2, 180), "label": "eggs pasta bread laundry tea pizza roast rice nap cake".split()},
        vague=("set a timer", "start a timer called {label}", "remind me of the {label} later"),
        near=("how long do {label} take", "stop the {label} timer", "the {label} took {minutes} minutes"),
    ),
    Skill(
        _tool(
            "play_music",
            "Play an artist's songs.",
            ["artist"],
            artist={"type": "string", "description": "Artist or band."},
            volume={"enum": [10, 25, 50, 75, 100], "description": "Per cent."},
        ),
        (
            "play {artist}",
            "put on some {artist}",
            "play {artist} at {volume} percent",
            "I feel like {artist}, volume {volume}",
            "can we listen to {artist}",
        ),
        {"artist": _ARTISTS, "volume": [10, 25, 50, 75, 100]},
        vague=("play something", "put on some music at {volume} percent", "can we listen to a song"),
        near=("when was {artist} founded", "who sings in {artist}", "I saw {artist} last year"),
    ),
    Skill(
        _tool(
            "send_message",
            "Send a text message to a contact.",
            ["recipient", "text"],
            recipient={"type": "string", "description": "Name of the contact."},
            text={"type": "string", "description": "What to say."},
        ),
        (
            "text {recipient}: {text}",
            "tell {recipient} that {text}",
            "send {recipient} a message saying {text}",
            "message {recipient} with {text}",
        ),
        {"recipient": _PEOPLE, "text": _SAYINGS},
        vague=("send a message to {recipient}", "text {recipient}", "tell someone that {text}"),
        near=("has {recipient} written to me", "what is the number of {recipient}", "I told {recipient} yesterday"),
    ),
    Skill(
        _tool(
            "add_to_list",
            "Put an item on a shopping list.",
            ["item"],
            item={"type": "string", "description": "What to buy."},
            quantity={"type": "integer", "minimum": 1, "description": "How many."},
        ),
        (
            "add {item} to the shopping list",
            "we are out of {item}",
            "put {quantity} times {item} on my list",
            "I need to buy {item}, {quantity} of it",
        ),
        {"item": _THINGS, "quantity": range(2, 25)},
        vague=("put something on the shopping list", "I need to buy {quantity} of something", "we are out of it"),
        near=("how much is {item} these days", "is {item} on my list", "we bought {quantity} times {item}"),
    ),
)
TOOLS = tuple(skill.tool for skill in SKILLS)

_SMALL_TALK = (
    "tell me a joke,who wrote Middlemarch,what is nine times seven,you are very slow today,good morning,how do I tie a "
    "bow tie,write a poem about rain,what is the capital of Peru,I am bored,do you dream,how old is the universe"
).split(",")
# What in one of `training.distil.briefs` shows of which kind it is; anything else is about plain calls.
_KINDS = {
    "follow_up": r"Write \d+ conversations",
    "several": "two things in one breath",
    "missing": "but leave out something",
    "near_miss": "careless reader would call it",
    "irrelevant": "nothing to do with any of its functions",
}


class ToyTeacher:
    """Shares of its answers are `wrong` (another value), `blocked`, `malformed` and `empty`. Thread-safe."""

    def __init__(
        self,
        skills: Sequence[Skill] = SKILLS,
        *,
        seed: int = 0,
        wrong: float = 0.0,
        blocked: float = 0.0,
        malformed: float = 0.0,
        empty: float = 0.0,
    ) -> None:
        self.skills = {skill.tool.name: skill for skill in skills}
        self.shares = {"wrong": wrong, "blocked": blocked, "malformed": malformed, "empty": empty}
        self.seed = seed
        self._asked: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, body: JSON) -> JSON:
        config = body["generationConfig"]
        said = body["contents"][-1]["parts"][0].get("text", "")
        if config.get("responseMimeType") == "application/json":
            return self._invent(said, self._rng(said))
        samples = config.get("candidateCount", 1)
        candidates = [self._answer(body, said, self._rng(said)) for _ in range(samples)]
        return response(*candidates)

    def _rng(self, said: str) -> random.Random:
        with self._lock:
            self._asked[said] += 1
            return random.Random(f"{self.seed}|{said}|{self._asked[said]}")

    # Making up requests

    def _invent(self, brief: str, rng: random.Random) -> JSON:
        if self._odd(rng) in ("blocked", "malformed", "empty"):
            return rng.choice([prompt_blocked(), response(candidate(text("[{"))), response()])
        named = re.findall(r'"name":\s*"([^"]+)"', brief)
        about = [self.skills[name] for name in named if name in self.skills] or list(self.skills.values())
        kind = next((kind for kind, sign in _KINDS.items() if re.search(sign, brief)), "call")
        count = re.search(r"Write (\d+)", brief)
        requests = [self._request(kind, about, rng) for _ in range(int(count.group(1)) if count else 8)]
        return response(candidate(text(json.dumps(requests))))

    def _request(self, kind: str, about: Sequence[Skill], rng: random.Random) -> JSON:
        first, other = about[0], about[-1]
        match kind:
            case "irrelevant":
                return {"text": rng.choice(_SMALL_TALK)}
            case "near_miss":
                return {"text": self._filled(rng.choice(first.near), first, rng)[0]}
            case "missing":
                return {"text": self._filled(rng.choice(first.vague), first, rng)[0]}
            case "several":
                said = [self._filled(rng.choice(skill.templates), skill, rng)[0] for skill in (first, other)]
                return {"text": rng.choice([" and then ", ", and "]).join(said)}
        words, _ = self._filled(rng.choice(first.templates), first, rng)
        if kind != "follow_up":
            return {"text": words}
        before, args = self._filled(rng.choice(other.templates), other, rng)
        earlier = [
            {"role": "user", "text": before},
            {"role": "assistant", "calls": [{"name": other.tool.name, "arguments": json.dumps(args)}]},
            {"role": "tool", "name": other.tool.name, "text": '{"ok": true}'},
        ]
        return {"earlier": earlier, "text": words}

    def _filled(self, template: str, skill: Skill, rng: random.Random) -> tuple[str, JSON]:
        """A template's text, with the values in it."""
        args = {name: rng.choice(skill.values[name]) for name in re.findall(r"\{(\w+)\}", template)}
        return template.format(**args), args

    # Answering

    def _answer(self, body: JSON, said: str, rng: random.Random) -> JSON:
        odd = self._odd(rng)
        logprob = None
        if body["generationConfig"].get("responseLogprobs"):
            logprob = -0.9 * rng.random() if odd == "wrong" else -0.1 * rng.random()
        match odd:
            case "blocked":
                return candidate(finish="SAFETY")
            case "malformed":
                return candidate(finish="MALFORMED_FUNCTION_CALL")
            case "empty":
                return candidate()
        declared = {f["name"] for tool in body.get("tools", ()) for f in tool["functionDeclarations"]}
        skills = [self.skills[name] for name in self.skills if name in declared]
        calls = self._understood(said, skills)
        forced = body.get("toolConfig", {}).get("functionCallingConfig", {}).get("mode") == "ANY"
        if not calls and forced:
            calls = [(skills[0], self._filled("".join(f"{{{n}}}" for n in skills[0].values), skills[0], rng)[1])]
        if not calls:
            return candidate(text("I can't help with that, or need to know more."), logprob=logprob)
        if odd == "wrong":
            skill, args = calls[-1]
            name = rng.choice(list(args))
            calls[-1] = (skill, {**args, name: rng.choice([v for v in skill.values[name] if v != args[name]])})
        return candidate(*(call(s.tool.name, **_floats(args)) for s, args in calls), logprob=logprob)

    def _understood(self, said: str, skills: Sequence[Skill]) -> list[tuple[Skill, JSON]]:
        """The calls that a request wants: all of it, or all of the parts that it is joined of; none otherwise."""
        whole = _matched(said, skills)
        if whole:
            return [whole]
        parts = [_matched(part, skills) for part in re.split(r" and then |, and ", said)]
        return [part for part in parts if part] if len(parts) > 1 and all(parts) else []

    def _odd(self, rng: random.Random) -> str | None:
        drawn = rng.random()
        for kind, share in self.shares.items():
            drawn -= share
            if drawn < 0:
                return kind
        return None


def _matched(said: str, skills: Sequence[Skill]) -> tuple[Skill, JSON] | None:
    """The skill one of whose templates the text is made of, and the values; of the template that says most."""
    found: list[tuple[int, Skill, JSON]] = []
    for skill in skills:
        for template in skill.templates:
            pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(template))
            match = re.fullmatch(pattern, said.strip(" .!?"), re.IGNORECASE)
            values = (
                {name: _value(found_, skill.values[name]) for name, found_ in match.groupdict().items()}
                if match
                else {}
            )
            if match and None not in values.values():
                found.append((len(template), skill, values))
    return max(found, key=lambda each: each[0])[1:] if found else None


def _value(said: str, known: Sequence[Any]) -> Any:
    return next((value for value in known if str(value).lower() == said.lower()), None)


def _floats(args: JSON) -> JSON:
    return {name: float(value) if isinstance(value, int) else value for name, value in args.items()}
