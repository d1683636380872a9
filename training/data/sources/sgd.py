"""Schema-Guided Dialogue: task dialogues over typed service schemas, with SGD-X's five rewordings of every schema.

Format: `schema.json`, a list of services {service_name, slots, intents}; `dialogues.jsonl`, one dialogue per line
{dialogue_id, services, turns: [{speaker, utterance, frames: [{service, actions, slots, state, service_call}]}]}.

Three kinds of example, all with the intents of the dialogue's services as tools:
- single turn: a user turn that states an intent, answered by that intent with the slots said in the turn;
- multi turn: the conversation up to a system turn that made a service call, answered by that call;
- closing: a user turn that only thanks or takes leave, answered by no call.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from model.types import Message, Tool
from training.data.example import Call, Example
from training.data.sources.accept import accept
from training.data.sources.grounding import locate
from training.data.sources.naming import Style, restyle
from training.data.sources.reading import read_json, read_lines

SEED = 0
REWORDED_SHARE = 0.7
CLOSING_SHARE = 0.3
MAX_TURNS = 8
MAX_CHARACTERS = 900
_STYLES: tuple[Style, ...] = ("pascal", "snake", "camel")
_CLOSING_ACTS = {"THANK_YOU", "GOODBYE", "NEGATE"}
SlotKind = Literal["string", "enum", "integer", "boolean"]


def load(root: Path | None = None) -> Iterator[Example]:
    yield from accept(_examples(root), root)


@dataclass(frozen=True)
class _Slot:
    """A slot in one wording: its parameter name, and the upstream -> reworded mapping of categorical values."""

    name: str
    kind: SlotKind
    values: dict[str, str]


@dataclass(frozen=True)
class _Intent:
    """An intent in one wording and style. `strict` requires what upstream requires, `lenient` requires nothing."""

    strict: Tool
    lenient: Tool
    slots: dict[str, _Slot]


class _Schemas:
    """A split's schema in all its wordings, as tools made on demand."""

    def __init__(self, wordings: Sequence[Sequence[dict[str, Any]]]) -> None:
        original = wordings[0]
        self._services = [
            {service["service_name"]: (service, reworded) for service, reworded in zip(original, wording, strict=True)}
            for wording in wordings
        ]
        # A method-level cache would outlive the split's schema; one per instance does not.
        self.intents = cache(self._intents)

    def _intents(self, service_name: str, wording: int, style: Style) -> dict[str, _Intent]:
        """The service's intents by their upstream name."""
        service, reworded = self._services[wording][service_name]
        names = {a["name"]: b for a, b in zip(service["slots"], reworded["slots"], strict=True)}
        intents = {}
        for intent, new in zip(service["intents"], reworded["intents"], strict=True):
            properties, slots = {}, {}
            defaults = {
                a: new["optional_slots"][b]
                for a, b in zip(intent["optional_slots"], new["optional_slots"], strict=True)
            }
            for slot in service["slots"]:
                if slot["name"] in intent["required_slots"] or slot["name"] in defaults:
                    made, schema = _slot(slot, names[slot["name"]], style)
                    default = _typed(made, defaults.get(slot["name"], "dontcare"))
                    slots[slot["name"]] = made
                    properties[made.name] = schema if default is None else {**schema, "default": default}
            required = [slots[name].name for name in intent["required_slots"]]
            tools = [
                Tool(
                    restyle(new["name"], style),
                    new["description"],
                    {"type": "object", "properties": properties, "required": needed},
                )
                for needed in (required, [])
            ]
            intents[intent["name"]] = _Intent(tools[0], tools[1], slots)
        return intents


def _slot(slot: dict[str, Any], reworded: dict[str, Any], style: Style) -> tuple[_Slot, dict[str, Any]]:
    # Services in PascalCase keep snake_case parameters upstream; camelCase APIs use it for parameters, too.
    name = restyle(reworded["name"], "camel" if style == "camel" else "snake")
    schema: dict[str, Any] = {"type": "string", "description": reworded["description"]}
    values = (
        dict(zip(slot["possible_values"], reworded["possible_values"], strict=True)) if slot["is_categorical"] else {}
    )
    kind: SlotKind = "string"
    if set(values) == {"True", "False"}:
        kind = schema["type"] = "boolean"
    elif values and all(value.isdigit() for value in values):
        kind = schema["type"] = "integer"
    elif values:
        kind = "enum"
        schema["enum"] = list(values.values())
    return _Slot(name, kind, values), schema


def _typed(slot: _Slot, value: str) -> Any:
    """`value` in the slot's type; None for a value the type does not have ("dontcare")."""
    if slot.kind == "string":
        return None if value == "dontcare" else value
    if value not in slot.values:
        return None
    if slot.kind == "boolean":
        return value == "True"
    return int(value) if slot.kind == "integer" else slot.values[value]


def _examples(root: Path | None) -> Iterator[Example]:
    for split in ("train", "dev"):
        wordings = [read_json(f"sgd/{split}/schema.json", root)]
        wordings += [read_json(f"sgd/sgd_x/data/v{n}/{split}/schema.json.gz", root) for n in range(1, 6)]
        schemas = _Schemas(wordings)
        for dialogue in read_lines(f"sgd/{split}/dialogues.jsonl.gz", root):
            yield from _dialogue(dialogue, schemas, random.Random(f"{SEED}:{split}:{dialogue['dialogue_id']}"))


def _dialogue(dialogue: dict[str, Any], schemas: _Schemas, rng: random.Random) -> Iterator[Example]:
    wording = rng.randint(1, 5) if rng.random() < REWORDED_SHARE else 0
    style = rng.choice(_STYLES)
    services = {name: schemas.intents(name, wording, style) for name in dialogue["services"]}
    turns = dialogue["turns"]
    keep_closing = rng.random() < CLOSING_SHARE
    for i, turn in enumerate(turns):
        if turn["speaker"] == "USER":
            yield from _single_turn(turn, services)
            if keep_closing and _acts(turn) <= _CLOSING_ACTS and _acts(turn) & {"THANK_YOU", "GOODBYE"}:
                tools = _tools(services, lenient=False)
                start = rng.choice((i, max(0, i - 2)))
                yield Example("sgd", _group(dialogue["services"][0]), _messages(turns[start : i + 1]), tools, ())
        else:
            yield from _multi_turn(turns[:i], turn, services)


def _single_turn(turn: dict[str, Any], services: dict[str, dict[str, _Intent]]) -> Iterator[Example]:
    frames = [frame for frame in turn["frames"] if "INFORM_INTENT" in {action["act"] for action in frame["actions"]}]
    stated = [(frame["service"], frame["state"]["active_intent"]) for frame in frames]
    if not frames or any(intent not in services[service] for service, intent in stated):
        return
    calls, lenient = [], False
    for frame, (service, name) in zip(frames, stated, strict=True):
        intent = services[service][name]
        slot_values = frame["state"]["slot_values"]
        arguments = _arguments(intent, {slot: slot_values[slot] for slot in slot_values}, [turn])
        # A first wish rarely says all that the service requires; then the same tool is offered with nothing required.
        lenient = lenient or not set(intent.strict.parameters["required"]) <= arguments.keys()
        calls.append(Call(intent.strict.name, arguments))
    if lenient and not any(call.arguments for call in calls):
        return
    tools = _tools(services, lenient)
    yield Example("sgd", _group(stated[0][0]), _messages([turn]), tools, tuple(calls))


def _multi_turn(
    history: list[dict[str, Any]], system: dict[str, Any], services: dict[str, dict[str, _Intent]]
) -> Iterator[Example]:
    called = [(frame["service"], frame["service_call"]) for frame in system["frames"] if "service_call" in frame]
    if not called:
        return
    visible = _recent(history)
    calls = []
    for service, call in called:
        if call["method"] not in services[service]:
            return
        surface = [
            frame for turn in visible for frame in turn["frames"] if frame["service"] == service and "state" in frame
        ]
        forms = surface[-1]["state"]["slot_values"] if surface else {}
        values = {slot: [*forms.get(slot, []), value] for slot, value in call["parameters"].items()}
        intent = services[service][call["method"]]
        calls.append(Call(intent.strict.name, _arguments(intent, values, visible)))
    yield Example("sgd", _group(called[0][0]), _messages(visible), _tools(services, lenient=False), tuple(calls))


def _arguments(intent: _Intent, values: dict[str, list[str]], turns: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The values that the turns support. A value is given in all its known forms; the one in the text is taken."""
    # Users' own words before the system's; the latest turn before earlier ones.
    texts = [
        turn["utterance"] for speaker in ("USER", "SYSTEM") for turn in reversed(turns) if turn["speaker"] == speaker
    ]
    # What a categorical value sounds like ("cheap", "just me") is known from the annotated acts only.
    informed = {
        (action["slot"], value)
        for turn in turns
        for frame in turn["frames"]
        for action in frame["actions"]
        for value in (*action["values"], *action["canonical_values"])
        if action["act"] in ("INFORM", "CONFIRM", "SELECT", "OFFER")
    }
    arguments = {}
    for name, forms in values.items():
        if name not in intent.slots:
            continue
        slot = intent.slots[name]
        if slot.kind == "string":
            found = [locate(form, text) for text in texts for form in forms if form != "dontcare"]
            value = next(filter(None, found), None)
        else:
            value = _typed(slot, forms[-1]) if (name, forms[-1]) in informed else None
        if value is not None:
            arguments[slot.name] = value
    return arguments


def _recent(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last turns, from a user turn on, within the limits."""
    start, characters = len(history), 0
    for i in range(len(history) - 1, max(-1, len(history) - 1 - MAX_TURNS), -1):
        characters += len(history[i]["utterance"])
        if characters > MAX_CHARACTERS and start < len(history):
            break
        if history[i]["speaker"] == "USER":
            start = i
    return history[start:]


def _messages(turns: Sequence[dict[str, Any]]) -> tuple[Message, ...]:
    return tuple(Message("user" if turn["speaker"] == "USER" else "assistant", turn["utterance"]) for turn in turns)


def _tools(services: dict[str, dict[str, _Intent]], lenient: bool) -> tuple[Tool, ...]:
    intents = [intent for service in services.values() for intent in service.values()]
    return tuple(intent.lenient if lenient else intent.strict for intent in intents)


def _acts(turn: dict[str, Any]) -> set[str]:
    return {action["act"] for frame in turn["frames"] for action in frame["actions"]}


def _group(service: str) -> str:
    return f"sgd:{service.rsplit('_', 1)[0]}"
