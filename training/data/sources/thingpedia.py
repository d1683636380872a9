"""Thingpedia: commands to an assistant, annotated with programs over the functions of web services and devices.

Format: `manifests` JSON lines {manifest}, each the ThingTalk source of a class with its functions:
`query name(in req p: Type #_[prompt="..."], out q: Type) #[doc="..."];`. `annotated_dialogues` JSON lines {turns}, the
first "U: <utterance>", the next ones "UT: <program>", the rest a dialogue that is not read.

Kept are programs of one function, or of two that do not use each other's results, whose arguments are constants that
the utterance states; filters, projections, conditions and `$?` (still to be asked for) are not read. The built-in
functions of the assistant (help, settings, small talk) have no manifest and fall away. CAP bounds what one function
contributes, as a few dozen functions make up most of the corpus.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from model.types import Message, Tool
from training.data.example import Call, Example
from training.data.sources.accept import accept
from training.data.sources.grounding import locate, mentions
from training.data.sources.naming import Style, restyle
from training.data.sources.reading import read_lines

MANIFESTS = "thingpedia/manifests.jsonl.gz"
DIALOGUES = "thingpedia/annotated_dialogues.jsonl.gz"
SEED = 0
CAP = 40
MIN_WORDS = 2
MAX_SIBLINGS = 3
_STYLES: tuple[Style, ...] = ("snake", "snake", "camel")
_CLASS = re.compile(r"\bclass @([\w.-]+)")
_FUNCTION = re.compile(r"^\s*(?:monitorable |list )*(?:query|action) (\w+)\s*\(", re.MULTILINE)
_PARAMETER = re.compile(r"\s*in (req|opt) (\w+)\s*:\s*(\w+)")
_INVOCATION = re.compile(r"@([\w.-]+)\.(\w+)\s*(?:\((.*)\))?", re.DOTALL)
_VALUES = (  # how a constant is written -> what is said for it
    re.compile(r'"([^"]*)"'),
    re.compile(r'new Location\("([^"]*)"\)'),
    re.compile(r'(?:null|"[^"]*")\^\^[\w.:-]+\("([^"]*)"\)'),
    re.compile(r"enum (\w+)"),
    re.compile(r"(-?[\d.]+)[A-Za-z]*"),
)
_TYPES = {"String": "string", "Entity": "string", "Location": "string", "Number": "number", "Measure": "number"}
# Quoted text that was replaced upstream, and notes to the parser such as "get: sun".
_UNNATURAL = re.compile(r"str:|QUOTED_STRING|NUMBER_|^\w+:")
_QUESTION = re.compile(r"(what|which|who|how|where|when|do|does|is|are)\b", re.IGNORECASE)


@dataclass(frozen=True)
class _Function:
    """A function of a class; `parameters` by their upstream names, each with (our name, required, schema)."""

    group: str
    name: str
    description: str
    parameters: dict[str, tuple[str, bool, dict[str, Any]]]

    @cached_property
    def styled(self) -> dict[Style, Tool]:
        return {style: self._tool(style) for style in ("snake", "camel")}

    def _tool(self, style: Style) -> Tool:
        parameters = [(restyle(name, style), required, schema) for name, required, schema in self.parameters.values()]
        properties = {name: schema for name, _, schema in parameters}
        needed = [name for name, required, _ in parameters if required]
        schema = {"type": "object", "properties": properties, "required": needed}
        return Tool(restyle(self.name, style), self.description, schema)


def load(root: Path | None = None) -> Iterator[Example]:
    yield from accept(_examples(root), root)


def _examples(root: Path | None) -> Iterator[Example]:
    functions = read_functions(root)
    rows = list(read_lines(DIALOGUES, root))
    random.Random(SEED).shuffle(rows)
    made: Counter[str] = Counter()
    seen: set[str] = set()
    for i, row in enumerate(rows):
        text = row["turns"][0].removeprefix("U:").strip()
        program = _program(row["turns"])
        wanted = _invocations(program) if program else []
        if not wanted or text.lower() in seen or len(text.split()) < MIN_WORDS or _UNNATURAL.search(text):
            continue
        rng = random.Random(f"{SEED}:{i}")
        style = rng.choice(_STYLES)
        called = [functions[name] for name, _ in wanted if name in functions]
        calls = [_call(functions[name], written, text, style) for name, written in wanted if name in functions]
        if len(called) < len(wanted) or None in calls or any(made[function.name] >= CAP for function in called):
            continue
        group = called[0].group
        if any(each.group != group for each in called):  # the split of groups must not be cut
            continue
        seen.add(text.lower())
        made.update(function.name for function in called)
        others = [each for each in functions.values() if each.group == group and each not in called]
        offered = [*called, *rng.sample(others, rng.randint(0, min(MAX_SIBLINGS, len(others))))]
        rng.shuffle(offered)
        tools = tuple({each.name: each.styled[style] for each in offered}.values())
        yield Example("thingpedia", group, (Message("user", text),), tools, tuple(filter(None, calls)))


# Manifests


def read_functions(root: Path | None) -> dict[str, _Function]:
    """`class.function` -> the function."""
    functions = {}
    for row in read_lines(MANIFESTS, root):
        source = re.sub(r"^\s*//.*$", "", row["manifest"], flags=re.MULTILINE)
        if not (cls := _CLASS.search(source)):
            continue
        for head in _FUNCTION.finditer(source):
            close = _closing(source, head.end() - 1)
            annotations = _split(source[close + 1 :], ";")[0]
            parameters = _parameters(source[head.end() : close])
            device = cls[1].split(".")[-1]
            if parameters is not None:
                described = _annotation("doc", annotations) or _annotation("canonical", annotations)
                if len(described.split()) < 2:
                    described = head[1].replace("_", " ")
                name = _name(device.replace("-", "_"), head[1])
                functions[f"{cls[1]}.{head[1]}"] = _Function(
                    f"thingpedia:{cls[1]}", name, _sentence(described), parameters
                )
    return functions


def _name(device: str, function: str) -> str:
    """The function's name with its device's, for many are called "get" or "state"; no word twice in a row."""
    if device in function:
        return function
    words = [*device.split("_"), *function.split("_")]
    return "_".join(word for word, previous in zip(words, ["", *words], strict=False) if word != previous)


def _parameters(source: str) -> dict[str, tuple[str, bool, dict[str, Any]]] | None:
    """The function's inputs; None when one must be given that we cannot express."""
    parameters = {}
    for piece in _split(source, ","):
        if not (head := _PARAMETER.match(piece)):
            continue
        required, name, kind = head[1] == "req", head[2], head[3]
        said = _annotation("prompt", piece) or _annotation("base", piece) or name.replace("_", " ")
        schema: dict[str, Any] = {"type": _TYPES.get(kind, "string"), "description": _sentence(said)}
        if kind == "Enum":
            close = _closing(piece, piece.index("(", head.end()))
            schema["enum"] = [each.strip() for each in piece[piece.index("(", head.end()) + 1 : close].split(",")]
        elif kind not in _TYPES:
            if required:
                return None
            continue
        # Entities are ids upstream, but are said, and so given here, by name.
        parameters[name] = (name.removesuffix("_id"), required, schema)
    return parameters


def _annotation(name: str, source: str) -> str:
    """The first text of `#_[name="..."]`, `#[name=[...]]` or `name=[...]` within an annotation."""
    matched = re.search(rf'\b{name}\s*=\s*\[?\s*(?:{{\s*base\s*=\s*\[?\s*)?"([^"]*)"', source)
    return matched[1] if matched else ""


def _sentence(text: str) -> str:
    text = " ".join(re.sub(r"[`$#{}]", "", text).replace("_", " ").split()).rstrip(".?")
    return text[:1].upper() + text[1:] + ("?" if _QUESTION.match(text) else ".")


def _closing(text: str, start: int) -> int:
    """Where the bracket at `start` closes; brackets within quotes do not count."""
    depth = 0
    for position, char in _unquoted(text, start):
        depth += (char in "([{") - (char in ")]}")
        if depth == 0:
            return position
    return len(text)


def _split(text: str, separator: str) -> list[str]:
    """The pieces between separators that are outside all brackets and quotes."""
    pieces, depth, begin = [], 0, 0
    for position, char in _unquoted(text, 0):
        depth += (char in "([{") - (char in ")]}")
        if depth == 0 and text.startswith(separator, position):
            pieces.append(text[begin:position])
            begin = position + len(separator)
    return [*pieces, text[begin:]]


def _unquoted(text: str, start: int) -> Iterator[tuple[int, str]]:
    quote = ""
    for position in range(start, len(text)):
        char = text[position]
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        else:
            yield position, char


# Programs


def _program(turns: Sequence[str]) -> str:
    """The program of the first utterance."""
    lines = []
    for turn in turns[1:]:
        if not turn.startswith("UT:"):
            break
        line = turn.removeprefix("UT:").strip()
        if not line.startswith("$dialogue @org.thingpedia.dialogue.transaction.execute"):
            lines.append(line)
    return " ".join(lines)


def _invocations(program: str) -> list[tuple[str, dict[str, str]]]:
    """Each function with its arguments as written; [] when the program has anything else in it."""
    steps = [step.strip() for piece in _split(program, ";") for step in _split(piece, "=>") if step.strip()]
    found = []
    for step in steps:
        matched = _INVOCATION.fullmatch(step)
        if not matched or _closing(step, len(step) - len(step.partition("(")[2]) - 1) < len(step) - 1:
            return []
        arguments = {}
        for piece in _split(matched[3] or "", ","):
            name, _, written = piece.partition("=")
            if name.strip():
                arguments[name.strip()] = written.strip()
        found.append((f"{matched[1]}.{matched[2]}", arguments))
    return found if len(found) <= 2 else []


def _call(function: _Function, written: Mapping[str, str], text: str, style: Style) -> Call | None:
    arguments = {}
    for name, value in written.items():
        if name not in function.parameters:
            return None
        ours, _, schema = function.parameters[name]
        said = _said(value, schema, text)
        if said is None:
            return None
        arguments[restyle(ours, style)] = said
    return Call(restyle(function.name, style), arguments)


def _said(written: str, schema: Mapping[str, Any], text: str) -> str | float | None:
    """The constant as the utterance states it; None when it is no constant, or not stated."""
    matched = next(filter(None, (pattern.fullmatch(written) for pattern in _VALUES)), None)
    if matched is None:
        return None
    if "enum" in schema:
        return matched[1] if matched[1] in schema["enum"] and mentions(matched[1].replace("_", " "), text) else None
    if schema["type"] == "number":
        amount = float(matched[1]) if re.fullmatch(r"-?\d+(\.\d+)?", matched[1]) else None
        if amount is None or not mentions(amount, text):
            return None
        return int(amount) if amount.is_integer() else amount
    return locate(matched[1], text)
