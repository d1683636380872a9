"""What the corpus is made of: by source, domain, number of calls and tools, turns, type of argument, length."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.data.example import Example

TABLES = {
    "source": "where the example comes from",
    "domain": "domain of the scenario library",
    "calls": "calls of the answer (0: no call is right)",
    "tools": "tools on offer",
    "turns": "turns of the conversation",
    "arguments": "arguments of a call",
    "type": "arguments by type",
    "words": "words of the last turn",
}


@dataclass
class Statistics:
    """Counts of the examples that were kept (`tables`) and dropped, and a random sample to read."""

    sample_size: int = 0
    rng: random.Random = field(default_factory=random.Random)
    tables: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    sample: list[Example] = field(default_factory=list)
    dropped: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    decontamination: Mapping[str, Any] | None = None
    total: int = 0

    def add(self, example: Example) -> None:
        """Count one kept example; reservoir sampling keeps each with the same chance (Vitter's algorithm R)."""
        self.total += 1
        for table, key in _facts(example):
            self.tables[table][key] += 1
        if len(self.sample) < self.sample_size:
            self.sample.append(example)
        elif (place := self.rng.randrange(self.total)) < self.sample_size:
            self.sample[place] = example

    def sources(self) -> dict[str, int]:
        return dict(self.tables["source"].most_common())

    def write(self, path: Path) -> None:
        """Everything but the sample, as JSON."""
        content = {
            "total": self.total,
            "tables": {name: dict(self.tables[name].most_common()) for name in TABLES},
            "dropped": {k: dict(Counter(v).most_common()) for k, v in sorted(self.dropped.items())},
            "decontamination": self.decontamination,
        }
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Statistics:
        """What `write` wrote."""
        content = json.loads(path.read_text(encoding="utf-8"))
        made = cls(total=content["total"], dropped=content["dropped"], decontamination=content["decontamination"])
        made.tables = {name: Counter(counts) for name, counts in content["tables"].items()}
        return made


def _facts(example: Example) -> Iterator[tuple[str, str]]:
    """(table, key) of everything that is counted about an example."""
    yield "source", example.source
    if example.source == "scenarios":
        yield "domain", example.family.removeprefix("scenario:")
    yield "calls", str(len(example.calls))
    yield "tools", str(len(example.tools))
    yield "turns", str(len(example.messages))
    yield "words", _bin(len(example.messages[-1].text.split()))
    schemas = {t.name: t.parameters.get("properties") or {} for t in example.tools}
    for call in example.calls:
        yield "arguments", str(len(call.arguments))
        for name, value in call.arguments.items():
            yield "type", _kind(value, schemas[call.name].get(name) or {})


def _bin(words: int) -> str:
    low = words // 5 * 5
    return f"{low}-{low + 4}" if words < 60 else "60+"


def _kind(value: Any, schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "enum"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, list):
        return f"list of {_kind(value[0], schema.get('items') or {})}" if value else "empty list"
    return {str: "string", int: "integer", float: "number", dict: "object"}.get(type(value), "null")
