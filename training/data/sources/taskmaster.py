"""Taskmaster-4: ordering at a coffee bar, with the API calls behind the talk and their results.

Format: JSON lines {utterances: [{speaker: user|assistant, text, annotations}]}. What a user turn sets off is in its
annotations, in order: api_call (name), request (JSON; some calls have none), api_response (name), response (JSON).

A dialogue becomes a conversation in which a call is an assistant turn and its result a tool turn. Every step of it is
an example: history -> call, and history -> no call where the assistant speaks. The tools are written by hand after the
annotations. A dialogue is left at the first call with an argument that neither the user nor an earlier result states
(workers mistyped ids and forgot results), or that shows the menu where one drink is asked for, since what follows
rests on it. The dialogues come from few templates, so at most CAP examples of each call, and of speaking after each
kind of turn, are kept.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from model.prompt import calls_text, dumps
from model.types import Message, Tool, ToolCall
from training.data.example import Call, Example
from training.data.sources.accept import accept
from training.data.sources.grounding import locate, mentions, tokens
from training.data.sources.reading import read_lines

FILE = "taskmaster/TM-4-2024/dialogs.jsonl.gz"
SEED = 0
CAP = 250
MAX_SIBLINGS = 3
MAX_CHARACTERS = 330  # some 160 tokens: ids and JSON take many
_ABOUT_THE_MENU = re.compile(r"\b(what|which|menu|kinds?|types?|sorts?|options?|selection|list)\b", re.IGNORECASE)


def _tool(name: str, description: str, required: tuple[str, ...], **properties: dict[str, Any]) -> Tool:
    return Tool(name, description, {"type": "object", "properties": properties, "required": list(required)})


def _choices(of: str, key: str) -> dict[str, Any]:
    items = {"type": "object", "properties": {key: {"type": "string"}, "option": {"type": "string"}}}
    return {"type": "array", "items": {**items, "required": [key, "option"]}, "description": of}


_ORDER = {"type": "string", "description": "Id of the order."}
_ITEM = {"type": "string", "description": "Id of the menu item."}
_ATTRIBUTES = _choices("Choices such as milk or size.", "attribute_id")
_ADDONS = _choices("Extras.", "addon_id")
TOOLS = {
    tool.name: tool
    for tool in (
        _tool("show_menu", "Show the customer the menu of the coffee bar.", ()),
        _tool(
            "get_menu_items",
            "Search the menu for a drink.",
            ("query",),
            query={"type": "string", "description": "Name of the drink."},
        ),
        _tool(
            "get_addons",
            "Find out which choices and extras there are for a drink or an order.",
            ("queries",),
            queries={"type": "array", "items": {"type": "string"}, "description": "Choices or extras asked for."},
            menu_item_id=_ITEM,
        ),
        _tool(
            "add_order_item",
            "Add a drink to an order; without an order, start one.",
            ("menu_item_id",),
            order_id=_ORDER,
            menu_item_id=_ITEM,
            quantity={"type": "integer", "description": "How many.", "default": 1},
            attributes=_ATTRIBUTES,
            addons=_ADDONS,
        ),
        _tool(
            "update_order_item",
            "Change a drink that is in the order.",
            ("order_item_id",),
            order_item_id={"type": "string", "description": "Id of the drink in the order."},
            attributes=_ATTRIBUTES,
            addons=_ADDONS,
        ),
        _tool(
            "update_order",
            "Change the order as a whole, such as to take it away.",
            ("order_id", "attributes"),
            order_id=_ORDER,
            attributes=_ATTRIBUTES,
        ),
        _tool("get_order_details", "Get an order with all its drinks.", ("order_id",), order_id=_ORDER),
        _tool("finish_order", "Send a confirmed order to the bar.", ("order_id",), order_id=_ORDER),
    )
}


def load(root: Path | None = None) -> Iterator[Example]:
    yield from accept(_examples(root), root)


def _examples(root: Path | None) -> Iterator[Example]:
    dialogues = list(read_lines(FILE, root))
    # The file is ordered by template: without shuffling, the cap would be filled by the first ones.
    random.Random(SEED).shuffle(dialogues)
    made: Counter[str] = Counter()
    seen: set[tuple[Message, ...]] = set()
    for dialogue in dialogues:
        messages = _messages(dialogue["utterances"])
        for i, message in enumerate(messages):
            if message.role != "assistant" or i == 0:
                continue
            rng = random.Random(f"{SEED}:{dialogue['conversation_id']}:{i}")
            history = _recent(messages, i, rng)
            calls = tuple(Call(each.name, json.loads(each.arguments)) for each in message.tool_calls)
            kind = calls[0].name if calls else f"speak after {messages[i - 1].name or 'the user'}"
            if history is None or history in seen or made[kind] == CAP:
                continue
            made[kind] += 1
            seen.add(history)
            others = [tool for name, tool in TOOLS.items() if not calls or name != calls[0].name]
            offered = [TOOLS[call.name] for call in calls] + rng.sample(others, rng.randint(1, MAX_SIBLINGS))
            rng.shuffle(offered)
            yield Example("taskmaster", "taskmaster:coffee", history, tuple(offered), calls)


def _messages(utterances: Sequence[dict[str, Any]]) -> list[Message]:
    """The dialogue as turns, up to the first call that cannot be trusted."""
    messages: list[Message] = []
    for utterance in utterances:
        messages.append(Message(utterance["speaker"], utterance["text"].strip()))
        steps: list[dict[str, str]] = []
        for annotation in utterance["annotations"]:
            if annotation["name"] == "api_call":
                steps.append({})
            steps[-1][annotation["name"]] = annotation["value"]
        for step in steps:
            try:
                request = _stripped(json.loads(step.get("request", "{}")))
                result = _stripped(json.loads(step["response"]))
                arguments = _arguments(step["api_call"], request, messages)
            except (ValueError, KeyError, TypeError):  # workers wrote the JSON by hand
                return messages
            if arguments is None:
                return messages
            messages.append(Message("assistant", "", (ToolCall(step["api_call"], dumps(arguments)),)))
            messages.append(Message("tool", dumps(_brief(step["api_call"], result)), name=step["api_call"]))
    return messages


def _brief(name: str, result: dict[str, Any]) -> dict[str, Any]:
    """The result; of an order's details what identifies it, for the rest repeats what was asked for."""
    if name != "get_order_details":
        return result
    names = [item["menu_item_name"] for item in result["menu_items"]]
    return {"order_id": result["order_id"], "menu_items": names}


def _arguments(name: str, request: dict[str, Any], messages: Sequence[Message]) -> dict[str, Any] | None:
    """The request in terms of our tool; None when something in it is stated nowhere."""
    turns = [message.text for message in messages if message.role == "user"]
    said = " . ".join(turns)
    if name == "show_menu" and not _ABOUT_THE_MENU.search(turns[-1]):
        return None
    results = [json.loads(message.text) for message in messages if message.role == "tool"]
    arguments: dict[str, Any] = {}
    for key, value in request.items():
        if key == "query" and name == "get_addons":
            queries = [_literal(query, said) for query in value.split(" OR ")]
            arguments["queries"] = queries
            supported = None not in queries
        elif key == "query":
            arguments["query"] = locate(value, said)
            supported = arguments["query"] is not None
        elif key == "quantity":
            # Workers always wrote 1; it is an argument only where the customer says so.
            if mentions(int(value), said):
                arguments["quantity"] = int(value)
            supported = int(value) == 1 or "quantity" in arguments
        elif key in ("attributes", "addons"):
            chosen = [_choice(each, said, results) for each in value]
            arguments[key] = [each for each in chosen if each]
            supported = None not in chosen
        elif key in ("scope", "fields"):  # how the call is carried out, not what is wanted
            supported = True
        else:
            arguments[key] = value
            supported = any(value == stated for result in results for stated in _values(result))
        if not supported:
            return None
    properties = TOOLS[name].parameters["properties"]
    return {key: arguments[key] for key in properties if key in arguments}


def _choice(choice: dict[str, str], said: str, results: Sequence[dict[str, Any]]) -> dict[str, str] | None:
    """{attribute_id, option} or {addon_id, option} as an earlier result writes them, if the user wants that."""
    for kind, key in (("attributes", "attribute_id"), ("addons", "addon_id")):
        for offer in [each for result in results for each in result.get(kind, []) if each.get(key)]:
            if offer[key] != choice.get(key):
                continue
            options = {_squeezed(option): option for option in offer.get("options", [])}
            option = options.get(_squeezed(choice["option"]))
            wanted = choice["option"] if key == "attribute_id" else offer["name"].split()[0]
            if option and _says(said, wanted):
                return {key: choice[key], "option": option}
    return None


def _literal(query: str, said: str) -> str | None:
    """The choice as the user puts it, who may leave out "milk"."""
    return locate(query, said) or locate(re.sub(r"\s+milk$", "", query, flags=re.IGNORECASE), said)


def _says(text: str, value: str) -> bool:
    """Whether the user names it, in one word or two ("non fat", "nonfat") and with or without "milk"."""
    return bool(_squeezed(value)) and _squeezed(value) in _squeezed(text)


def _squeezed(text: str) -> str:
    return "".join(token for token in tokens(text) if token not in ("milk", "a", "of", "the"))


def _values(result: Any) -> Iterator[Any]:
    if isinstance(result, dict):
        for value in result.values():
            yield from _values(value)
    elif isinstance(result, list):
        for value in result:
            yield from _values(value)
    else:
        yield result


def _stripped(value: Any) -> Any:
    """Without the spaces that workers left at the ends of names and ids."""
    if isinstance(value, dict):
        return {key: _stripped(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_stripped(each) for each in value]
    return value.strip() if isinstance(value, str) else value


def _recent(messages: Sequence[Message], end: int, rng: random.Random) -> tuple[Message, ...] | None:
    """The history of turn `end`, from some user turn or call on, as clients cut it; None if it is too long.

    It always holds the last user turn, and what turn `end` uses: the words of the user, the ids in results.
    """
    last = max(i for i in range(end) if messages[i].role == "user")
    used = [value for call in messages[end].tool_calls for value in _values(json.loads(call.arguments))]
    histories = [tuple(messages[start:end]) for start in range(last + 1) if messages[start].role != "tool"]
    fitting = [each for each in histories if _length(each) <= MAX_CHARACTERS and _states(each, used)]
    return rng.choice(fitting) if fitting else None


def _states(history: Sequence[Message], values: Sequence[Any]) -> bool:
    said = "\n".join(message.text for message in history)
    return all(value in said for value in values if isinstance(value, str))


def _length(messages: Sequence[Message]) -> int:
    return sum(len(each.text) + len(calls_text(each.tool_calls)) for each in messages)
