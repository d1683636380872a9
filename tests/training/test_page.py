"""What pages for reading have in common."""

from __future__ import annotations

from model.types import Message, Tool, ToolCall
from training.page import html_page, markdown_table, tools_html, turns_html

EVIL = "<script>&"


def test_a_page_escapes_its_title_and_lead_and_keeps_its_body() -> None:
    page = html_page(EVIL, EVIL, "<p>{body}</p>", "p { margin: 0 }")
    assert page.count("&lt;script&gt;&amp;") == 3 and "<script" not in page
    assert "<p>{body}</p>" in page and "p { margin: 0 }" in page
    assert "prefers-color-scheme: dark" in page


def test_turns_and_tools_are_escaped() -> None:
    turns = turns_html([Message("user", EVIL), Message("assistant", "", (ToolCall("f", '{"x":1}'),))])
    assert "<b>user</b>&lt;script&gt;&amp;" in turns and "&quot;name&quot;:&quot;f&quot;" in turns
    tools = tools_html([Tool("f", EVIL), Tool("g")], {"g"})
    assert "2 tools" in tools and "f: &lt;script&gt;&amp;" in tools
    assert tools.count("called") == 1 and tools.index("called") > tools.index("f: ")


def test_a_markdown_table_escapes_bars() -> None:
    assert markdown_table(("a", "b"), [("x|y", "1")]) == "| a | b |\n| --- | --- |\n| x\\|y | 1 |"
