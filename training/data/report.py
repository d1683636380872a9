"""The corpus in print: tables for the terminal, the datasheet with its pictures, a page of examples to read."""

from __future__ import annotations

import html
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from model.prompt import calls_text, dumps
from model.types import ToolCall
from training.data.example import Example
from training.data.statistics import TABLES, Statistics
from training.figure import save_figure
from training.page import html_page, markdown_table, tools_html, turns_html

ORDERED = {"calls", "tools", "turns", "arguments", "words"}  # by number, the others by count
NO_CALL = '<p class="call">→ no call</p>'
SHOWN = 40  # rows of a table in the terminal
BARS = 75  # bars of a picture one below the other; more go beside them


def table(counts: Mapping[str, int], by_number: bool, limit: int | None = None) -> list[tuple[str, int, float]]:
    """(key, count, share) rows in reading order."""
    total = sum(counts.values())
    rows = sorted(counts.items(), key=lambda kv: (_number(kv[0]) if by_number else -kv[1], kv[0]))
    return [(key, count, count / total) for key, count in rows[:limit]]


def print_statistics(statistics: Statistics) -> None:
    """Every table as text, with bars."""
    print(f"{statistics.total:,} examples")
    for name, meaning in TABLES.items():
        rows = table(statistics.tables[name], name in ORDERED, SHOWN)
        if not rows:
            continue
        print(f"\n{name}: {meaning}")
        widest = max(share for _, _, share in rows)
        for key, count, share in rows:
            print(f"  {key:34}{count:10,}{100 * share:7.1f} %  {'█' * round(30 * share / widest)}")
        if len(statistics.tables[name]) > len(rows):
            print(f"  … {len(statistics.tables[name]) - len(rows)} more")
    if statistics.dropped:
        print("\ndropped")
    for source, reasons in statistics.dropped.items():
        for reason, count in reasons.items():
            print(f"  {source:34}{count:10,}  {reason}")
    if statistics.decontamination:
        print(f"\nchecked against {statistics.decontamination['requests checked against']:,} evaluation requests")


def write_datasheet(statistics: Statistics, path: Path, licences: Sequence[tuple[str, str, str]]) -> None:
    """A Markdown page, and its pictures beside it as `<name>-<table>.png`.

    `licences` are (corpus, upstream, licence) rows.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = [
        "# The training corpus",
        "Made by `bodkin data stats --datasheet`; do not edit. [training.md](training.md) tells how it is put together,"
        " [the scenario library's README](../training/scenarios/README.md) how to add to it.",
        f"**{statistics.total:,} examples**, after the gates at the end of this page.",
    ]
    for name, meaning in TABLES.items():
        counts = statistics.tables[name]
        if not counts:
            continue
        picture = path.with_name(f"{path.stem}-{name}.png")
        _bars(counts, name, meaning, picture)
        parts += [f"## {name.capitalize()}", f"{meaning.capitalize()}.", f"![{name}]({picture.name})"]
        if name != "domain":
            parts.append(markdown_table(("", "examples", "%"), _rows(counts, name)))
    parts.append("## Dropped")
    parts.append("Examples that the gates turned away, by source and reason.")
    rows = [(s, r, f"{n:,}") for s, reasons in statistics.dropped.items() for r, n in reasons.items()]
    parts.append(markdown_table(("source", "reason", "examples"), rows))
    parts.append("## Decontamination")
    parts.append(_decontamination(statistics))
    if licences:
        parts.append("## Sources and licences")
        parts.append(markdown_table(("corpus", "upstream", "licence"), licences))
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def write_preview(examples: Sequence[Example], path: Path, count: int, seed: int) -> int:
    """A page with `count` random examples; returns how many it has."""
    chosen = random.Random(seed).sample(list(examples), min(count, len(examples)))
    cards = "\n".join(_card(number, example) for number, example in enumerate(chosen, 1))
    lead = "A turn each line, the gold answer behind the arrow. Would a careful annotator agree?"
    page = html_page(f"{len(chosen)} random training examples", lead, cards)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return len(chosen)


def _number(key: str) -> int:
    return int(key.split("-")[0].rstrip("+"))


def _rows(counts: Mapping[str, int], name: str) -> list[tuple[str, str, str]]:
    return [(key, f"{count:,}", f"{100 * share:.1f}") for key, count, share in table(counts, name in ORDERED)]


def _decontamination(statistics: Statistics) -> str:
    report = statistics.decontamination
    if not report:
        return "**Not checked**: no evaluation set was given (`--evaluation`)."
    lines = [
        f"Checked against {report['requests checked against']:,} requests and their tools of the Berkeley leaderboard."
        " A request that shares eight words in a row with one of them, or is one of them, was dropped; so was every"
        " example over a tool with the same name and the same parameters. Equal names alone are only counted.",
    ]
    for kind, found in ((k, v) for k, v in report.items() if isinstance(v, Mapping)):
        lines.append(f"* {kind}: {found['examples']:,} examples, {found['distinct']:,} distinct")
    names = ", ".join(f"`{name}`" for name, _ in report["tool name only"]["most"])
    return "\n".join([lines[0], "", *lines[1:], "", f"The most frequent equal names: {names}." if names else ""])


def _bars(counts: Counter[str], name: str, meaning: str, path: Path) -> None:
    rows = table(counts, name in ORDERED)
    if name in ORDERED:
        figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
        axes.bar([r[0] for r in rows], [r[1] for r in rows], color="#3b6ea5")
        axes.set_ylabel("examples")
        columns = [axes]
    else:
        count = -(-len(rows) // BARS)
        height = -(-len(rows) // count)
        size = (3.5 * count + 4.5 * (count == 1), max(2.0, 0.19 * height + 0.8))
        figure, grid = plt.subplots(1, count, figsize=size, layout="constrained", sharex=True, squeeze=False)
        columns = list(grid[0])
        for k, axes in enumerate(columns):
            part = rows[k * height : (k + 1) * height]
            axes.barh([r[0] for r in part], [r[1] for r in part], color="#3b6ea5")
            axes.tick_params(axis="y", labelsize=7)
            axes.set_xlabel("examples")
            axes.set_ylim(height - 0.5, -0.5)  # the largest on top, and a short last column no thicker
    figure.suptitle(meaning, fontsize=10)
    for axes in columns:
        axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)
    plt.close(figure)


def _card(number: int, example: Example) -> str:
    calls = "".join(
        f'<p class="call">→ {html.escape(calls_text([ToolCall(c.name, dumps(c.arguments))])[1:-1])}</p>'
        for c in example.calls
    )
    return (
        f"<article><h2>{number} <small>{html.escape(example.source)} · {html.escape(example.group)}</small></h2>"
        f"{turns_html(example.messages)}{calls or NO_CALL}"
        f"{tools_html(example.tools, {c.name for c in example.calls})}</article>"
    )
