"""The scores in print: the same tables as aligned text for a terminal and as Markdown for the model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from training.evaluation.outcome import ERRORS
from training.evaluation.retrieval import DEPTHS, Recall
from training.evaluation.scores import Comparison, Score
from training.evaluation.statistics import wilson
from training.page import markdown_table


@dataclass(frozen=True)
class Table:
    """A title, a line of explanation, and rows of cells. All columns but the first are numbers."""

    title: str
    note: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def text(self) -> str:
        """Aligned text."""
        lines = [self.head, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.head))]
        return "\n".join(
            [f"{self.title} ({self.note})"]
            + [
                "  ".join(c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
                for line in lines
            ]
        )

    def markdown(self) -> str:
        return f"**{self.title}.** {self.note[:1].upper()}{self.note[1:]}.\n\n{markdown_table(self.head, self.rows)}"


def score_table(scores: Mapping[str, Score]) -> Table:
    """Per row: n, right tool and exact with their intervals."""
    return Table(
        "Scores",
        "%, with 95 % confidence intervals; exact: every call and argument right",
        ("set", "n", "right tool", "95 %", "exact", "95 %"),
        tuple((name, str(s.total), *_share(s.tool, s.total), *_share(s.exact, s.total)) for name, s in scores.items()),
    )


def error_table(scores: Mapping[str, Score]) -> Table:
    """Kinds of errors down, sets across: each set as a whole, each category of the leaderboard."""
    shown = {name.removesuffix("/all").removeprefix("bfcl/"): s for name, s in scores.items() if _is_set(name)}
    kinds = [kind for kind in ERRORS if any(s.errors[kind] for s in shown.values())]
    return Table(
        "Errors",
        "requests that show each; one with several wrong arguments may show several",
        ("", *shown),
        (
            ("failed requests", *(str(s.total - s.exact) for s in shown.values())),
            *((kind, *(str(s.errors[kind] or "·") for s in shown.values())) for kind in kinds),
        ),
    )


def retrieval_table(found: Mapping[str, Mapping[int, Recall]]) -> Table:
    """Per set and number of tools: how many of the right ones are among the nearest."""
    return Table(
        "Retrieval",
        "% of right tools that are among the k nearest to the conversation",
        ("set", "tools", "n", *(f"k = {depth}" for depth in DEPTHS)),
        tuple(
            (name, str(size), str(r.total), *(f"{100 * r.share(depth):.1f}" for depth in DEPTHS))
            for name, sizes in found.items()
            for size, r in sizes.items()
            if r.total
        ),
    )


def comparison_table(compared: Mapping[str, Comparison], first: str, second: str) -> Table:
    """Exact answers of two artifacts on the same requests, and McNemar's p."""
    return Table(
        f"Exact answers of A, {first}, and B, {second}",
        "%; p: exact McNemar test of the requests that only one gets right",
        ("set", "n", "A", "B", "B − A", "only A", "only B", "p"),
        tuple(
            (
                name,
                str(c.total),
                _percent(c.first, c.total),
                _percent(c.second, c.total),
                f"{100 * (c.second - c.first) / c.total:+.1f}",
                str(c.only_first),
                str(c.only_second),
                f"{c.p:.3f}",
            )
            for name, c in compared.items()
        ),
    )


def as_text(tables: Sequence[Table]) -> str:
    return "\n\n".join(t.text() for t in tables)


def as_markdown(tables: Sequence[Table]) -> str:
    return "\n\n".join(t.markdown() for t in tables) + "\n"


def _is_set(row: str) -> bool:
    return row.endswith("/all") or row.startswith("bfcl/")


def _percent(count: int, total: int) -> str:
    return f"{100 * count / total:.1f}"


def _share(count: int, total: int) -> tuple[str, str]:
    low, high = wilson(count, total)
    return _percent(count, total), f"{100 * low:.1f}–{100 * high:.1f}"
