"""What filtering kept and dropped, and why: counts and examples, as `report.md` for people and `report.json`."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from model.prompt import dumps
from training.data.example import Call
from training.distil.answers import Tally
from training.distil.files import write_whole
from training.distil.labels import Label
from training.distil.ledger import Asked
from training.page import markdown_table

SHOWN = 3  # examples of each reason
BINS = 10  # of the agreement's histogram
TRAIN, HELD_OUT = "train", "held out"
NO_CALL = "(no call)"
NO_ANSWER = "(no answer)"


class Report:
    """`derived` counts the kept answers with a value that is not in the words but that all samples gave."""

    def __init__(self, agreement: float) -> None:
        self.agreement = agreement
        self.derived = 0
        self.counts: Counter[str] = Counter()  # of TRAIN, HELD_OUT and each reason
        self.tools: dict[str, Counter[str]] = defaultdict(Counter)  # the same, by the tool that the first answer calls
        self.kinds: dict[str, Counter[str]] = defaultdict(Counter)
        self.histogram = [0] * BINS  # of the first answer's share of the samples
        self.examples: dict[str, list[dict[str, Any]]] = defaultdict(list)

    @property
    def dropped(self) -> dict[str, int]:
        """By reason, the most frequent first."""
        return {reason: n for reason, n in self.counts.most_common() if reason not in (TRAIN, HELD_OUT)}

    def count(self, tallies: Sequence[Tally], samples: int) -> None:
        """An answered question's agreement, whatever becomes of it."""
        if tallies:
            self.histogram[min(BINS - 1, BINS * tallies[0].count // samples)] += 1

    def keep(self, label: Label, held_out: bool) -> None:
        self._add(HELD_OUT if held_out else TRAIN, _names(label.example.calls), label.kind)

    def drop(self, reason: str, asked: Asked, tallies: Sequence[Tally]) -> None:
        self._add(reason, _names(tallies[0].calls) if tallies else [NO_ANSWER], asked.kind)
        if len(self.examples[reason]) < SHOWN:
            answers = [{"samples": t.count, "answer": _answer(t.calls)} for t in tallies]
            turns = [f"{m.role}: {m.text or dumps([c.name for c in m.tool_calls])}" for m in asked.question.messages]
            self.examples[reason].append({"kind": asked.kind, "request": turns, "answers": answers})

    def write(self, folder: Path) -> None:
        """Write `report.md` and `report.json` into `folder`."""
        write_whole(folder / "report.md", self._markdown())
        write_whole(folder / "report.json", [json.dumps(self._json(), indent=1, ensure_ascii=False)])

    def _add(self, what: str, tools: Sequence[str], kind: str) -> None:
        self.counts[what] += 1
        self.kinds[kind][what] += 1
        for tool in tools:
            self.tools[tool][what] += 1

    def _json(self) -> dict[str, Any]:
        return {
            "questions": self.counts.total(),
            "train": self.counts[TRAIN],
            "held_out": self.counts[HELD_OUT],
            "derived": self.derived,
            "dropped": self.dropped,
            "tools": self.tools,
            "kinds": self.kinds,
            "agreement": self.histogram,
            "examples": self.examples,
        }

    def _markdown(self) -> Iterator[str]:
        total, kept = self.counts.total(), self.counts[TRAIN] + self.counts[HELD_OUT]
        yield "# What the teacher's answers became\n"
        yield (
            f"Of {total:,} requests **{self.counts[TRAIN]:,} are to learn from and {self.counts[HELD_OUT]:,} are held "
            f"out**; {total - kept:,} were dropped. In {self.derived:,} of the kept ones a value is not in the words "
            "but was given by all samples.\n"
        )
        if self.dropped:
            rows = [(reason, f"{n:,}", f"{100 * n / total:.1f}") for reason, n in self.dropped.items()]
            yield f"## Dropped\n\n{markdown_table(('reason', 'requests', '%'), rows)}\n"
        for title, table in (("tool", self.tools), ("kind", self.kinds)):
            columns = [TRAIN, HELD_OUT, *self.dropped]
            rows_of = [(name, *(str(table[name][c] or "") for c in columns)) for name in sorted(table)]
            yield f"## By {title}\n\n{markdown_table((title, *columns), rows_of)}\n"
        yield (
            "## Agreement\n\nThe share of the samples that gave the most frequent answer; from "
            f"{100 * self.agreement:.0f} % on it is taught.\n"
        )
        most = max(1, *self.histogram)
        bins = [(f"{100 * i // BINS}–{100 * (i + 1) // BINS} %", n) for i, n in enumerate(self.histogram)]
        yield markdown_table(("share", "requests", ""), [(b, f"{n:,}", "█" * round(30 * n / most)) for b, n in bins])
        for reason, examples in self.examples.items():
            yield f"\n## Examples: {reason}"
            for example in examples:
                yield ""
                yield from (f"    {turn}" for turn in example["request"])
                yield from (f"    → {a['samples']} × {a['answer']}" for a in example["answers"])


def _names(calls: Sequence[Call]) -> list[str]:
    return sorted({c.name for c in calls}) or [NO_CALL]


def _answer(calls: Sequence[Call]) -> str:
    return dumps([{"name": c.name, "arguments": c.arguments} for c in calls])
