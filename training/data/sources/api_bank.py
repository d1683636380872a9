"""API-Bank, level 3: requests that need an API which must be searched for first, then called, perhaps several in turn.

Format: a JSON list of {instruction, input, output}. `input` is the description of ToolSearcher and the conversation so
far: "User: <text>TIME: <now>", then lines "API-Request: [Name(key='value', ...)]-><result>"; quotes may be missing.
What ToolSearcher found is the description of an API, a Python dict {name, description, input_parameters}. `output` is
the next request, or "AI: <reply>".

The searching is taken out: the APIs found so far are the tools on offer, the other requests and their results are
turns. Dropped are rows whose next request is a search (its keywords are anybody's guess), those with a value that
neither the user nor a result states, those where a further request has nothing to do with what the user wants (rents,
fees and bills go to a TaxCalculator), and repetitions. A parameter is required when every request of its API gives it.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.prompt import dumps
from model.types import Message, Tool, ToolCall
from training.data.example import Call, Example
from training.data.sources.accept import accept
from training.data.sources.grounding import locate, mentions, number
from training.data.sources.naming import Style, restyle, words
from training.data.sources.reading import read_json

FILE = "api-bank/training-data/lv3-train.json.gz"
SEED = 0
_STYLES: tuple[Style, ...] = ("pascal", "snake", "camel")
_USER = re.compile(r"^User: (.*?)(?:\s*TIME: .*)?$", re.MULTILINE)
_REQUEST = re.compile(r"API-Request: \[(\w+)\((.*?)\)\](?:->(.*?))?(?=\nAPI-Request: |\nGenerate |\s*\Z)", re.DOTALL)
_BARE_TYPE = re.compile(r"('type': )(\w+)(?=[,}])")
_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "datetime": "string"}


@dataclass(frozen=True)
class _Step:
    """A request as it is written, and what came of it (None for the request to be made)."""

    name: str
    arguments: str
    result: str | None


def load(root: Path | None = None) -> Iterator[Example]:
    yield from accept(_examples(root), root)


def _examples(root: Path | None) -> Iterator[Example]:
    rows = read_json(FILE, root)
    always = _always_given(rows)
    seen: set[str] = set()
    for i, row in enumerate(rows):
        plain = _example(row, always, "pascal")
        if plain is None or _key(plain) in seen:
            continue
        seen.add(_key(plain))
        example = _example(row, always, random.Random(f"{SEED}:{i}").choice(_STYLES))
        if example is not None:
            yield example


def _key(example: Example) -> str:
    """What makes two examples the same, whatever results were made up for them."""
    return repr(([message for message in example.messages if message.role != "tool"], example.calls))


def _always_given(rows: Sequence[Mapping[str, str]]) -> dict[str, set[str]]:
    """API -> the parameters that are in each of its requests."""
    always: dict[str, set[str]] = {}
    for row in rows:
        for step in _steps(row["input"] + "\n" + row["output"]):
            given = set(re.findall(r"(\w+)=", step.arguments))
            always[step.name] = always.get(step.name, given) & given
    return always


def _steps(text: str) -> list[_Step]:
    return [_Step(name, arguments, result) for name, arguments, result in _REQUEST.findall(text)]


def _example(row: Mapping[str, str], always: Mapping[str, set[str]], style: Style) -> Example | None:
    user = _USER.search(row["input"])
    if user is None:
        return None
    tools: dict[str, Tool] = {}
    messages = [Message("user", user[1].strip())]
    called = ""
    for step in _steps(row["input"]):
        if step.name == "ToolSearcher":
            for found in _found(step.result or ""):
                tools[found["name"]] = _tool(found, always.get(found["name"], set()), style)
            continue
        call = _call(step, tools, messages)
        result = _literal(step.result or "")
        if call is None or result is None or (called and not _is_wanted(step.name, user[1])):
            return None
        called = step.name
        messages.append(Message("assistant", "", (ToolCall(call.name, dumps(call.arguments)),)))
        messages.append(Message("tool", dumps(result), name=call.name))
    calls: tuple[Call, ...] = ()
    if row["output"].startswith("API-Request"):
        wanted = [(step.name, _call(step, tools, messages)) for step in _steps(row["output"])]
        if len(wanted) != 1 or wanted[0][1] is None:
            return None
        if called and not _is_wanted(wanted[0][0], user[1]):
            return None
        called, calls = wanted[0][0], (wanted[0][1],)
    if not called:
        return None
    return Example("api_bank", f"api_bank:{called}", tuple(messages), tuple(tools.values()), calls)


def _is_wanted(name: str, request: str) -> bool:
    """Whether the API's name has a word of the user's request."""
    return any(len(word) > 3 and mentions(word, request) for word in words(name))


def _found(result: str) -> list[dict[str, Any]]:
    found = _literal(_BARE_TYPE.sub(r"\1'\2'", result))
    descriptions = found if isinstance(found, list) else [found]
    return [each for each in descriptions if isinstance(each, dict) and isinstance(each.get("input_parameters"), dict)]


def _literal(text: str) -> Any:
    """The value of a Python literal; None for one that was cut off or mistyped."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return None


def _tool(found: Mapping[str, Any], always: set[str], style: Style) -> Tool:
    properties = {name: _schema(spec) for name, spec in found["input_parameters"].items()}
    required = [name for name in properties if name in always]
    parameters = {"type": "object", "properties": properties, "required": required}
    return Tool(restyle(found["name"], style), found["description"], parameters)


def _schema(spec: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(spec.get("type", "str")).lower()
    described = {"description": spec["description"]} if spec.get("description") else {}
    if kind.startswith("list"):
        return {"type": "array", "items": {"type": "string"}, **described}
    return {"type": _TYPES.get(kind, "string"), **described}


def _call(step: _Step, tools: Mapping[str, Tool], messages: Sequence[Message]) -> Call | None:
    """The request in the types of its tool; None when a value in it is stated nowhere."""
    if step.name not in tools:
        return None
    tool = tools[step.name]
    # The names are the only marks between values, which hold commas and no quotes: "city=Austin, Texas, day=Friday".
    pieces = re.split(r"(?:^|,\s*)(\w+)\s*=\s*", step.arguments)[1:]
    arguments = {}
    for name, written in zip(pieces[::2], pieces[1::2], strict=True):
        if name not in tool.parameters["properties"]:
            return None
        arguments[name] = _said(written.strip(), tool.parameters["properties"][name]["type"], messages)
        if arguments[name] is None:
            return None
    return Call(tool.name, arguments)


def _said(written: str, kind: str, messages: Sequence[Message]) -> Any:
    """The value as the user or a result states it; None when neither does."""
    texts = [message.text for message in messages if message.role in ("user", "tool")]
    value = _literal(written)
    if kind == "array":
        items = [_said(str(each), "string", messages) for each in value] if isinstance(value, list) else [None]
        return None if None in items else items
    if kind in ("integer", "number"):
        amount = number(written)
        if amount is None or not any(mentions(amount, text) for text in texts):
            return None
        return amount
    if kind == "boolean":
        return None
    wanted = value if isinstance(value, str) else written.strip("'\"")
    # Of "New York City" the requests often give half.
    return next(filter(None, (locate(f"{wanted} City", text) or locate(wanted, text) for text in texts)), None)
