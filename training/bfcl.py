"""The Berkeley leaderboard's non-live categories, for measuring only: questions, tools, accepted answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.types import Message, Role, Tool
from training.scoring import Accepted

CATEGORIES = ("simple_python", "multiple", "parallel", "parallel_multiple", "irrelevance")
_TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": "string"}  # as the leaderboard itself has it
_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}


@dataclass(frozen=True)
class Question:
    """One question. `answers` is None when no call is right."""

    id: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]
    answers: tuple[Accepted, ...] | None


def load_category(folder: Path, category: str) -> Iterator[Question]:
    """The questions of `BFCL_v4_<category>.json` in `folder`, with `possible_answer/` beside it."""
    answers = {}
    answer_file = folder / "possible_answer" / f"BFCL_v4_{category}.json"
    if answer_file.exists():
        answers = {row["id"]: row["ground_truth"] for row in _rows(answer_file)}
    for row in _rows(folder / f"BFCL_v4_{category}.json"):
        messages = tuple(Message(_ROLES[m["role"]], m["content"]) for m in row["question"][0])
        tools = tuple(
            Tool(tool_name(f["name"]), f["description"], json_schema(f["parameters"])) for f in row["function"]
        )
        truth = answers.get(row["id"])
        declared = {f["name"]: f["parameters"] for f in row["function"]}
        gold = None if truth is None else tuple(_accepted(n, a, declared[n]) for call in truth for n, a in call.items())
        yield Question(row["id"], messages, tools, gold)


def tool_name(name: str) -> str:
    """The name as an OpenAI-style server receives it: dots become underscores."""
    return re.sub(r"\.", "_", name)


def json_schema(schema: Any) -> Any:
    """BFCL's dialect as JSON Schema: its type names; `optional` is no keyword."""
    if isinstance(schema, list):
        return [json_schema(s) for s in schema]
    if not isinstance(schema, Mapping):
        return schema
    out = {
        k: json_schema(v)
        for k, v in schema.items()
        if k != "properties" and not (k == "optional" and v in (True, False))
    }
    if isinstance(schema.get("properties"), Mapping):
        out["properties"] = {name: json_schema(s) for name, s in schema["properties"].items()}
    if isinstance(kind := out.get("type"), str):
        out["type"] = _TYPES.get(kind, kind)
    return out


def _accepted(name: str, answers: dict[str, list[Any]], declared: Mapping[str, Any]) -> Accepted:
    return Accepted(tool_name(name), answers, declared["properties"], declared["required"])


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as f:
        for line in f:
            yield json.loads(line)
