"""What a teacher taught: one label per request, as JSON Lines. Written by filtering, read by training."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model.prompt import dumps
from training.data.example import Call, Example
from training.distil.files import write_whole
from training.distil.rows import ToolRows, message_row, read_messages


@dataclass(frozen=True)
class Answer:
    """One of a request's distinct answers, and the share of the teacher's samples that gave it, in (0, 1]."""

    calls: tuple[Call, ...]
    share: float


@dataclass(frozen=True)
class Label:
    """A request with the answers that its teacher gave, most frequent first; the shares add up to at most 1.

    `example.calls` is the first answer. The distribution over `answers` is the soft target: training on each answer
    with its share as weight minimises the cross-entropy to the teacher's own distribution over whole answers. `kind` is
    that of the `training.teacher.base.Brief` that asked for the request, or "recorded".
    """

    example: Example
    answers: tuple[Answer, ...]
    kind: str

    @property
    def agreement(self) -> float:
        """How sure the teacher is: the share of its first answer."""
        return self.answers[0].share


def write_labels(path: Path, labels: Iterable[Label]) -> None:
    """A line per label, and before its first use one per tool; labels name their tools by number, from 0."""
    write_whole(path, _lines(labels))


def read_labels(path: Path) -> list[Label]:
    """What `write_labels` wrote. ValueError, with the line's number, for anything else."""
    tools = ToolRows()
    labels = []
    with path.open(encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            try:
                row = json.loads(line)
                if "tool" in row:
                    tools.add(row["tool"])
                else:
                    labels.append(_label(row, tools))
            except (ValueError, KeyError, TypeError, IndexError) as error:
                raise ValueError(f"{path}:{number} is not a label: {error!r}") from error
    return labels


def _lines(labels: Iterable[Label]) -> Iterator[str]:
    tools = ToolRows()
    for label in labels:
        example = label.example
        numbers, fresh = tools.take(example.tools)
        yield from (dumps({"tool": row}) for row in fresh)
        yield dumps(
            {
                "kind": label.kind,
                "source": example.source,
                "group": example.group,
                "messages": [message_row(m) for m in example.messages],
                "tools": numbers,
                "answers": [{"share": a.share, "calls": [asdict(c) for c in a.calls]} for a in label.answers],
            }
        )


def _label(row: dict[str, Any], tools: ToolRows) -> Label:
    answers = tuple(Answer(tuple(Call(**c) for c in a["calls"]), a["share"]) for a in row["answers"])
    messages = read_messages(row["messages"])
    example = Example(row["source"], row["group"], messages, tools.tools(row["tools"]), answers[0].calls)
    return Label(example, answers, row["kind"])
