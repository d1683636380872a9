"""From a teacher's answers to what is taught: counted, gated, freed of near-duplicates, balanced, split, reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model.tokenizer import Tokenizer
from training.data.example import Example
from training.distil.answers import Tally, same, tally
from training.distil.filter_report import Report
from training.distil.gates import UNANIMOUS, Gates, unsaid
from training.distil.labels import Answer, Label, write_labels
from training.distil.ledger import Asked, Contents
from training.distil.near import Clusters, NearIndex, features
from training.distil.split import held_out, too_many
from training.teacher.base import Reply

SOURCE = "distil"  # of the labels' examples, and their group: the user's tools are one family
NEAR = 0.8  # similarity from which two requests do not both count
NO_ANSWER = {"blocked": "blocked", "length": "cut off", "malformed": "malformed", "stop": "malformed"}


@dataclass(frozen=True)
class FilterConfig:
    """`agreement` is the least share of the samples that the first answer has; `balance` is `split.too_many`'s."""

    agreement: float = 0.5
    balance: float = 3.0
    held_out: float = 0.1


@dataclass(frozen=True)
class Filtered:
    """`heldout` are labels that must not be trained on."""

    labels: list[Label]
    heldout: list[Label]
    report: Report


def filter_ledger(ledger: Contents, out: Path, tokenizer: Tokenizer, config: FilterConfig) -> Filtered:
    """Write `labels.jsonl`, `heldout.jsonl`, `report.md` and `report.json` to the folder `out`.

    They are the same for the same ledger, in whatever order its answers came. `tokenizer` is the student's. Raises
    ValueError, once all is written, if nothing is left to learn from.
    """
    report = Report(config.agreement)
    kept = _answered(ledger, tokenizer, config, report)
    kept, clusters = _distinct(kept, report)
    surplus = too_many([c.label.example.calls for c in kept], [c.asked.id for c in kept], config.balance)
    for number in surplus:
        report.drop("too many of this tool", kept[number].asked, kept[number].tallies)
    rest = [n for n in range(len(kept)) if n not in surplus]
    held = held_out(
        [clusters.root(n) for n in rest],
        [(_tool(kept[n].label), kept[n].label.kind) for n in rest],
        [kept[n].asked.id for n in rest],
        config.held_out,
    )
    filtered = Filtered([], [], report)
    for place, number in enumerate(rest):
        (filtered.heldout if place in held else filtered.labels).append(kept[number].label)
        report.keep(kept[number].label, held_out=place in held)
    write_labels(out / "labels.jsonl", filtered.labels)
    write_labels(out / "heldout.jsonl", filtered.heldout)
    report.write(out)
    if not filtered.labels:
        raise ValueError(f"nothing is left to learn from: {out / 'report.md'} says what was dropped, and why")
    return filtered


@dataclass(frozen=True)
class _Kept:
    asked: Asked
    tallies: list[Tally]
    label: Label


def _answered(ledger: Contents, tokenizer: Tokenizer, config: FilterConfig, report: Report) -> list[_Kept]:
    """The questions whose answer is one to learn from, in the ledger's order."""
    gates = Gates(tokenizer)
    kept = []
    for asked in ledger.questions.values():
        replies = ledger.answers[asked.id].replies if asked.id in ledger.answers else []
        tallies = tally(replies, asked.question.tools)
        report.count(tallies, len(replies))
        reason = _unusable(replies, tallies, config.agreement)
        unanimous = len(replies) >= UNANIMOUS and bool(tallies) and tallies[0].count == len(replies)
        reason = reason or gates(asked.question, tallies[0].calls, unanimous)
        if reason:
            report.drop(reason, asked, tallies)
            continue
        if unsaid(asked.question, tallies[0].calls):
            report.derived += 1
        others = [t for t in tallies[1:] if gates(asked.question, t.calls, unanimous=False) is None]
        answers = tuple(Answer(t.calls, t.count / len(replies)) for t in (tallies[0], *others))
        question = asked.question
        example = Example(SOURCE, SOURCE, question.messages, question.tools, answers[0].calls)
        kept.append(_Kept(asked, tallies, Label(example, answers, asked.kind)))
    return kept


def _unusable(replies: Sequence[Reply], tallies: Sequence[Tally], agreement: float) -> str | None:
    if not replies:
        return "not answered"
    if not tallies:
        return NO_ANSWER[Counter(r.finish for r in replies).most_common(1)[0][0]]
    first, rivals = tallies[0].count, [t.count for t in tallies[1:]]
    if first < agreement * len(replies) or first in rivals:
        return "samples disagree"
    return None


def _distinct(kept: Sequence[_Kept], report: Report) -> tuple[list[_Kept], Clusters]:
    """Of requests that say nearly the same and have the same answer the first; and clusters of those that are left."""
    index = NearIndex(NEAR)
    clusters = Clusters(len(kept))
    distinct: list[_Kept] = []
    for each in kept:
        found = features(each.label.example.messages)
        near = index.similar(found)
        if any(same(distinct[n].label.example.calls, each.label.example.calls) for n in near):
            report.drop("near-duplicate", each.asked, each.tallies)
            continue
        number = index.add(found)
        distinct.append(each)
        for other in near:
            clusters.join(number, other)
    return distinct, clusters


def _tool(label: Label) -> str:
    return label.example.calls[0].name if label.example.calls else ""
