"""The page of failures."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from tests.training.evaluation.requests import Call, outcome
from training.evaluation.failures import MOST, write_failures
from training.evaluation.outcome import Outcome

PARIS: Call = ("get_weather", {"city": "Paris", "days": 3})
ROME: Call = ("get_time", {"city": "Rome"})


def page(tmp_path: Path, *outcomes: Outcome) -> tuple[str, int]:
    count = write_failures(tmp_path / "deep" / "f.html", outcomes, "model/x")
    return (tmp_path / "deep" / "f.html").read_text(encoding="utf-8"), count


def test_failures_are_grouped_and_linked(tmp_path: Path) -> None:
    text, count = page(
        tmp_path,
        outcome([PARIS], PARIS),
        outcome([ROME], PARIS, rows=("set/all", "set/a b")),
        outcome([], PARIS, rows=("set/all", "set/a b")),
        outcome([ROME], rows=("bfcl/irrelevance",)),
        outcome("refuse", PARIS, rows=("bfcl/irrelevance",)),
    )
    assert count == 4 == text.count("<article>")
    assert "5 requests to model/x, 4 of them" in text
    links, anchors = re.findall(r'href="#([^"]+)"', text), re.findall(r'id="([^"]+)"', text)
    assert sorted(links) == sorted(anchors) and len(set(anchors)) == len(anchors) == 6
    order = [
        text.index(f'id="{a}"') for a in ("set-a-b", "set-a-b-missed-call", "set-a-b-wrong-tool", "bfcl-irrelevance")
    ]
    assert order == sorted(order)
    assert "no such keyword" in text and "confidence 0.93" in text and "2 tools" in text


def test_what_differs_is_marked(tmp_path: Path) -> None:
    text, _ = page(tmp_path, outcome([("get_weather", {"city": "Paris", "days": 4, "unit": "c"})], PARIS))
    gold, answered = re.findall(r"<code>(.*?)</code>", text)
    assert gold == "get_weather(&quot;city&quot;: &quot;Paris&quot;, <mark>&quot;days&quot;: 3</mark>)"
    assert re.findall(r"<mark>(.*?)</mark>", answered) == ["&quot;days&quot;: 4", "&quot;unit&quot;: &quot;c&quot;"]
    whole, _ = page(tmp_path, outcome([ROME], PARIS))
    assert whole.count("<code><mark>get_") == 2


def test_one_kind_does_not_fill_the_page(tmp_path: Path) -> None:
    text, count = page(tmp_path, *[outcome([], PARIS)] * (MOST + 3))
    assert count == MOST == text.count("<article>")
    assert f"{MOST} of {MOST + 3}" in text and f">{MOST + 3}</a>" in text


def test_no_call_and_no_confidence(tmp_path: Path) -> None:
    text, _ = page(tmp_path, replace(outcome([], PARIS), confidence=None))
    assert "<code>no call</code>" in text and "confidence" not in text


def test_everything_is_escaped(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    text, _ = page(tmp_path, outcome([("get_weather", {evil: evil})], ("get_weather", {"city": evil}), rows=(evil,)))
    assert "<script" not in text and text.count("&lt;script&gt;") >= 5
