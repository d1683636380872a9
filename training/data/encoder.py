"""Examples to the tables of shards: token ids, which of them the grammar leaves free, and numbered tools."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from model.errors import SchemaError
from model.grammar import Grammar, GrammarCompiler, free_mask
from model.parameters import Keys, ParameterTracker, parameter_keys
from model.prompt import Prompt, dumps, encode_messages, encode_tool
from model.schema import normalise
from model.tokenizer import END, Tokenizer
from model.types import Tool
from training.data.example import Example
from training.data.shards import ExampleTable, Ragged, ToolTable


@dataclass(frozen=True)
class Limits:
    """The most tokens of an example's texts; what is longer is left out."""

    max_query_tokens: int = 160
    max_tool_tokens: int = 160
    max_argument_tokens: int = 160  # of all calls together


def tool_content(tool: Tool) -> str:
    """All of a tool that matters: two with the same are the same."""
    return json.dumps([tool.name, tool.description, tool.parameters])


@dataclass(frozen=True)
class _Row:
    """One example's arrays; see `ExampleTable`."""

    query: npt.NDArray[Any]
    pool_start: int
    others: list[int]
    call_tools: list[int]
    arguments: list[npt.NDArray[Any]]
    free: list[npt.NDArray[Any]]
    parameter: list[npt.NDArray[Any]]
    source: str
    group: int
    family: int


class ExampleEncoder:
    """Turns examples into tables; `drop` hears what does not fit, and why. Tools are numbered across splits."""

    def __init__(
        self, tokenizer: Tokenizer, limits: Limits, drop: Callable[[Example, str, str], None] | None = None
    ) -> None:
        self.tokenizer, self.limits, self.drop = tokenizer, limits, drop
        self.compiler = GrammarCompiler(tokenizer.json_text, tokenizer.vocab_size, END)
        self._tools: dict[str, int | None] = {}  # content -> number; None when it cannot be used
        self._prompts: list[Prompt] = []
        self._called: list[Counter[int]] = []  # of each tool, in which groups it was called, and in which listed
        self._listed: list[Counter[int]] = []
        self._keys: list[Keys] = []
        self._grammars: list[Grammar] = []
        self._groups: dict[str, int] = {}
        self._families: dict[str, int] = {}

    def encode(
        self,
        examples: Iterable[Example],
        split: str,
        kept: Callable[[Example], None] | None = None,
        weights: Iterable[float] | None = None,
    ) -> ExampleTable:
        """The table of the examples that fit; `kept` hears of each. `weights` has one number an example, if not 1."""
        rows: list[_Row] = []
        weight: list[float] = []
        weighted = zip(examples, repeat(1.0) if weights is None else weights, strict=weights is not None)
        for e, counts in tqdm(weighted, desc=f"encoding {split}", unit="example"):
            row = self._row(e)
            if isinstance(row, str):
                if self.drop:
                    self.drop(e, split, row)
                continue
            if kept:
                kept(e)
            rows.append(row)
            weight.append(counts)
        sources = sorted({r.source for r in rows})
        return ExampleTable(
            query=Ragged.pack([r.query for r in rows], np.uint16),
            pool_start=np.array([r.pool_start for r in rows]),
            others=Ragged.pack([r.others for r in rows], np.int32),
            call_tools=Ragged.pack([r.call_tools for r in rows], np.int32),
            arguments=Ragged.pack([a for r in rows for a in r.arguments], np.uint16),
            free=Ragged.pack([f for r in rows for f in r.free], np.uint8),
            parameter=Ragged.pack([p for r in rows for p in r.parameter], np.int16),
            source=np.array([sources.index(r.source) for r in rows]),
            sources=tuple(sources),
            group=np.array([r.group for r in rows]),
            family=np.array([r.family for r in rows]),
            weight=np.array(weight, np.float32),
            closed=np.zeros(len(rows), np.bool_),
        )

    def tool_table(self) -> ToolTable:
        return ToolTable(
            Ragged.pack([p.ids for p in self._prompts], np.uint16),
            Ragged.pack([p.parameters for p in self._prompts], np.uint16),
            np.array([p.pool[1] for p in self._prompts]),
            np.array([self._tool_group(n) for n in range(len(self._prompts))]),
        )

    def _tool_group(self, number: int) -> int:
        """A tool's family: where it is called. One that never is may be a stranger wherever it is listed."""
        [(group, _)] = (self._called[number] or self._listed[number]).most_common(1)
        return group

    def _row(self, e: Example) -> _Row | str:
        """An example's arrays, or the reason why it is dropped."""
        prompt = encode_messages(e.messages, self.tokenizer)
        if len(prompt.ids) > self.limits.max_query_tokens:
            return "long request"
        numbers = {t.name: self._tool(t) for t in e.tools}
        called = [numbers[c.name] for c in e.calls]
        group = self._group(e.group)
        for n in numbers.values():
            if n is not None:
                (self._called if n in called else self._listed)[n][group] += 1
        if any(n is None for n in called):
            return "unusable tool"
        arguments = [self.tokenizer.encode(dumps(c.arguments)) for c in e.calls]
        if sum(map(len, arguments)) > self.limits.max_argument_tokens:
            return "long arguments"
        try:
            free = [free_mask(self._grammars[n], a) for n, a in zip(called, arguments, strict=True) if n is not None]
        except ValueError:
            return "arguments outside the grammar"
        return _Row(
            query=np.array(prompt.ids, np.uint16),
            pool_start=prompt.pool[0],
            others=[n for n in numbers.values() if n is not None and n not in called],
            call_tools=[n for n in called if n is not None],
            arguments=[np.array(a, np.uint16) for a in arguments],
            free=[np.array(f, np.uint8) for f in free],
            parameter=[
                np.array(ParameterTracker(self.tokenizer, self._keys[n]).feed(a), np.int16)
                for n, a in zip(called, arguments, strict=True)
                if n is not None
            ],
            source=e.source,
            group=group,
            family=self._families.setdefault(e.group, len(self._families)),
        )

    def _group(self, group: str) -> int:
        return self._groups.setdefault(group.partition("#")[0], len(self._groups))

    def _tool(self, tool: Tool) -> int | None:
        content = tool_content(tool)
        if content not in self._tools:
            self._tools[content] = None
            prompt = encode_tool(tool, self.tokenizer)
            if len(prompt.ids) > self.limits.max_tool_tokens:
                return None
            try:
                grammar = self.compiler.compile(normalise(tool.parameters, "parameters"))
            except SchemaError:
                return None
            self._tools[content] = len(self._prompts)
            self._prompts.append(prompt)
            self._called.append(Counter())
            self._listed.append(Counter())
            self._keys.append(parameter_keys(prompt.names, self.tokenizer))
            self._grammars.append(grammar)
        return self._tools[content]
