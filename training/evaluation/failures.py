"""The failures as a page to read: grouped by set and kind of error, gold against answer, the difference marked."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from model.prompt import dumps
from training.evaluation.outcome import ERRORS, Mark, Outcome
from training.evaluation.scores import score
from training.page import html_page, tools_html, turns_html

MOST = 25  # failures of one kind in one set


def write_failures(path: Path, outcomes: Sequence[Outcome], artifact: str) -> int:
    """Write the page, each failure under its first error; returns how many it shows, at most `MOST` of a kind."""
    groups: dict[str, dict[str, list[Outcome]]] = {row: {} for row in score(outcomes)}
    for outcome in outcomes:
        if not outcome.exact:
            groups[outcome.task.rows[-1]].setdefault(outcome.errors[0], []).append(outcome)
    groups = {row: found for row, found in groups.items() if found}
    kinds = [kind for kind in ERRORS if any(kind in found for found in groups.values())]
    sections = []
    for row, found in groups.items():
        sections.append(f'<h2 id="{_anchor(row)}">{html.escape(row)}</h2>')
        for kind in kinds:
            if kind in found:
                sections.append(_section(row, kind, found[kind]))
    lead = (
        f"{len(outcomes)} requests to {artifact}, {sum(not o.exact for o in outcomes)} of them not answered as they"
        f" should be. A number leads to its failures, the first {MOST} of each kind; a request with several kinds of"
        " wrong arguments is under the first. What gold and answer do not have in common is marked."
    )
    body = _overview(groups, kinds) + "\n".join(sections)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html_page("Failures", lead, body, _STYLE), encoding="utf-8")
    return sum(len(found[:MOST]) for kinds_found in groups.values() for found in kinds_found.values())


def _overview(groups: dict[str, dict[str, list[Outcome]]], kinds: Sequence[str]) -> str:
    """A table of counts, sets down and kinds across, each a link."""
    head = "".join(f"<th><span>{html.escape(kind)}</span></th>" for kind in kinds)
    rows = []
    for row, found in groups.items():
        cells = "".join(
            f'<td><a href="#{_anchor(row, kind)}">{len(found[kind])}</a></td>' if kind in found else "<td></td>"
            for kind in kinds
        )
        rows.append(f'<tr><th><a href="#{_anchor(row)}">{html.escape(row)}</a></th>{cells}</tr>')
    return f'<div class="wide"><table><tr><th></th>{head}</tr>{"".join(rows)}</table></div>'


def _section(row: str, kind: str, found: Sequence[Outcome]) -> str:
    cards = "\n".join(map(_card, found[:MOST]))
    count = f"{len(found)}" if len(found) <= MOST else f"{MOST} of {len(found)}"
    title = f"{html.escape(kind)} <small>{count} · {html.escape(row)}</small>"
    return f'<section id="{_anchor(row, kind)}"><h3>{title}</h3>{cards}</section>'


def _card(outcome: Outcome) -> str:
    task = outcome.task
    gold = [_call("gold", i, g.name, dict(g.arguments), outcome.marks) for i, g in enumerate(task.gold)]
    calls = [_call("answer", i, name, arguments, outcome.marks) for i, (name, arguments) in enumerate(outcome.calls)]
    reply = "".join(calls) or f"<code>{html.escape(outcome.refusal or 'no call')}</code>"
    confidence = "" if outcome.confidence is None else f" · confidence {outcome.confidence:.2f}"
    badges = "".join(f'<span class="badge">{html.escape(error)}</span>' for error in outcome.errors)
    named = {g.name for g in task.gold} | {name for name, _ in outcome.calls}
    return (
        f"<article><h4>{badges} <small>{html.escape(task.id)}{confidence}</small></h4>{turns_html(task.messages)}"
        f"<dl><dt>gold</dt><dd>{''.join(gold) or '<code>no call</code>'}</dd><dt>answer</dt><dd>{reply}</dd></dl>"
        f"{tools_html(task.tools, named)}</article>"
    )


def _call(
    side: Literal["gold", "answer"], number: int, name: str, arguments: dict[str, Any], marks: frozenset[Mark]
) -> str:
    """A call as code, what differs in <mark>."""
    parts = []
    for key, value in arguments.items():
        text = html.escape(f"{dumps(key)}: {dumps(value)}")
        parts.append(f"<mark>{text}</mark>" if Mark(side, number, key) in marks else text)
    if side == "gold":
        # Required by the declaration, though the annotation has no value for it: nothing above shows it.
        absent = [m.argument for m in marks if m[:2] == (side, number) and m.argument not in (None, *arguments)]
        parts += [f"<mark>{html.escape(dumps(key))}</mark>" for key in absent]
    text = f"{html.escape(name)}({', '.join(parts)})"
    return f"<code>{f'<mark>{text}</mark>' if Mark(side, number, None) in marks else text}</code>"


def _anchor(*names: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", "--".join(names).lower())


_STYLE = """
h2 { font-size: 1.25rem; margin: 2.2rem 0 .3rem; border-bottom: 1px solid var(--line) }
h3 { font-size: 1.05rem; margin: 1.4rem 0 .2rem } h4 { font-size: .9rem; margin: .3rem 0 }
.badge { background: var(--bad-back); color: var(--bad); border-radius: 9px; padding: .05rem .55rem;
  margin-right: .35rem; font-weight: 500; font-size: .8rem }
dl { display: grid; grid-template-columns: 5rem 1fr; margin: .4rem 0; row-gap: .25rem }
dt { color: var(--faint) } dd { margin: 0; min-width: 0 }
code { display: block; font: .83rem/1.5 ui-monospace, monospace; overflow-wrap: anywhere; padding-left: 1.2em;
  text-indent: -1.2em }
mark { border-radius: 3px; padding: .05em .15em; color: var(--bad); background: var(--bad-back) }
dt:first-child + dd mark { color: var(--good); background: var(--good-back) }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: .85rem; margin: 1rem 0 }
td, th { padding: .15rem .5rem; border-bottom: 1px solid var(--line); text-align: right; font-weight: 400 }
th:first-child { text-align: left; white-space: nowrap }
tr:first-child th { vertical-align: bottom; color: var(--faint) }
tr:first-child span { writing-mode: vertical-rl; transform: rotate(180deg); white-space: nowrap }
td a { text-decoration: none }
"""
