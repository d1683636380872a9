"""The gates that a teacher's answer passes before it is taught: calls that are valid, and values that were said."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator

from model.errors import SchemaError
from model.grammar import Grammar, GrammarCompiler, free_mask
from model.prompt import dumps
from model.schema import normalise
from model.tokenizer import END, Tokenizer
from model.types import Tool
from training.data.example import Call, Example
from training.data.quality import unsupported
from training.data.sources.grounding import mentions
from training.distil.answers import schema_of
from training.teacher.base import Question

UNANIMOUS = 3  # so many samples, all of one answer, stand for a value that the words do not show
# Nobody derives these from what was said: where they are not said, they are made up.
_IDENTIFIER = re.compile(r"@|://|\d{5}")
_Keep = Callable[[Any, Mapping[str, Any]], bool]


@dataclass(frozen=True)
class _Prepared:
    validator: Draft202012Validator
    grammar: Grammar


class Gates:
    """Each gate names its reason. Not thread-safe."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._compiler = GrammarCompiler(tokenizer.json_text, tokenizer.vocab_size, END)
        self._prepared: dict[str, _Prepared | None] = {}

    def __call__(self, question: Question, calls: Sequence[Call], unanimous: bool) -> str | None:
        """Why this answer is not taught; None when it is.

        `unanimous` says that all of at least `UNANIMOUS` samples gave it: then a value may be derived from what was
        said ("half an hour" is 30), but an identifier still has to be said.
        """
        tools = {t.name: t for t in question.tools}
        for call in calls:
            if call.name not in tools:
                return "unknown tool"
            if reason := self._invalid(tools[call.name], call):
                return reason
        return unsaid(question, calls, derived=unanimous)

    def _invalid(self, tool: Tool, call: Call) -> str | None:
        key = dumps([tool.name, tool.parameters])
        if key not in self._prepared:
            self._prepared[key] = self._prepare(tool)
        prepared = self._prepared[key]
        if prepared is None:
            return "tool that cannot be served"
        if not prepared.validator.is_valid(call.arguments):
            return "not valid under the schema"
        try:
            free_mask(prepared.grammar, self._tokenizer.encode(dumps(call.arguments)))
        except ValueError:
            return "outside the grammar"
        return None

    def _prepare(self, tool: Tool) -> _Prepared | None:
        """The validator is of the normalised schema, which says what the declared one means, in plain JSON Schema."""
        try:
            schema = normalise(tool.parameters, "parameters")
            return _Prepared(Draft202012Validator(schema), self._compiler.compile(schema))
        except SchemaError:
            return None


def unsaid(question: Question, calls: Sequence[Call], derived: bool = False) -> str | None:
    """Why the conversation does not support the calls (`training.data.quality.unsupported`); None when it does.

    Members of an enum and declared defaults need not be said, and with `derived` nothing but identifiers.
    """
    schemas = {t.name: t.parameters for t in question.tools}
    if any(c.name not in schemas for c in calls):
        return "unknown tool"

    def to_check(value: Any, schema: Mapping[str, Any]) -> bool:
        free = "enum" in schema or "const" in schema or _is_default(value, schema)
        return not free and (not derived or _is_identifier(value))

    pruned = (Call(c.name, _pruned(c.arguments, schemas[c.name], schemas[c.name], to_check)) for c in calls)
    return unsupported(Example("", "", question.messages, question.tools, tuple(pruned)))


def _pruned(value: Any, declared: Any, root: Mapping[str, Any], keep: _Keep) -> Any:
    """`value` without the leaves that need no support."""
    schema = schema_of(value, declared, root)
    parts: list[tuple[Any, Any, Any]] = []  # key, value, schema
    if isinstance(value, dict):
        parts = [(n, v, (schema.get("properties") or {}).get(n)) for n, v in value.items()]
    elif isinstance(value, list):
        parts = [(i, v, schema.get("items")) for i, v in enumerate(value)]
    else:
        return value
    kept = {
        key: _pruned(part, inner, root, keep)
        for key, part, inner in parts
        if isinstance(part, dict | list) or keep(part, {**_mapping(inner), **schema_of(part, inner, root)})
    }
    return kept if isinstance(value, dict) else list(kept.values())


def _mapping(schema: Any) -> Mapping[str, Any]:
    return schema if isinstance(schema, Mapping) else {}


def _is_default(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a value is the declared default, in the schema or in the words of its description."""
    if "default" in schema:
        return bool(schema["default"] == value)
    described = re.search(r"\bdefault.*", str(schema.get("description") or ""), re.IGNORECASE | re.DOTALL)
    return described is not None and mentions(value, described[0])


def _is_identifier(value: Any) -> bool:
    return isinstance(value, str) and bool(_IDENTIFIER.search(value))
