"""The corpus in print."""

from __future__ import annotations

import random
import re
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.image
import pytest

from model.types import Message, Tool, ToolCall
from tests.training.domains import small_library
from training.data.compose import Composer
from training.data.example import Call, Example
from training.data.quality import Decontamination
from training.data.report import SHOWN, print_statistics, table, write_datasheet, write_preview
from training.data.statistics import TABLES, Statistics

LICENCES = [("sgd", "owner/dialogues @ abc123", "CC | BY")]


def examples(visits: int = 12) -> list[Example]:
    composer = Composer(list(small_library().values()))
    return [e for seed in range(visits) for e in composer.visit(random.Random(seed))]


def statistics(checked: bool = True) -> Statistics:
    made = Statistics()
    for example in examples():
        made.add(example)
    made.dropped = {"train/sgd": {"duplicate": 12_345, "text not said": 5}}
    if checked:
        gate = Decontamination(["make me a cocoa right now"], [("brew", frozenset({"drink"}))])
        for example in examples():
            gate(example)
        made.decontamination = gate.report()
    return made


def test_rows_are_by_count_or_by_number() -> None:
    counts = {"10": 5, "2": 1, "0": 4}
    assert table(counts, by_number=False) == [("10", 5, 0.5), ("0", 4, 0.4), ("2", 1, 0.1)]
    assert [key for key, _, _ in table(counts, by_number=True)] == ["0", "2", "10"]
    assert [key for key, _, _ in table({"60+": 1, "5-9": 1, "0-4": 1, "10-14": 1}, by_number=True)] == [
        *("0-4", "5-9", "10-14", "60+")
    ]
    assert table(counts, by_number=False, limit=1) == [("10", 5, 0.5)]
    assert table({}, by_number=False) == []


def test_every_table_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    made = statistics()
    print_statistics(made)
    out = capsys.readouterr().out
    assert out.startswith("96 examples\n")
    for name, meaning in TABLES.items():
        assert f"\n{name}: {meaning}\n" in out
        for key, count in made.tables[name].items():
            assert re.search(rf"^  {re.escape(key)} +{count:,} +\d+\.\d %", out, re.MULTILINE)
    assert "12,345  duplicate" in out and "checked against 1 evaluation requests" in out


def test_long_tables_are_cut_in_print(capsys: pytest.CaptureFixture[str]) -> None:
    made = Statistics()
    made.tables["domain"].update({f"domain{i:03}": 1 for i in range(SHOWN + 7)})
    print_statistics(made)
    out = capsys.readouterr().out
    assert "  … 7 more\n" in out and "domain039" in out and "domain040" not in out


def test_an_empty_corpus_prints_no_tables(capsys: pytest.CaptureFixture[str]) -> None:
    print_statistics(Statistics())
    assert capsys.readouterr().out == "0 examples\n"


def test_the_datasheet_names_every_table_and_shows_its_picture(tmp_path: Path) -> None:
    made = statistics()
    page = tmp_path / "docs" / "corpus.md"
    write_datasheet(made, page, LICENCES)
    text = page.read_text(encoding="utf-8")
    assert "**96 examples**" in text
    for name, meaning in TABLES.items():
        assert f"## {name.capitalize()}\n" in text and f"{meaning.capitalize()}." in text
        assert f"![{name}](corpus-{name}.png)" in text
        picture = matplotlib.image.imread(page.with_name(f"corpus-{name}.png"))
        assert picture.shape[0] > 100 and picture.shape[1] > 400 and picture.min() < picture.max()
        if name != "domain":
            for key, count in made.tables[name].items():
                assert f"| {key} | {count:,} |" in text
    assert len(list(page.parent.glob("*.png"))) == len(TABLES)
    assert "| train/sgd | duplicate | 12,345 |" in text
    assert "| sgd | owner/dialogues @ abc123 | CC \\| BY |" in text


def test_the_datasheet_tells_what_was_checked(tmp_path: Path) -> None:
    made = statistics()
    assert made.decontamination is not None
    found = made.decontamination["tool name only"]
    assert found["examples"] > 0
    write_datasheet(made, tmp_path / "checked.md", [])
    text = (tmp_path / "checked.md").read_text(encoding="utf-8")
    assert "Checked against 1 requests" in text and f"* tool name only: {found['examples']:,} examples" in text
    assert "`brew`" in text and "Not checked" not in text and "licences" not in text
    write_datasheet(statistics(checked=False), tmp_path / "unchecked.md", [])
    assert "**Not checked**" in (tmp_path / "unchecked.md").read_text(encoding="utf-8")


def test_a_datasheet_survives_its_way_through_a_file(tmp_path: Path) -> None:
    made = statistics()
    made.write(tmp_path / "s.json")
    write_datasheet(made, tmp_path / "a.md", LICENCES)
    write_datasheet(Statistics.read(tmp_path / "s.json"), tmp_path / "b.md", LICENCES)
    text = (tmp_path / "b.md").read_text(encoding="utf-8")
    assert text.replace("(b-", "(a-") == (tmp_path / "a.md").read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Collects a page's tags and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader


def test_a_preview_shows_random_examples_of_a_seed(tmp_path: Path) -> None:
    made = examples()
    assert write_preview(made, tmp_path / "deep" / "a.html", 10, seed=3) == 10
    write_preview(made, tmp_path / "b.html", 10, seed=3)
    write_preview(made, tmp_path / "c.html", 10, seed=4)
    page = read(tmp_path / "deep" / "a.html")
    assert page.tags.count("article") == 10 and "10 random training examples" in page.text
    assert (tmp_path / "b.html").read_bytes() == (tmp_path / "deep" / "a.html").read_bytes()
    assert (tmp_path / "c.html").read_bytes() != (tmp_path / "b.html").read_bytes()
    shown = [e for e in made if all(m.text in page.text for m in e.messages)]
    assert len(shown) >= 10
    assert write_preview(made[:3], tmp_path / "d.html", 10, seed=0) == 3


def test_a_preview_shows_turns_calls_and_tools(tmp_path: Path) -> None:
    tool = Tool("f", "Does f.", {"type": "object", "properties": {"x": {"type": "string"}}})
    turns = (
        Message("user", "first"),
        Message("assistant", "", (ToolCall("f", '{"x":"earlier"}'),)),
        Message("tool", '{"ok":true}', name="f"),
        Message("user", "second"),
    )
    both = [Example("s", "g#1", turns, (tool, Tool("other", "Idle.")), (Call("f", {"x": "later"}),))]
    write_preview(both, tmp_path / "a.html", 5, seed=0)
    page = read(tmp_path / "a.html")
    for said in ("first", '"x":"earlier"', '{"ok":true}', "second", '→ {"name":"f","arguments":{"x":"later"}}'):
        assert said in page.text
    assert "f: Does f." in page.text and "other: Idle." in page.text and "2 tools" in page.text
    write_preview([Example("s", "g", turns[:1], (), ())], tmp_path / "b.html", 5, seed=0)
    assert "→ no call" in read(tmp_path / "b.html").text


def test_a_preview_escapes_what_examples_hold(tmp_path: Path) -> None:
    evil = "<script>alert('x')</script> & <b>"
    tool = Tool(f"f{evil}", evil, {"type": "object", "properties": {evil: {"type": "string", "description": evil}}})
    example = Example(evil, evil, (Message("user", evil),), (tool,), (Call(tool.name, {evil: evil}),))
    write_preview([example], tmp_path / "a.html", 1, seed=0)
    page = read(tmp_path / "a.html")
    assert "script" not in page.tags
    assert page.text.count(evil) >= 6
    assert "<script" not in (tmp_path / "a.html").read_text(encoding="utf-8")


def test_a_preview_leaves_braces_of_examples_alone(tmp_path: Path) -> None:
    texts = "the template has {count} and {cards} in it"
    write_preview([Example("s", "g", (Message("user", texts),), (), ())], tmp_path / "a.html", 1, seed=0)
    assert texts in read(tmp_path / "a.html").text
