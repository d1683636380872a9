"""What the pages made for reading have in common: HTML in light and dark, conversations and tools in it; Markdown."""

from __future__ import annotations

import html
from collections.abc import Collection, Sequence

from model.prompt import calls_text, tool_text
from model.types import Message, Tool

_STYLE = """
:root { color-scheme: light dark; --text: #1c2733; --faint: #5f6e80; --back: #fff; --line: #d5dde6; --pre: #f4f6f9;
  --good: #0b5d3b; --good-back: #e6f4ec; --bad: #9a1f2b; --bad-back: #fde4e4; --link: #1f5fa8 }
@media (prefers-color-scheme: dark) {
  :root { --text: #dde4ec; --faint: #94a2b3; --back: #12171d; --line: #2e3944; --pre: #1b222b;
    --good: #7fd6a8; --good-back: #16352a; --bad: #ff9b9b; --bad-back: #4a2024; --link: #86b7f5 }
}
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color: var(--text); background: var(--back) }
article { border: 1px solid var(--line); border-radius: 6px; padding: .4rem 1rem; margin: .8rem 0; break-inside: avoid }
h1 { font-size: 1.4rem } h2 { font-size: 1rem; margin: .3rem 0 } small { color: var(--faint); font-weight: 400 }
p { margin: .25rem 0; overflow-wrap: anywhere }
a { color: var(--link) }
.turn { padding-left: 5rem; text-indent: -5rem }
.turn b { color: var(--faint); font-weight: 400; display: inline-block; width: 5rem; text-indent: 0 }
.call { font-family: ui-monospace, monospace; font-size: .85rem; color: var(--good) }
pre { font-size: .78rem; white-space: pre-wrap; overflow-wrap: anywhere; margin: .3rem 0; padding: .4rem;
  background: var(--pre) }
pre.called { background: var(--good-back) }
summary { color: var(--faint); font-size: .85rem; cursor: pointer }
"""


def html_page(title: str, lead: str, body: str, style: str = "") -> str:
    """A page in one file. `title` and `lead` are text, `body` is HTML, `style` is more CSS."""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Bodkin: {html.escape(title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{_STYLE}{style}</style></head><body>
<h1>{html.escape(title)}</h1>
<p>{html.escape(lead)}</p>
{body}
</body></html>
"""


def turns_html(messages: Sequence[Message]) -> str:
    """A conversation, a paragraph each turn, earlier calls as text."""
    return "".join(
        f'<p class="turn"><b>{m.role}</b>{html.escape(m.text + (calls_text(m.tool_calls) if m.tool_calls else ""))}</p>'
        for m in messages
    )


def tools_html(tools: Sequence[Tool], called: Collection[str]) -> str:
    """The tools on offer, folded away, as the model reads them; those named in `called` stand out."""
    texts = []
    for tool in tools:
        head, blocks = tool_text(tool)
        text = html.escape(head + "".join(blocks.values()))
        texts.append(f'<pre class="{"called" if tool.name in called else ""}">{text}</pre>')
    return f"<details><summary>{len(tools)} tools</summary>{''.join(texts)}</details>"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)])
