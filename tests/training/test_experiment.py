"""The experiment's table and figure, from what its runs leave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("torch")

from bench import distillation  # noqa: E402
from bench.distillation import BEGIN, END, render, table  # noqa: E402


def side(exact: float, answered: float | None) -> dict[str, Any]:
    return {"total": 100, "tool": 0.9, "exact": exact, "exact_95": [exact - 0.05, exact + 0.05], "answered": answered}


def leave_run(folder: Path, exact: float) -> None:
    """What a run of so many examples leaves that the table is made of."""
    (folder / "artifact").mkdir(parents=True)
    rows = {
        "own tools/all": {"before": side(0.2, 0.0), "after": side(0.1, 0.0)},
        "own tools/new requests": {"before": side(0.3, 0.0), "after": side(exact, 0.4)},
        "general/all": {"before": side(0.5, None), "after": side(0.45, None)},
    }
    (folder / "comparison.json").write_text(json.dumps(rows), encoding="utf-8")


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    class Trained:
        info = {"trained": {"minutes": 12.3}}

    monkeypatch.setattr(distillation, "read_manifest", lambda folder: Trained)
    for size, exact in ((1000, 0.8), (250, 0.6)):
        leave_run(tmp_path / "tickets" / str(size), exact)
    described = {"title": "15 tools", "dollars": {"250": 0.08, "1000": 0.31}}
    (tmp_path / "tickets" / "set.json").write_text(json.dumps(described), encoding="utf-8")
    return tmp_path


def test_the_document_gets_the_table_and_keeps_the_rest(runs: Path) -> None:
    document = runs / "document.md"
    document.write_text(f"before\n\n{BEGIN}\nold\n{END}\n\nafter\n", encoding="utf-8")
    render(runs, document)
    text = document.read_text(encoding="utf-8")
    assert text.startswith(f"before\n\n{BEGIN}\n\n**Learning curves.**") and text.endswith(f"{END}\n\nafter\n")
    assert "old" not in text
    rows = [line for line in text.splitlines() if line.startswith("| 15 tools")]
    assert [[cell.strip() for cell in row.split("|")[2:5]] for row in rows] == [
        ["0", "90.0", "30.0"],
        ["250", "90.0", "60.0"],
        ["1,000", "90.0", "80.0"],
    ]
    with Image.open(runs / "distillation.png") as picture:
        assert picture.width > 800 and len(picture.getcolors()) > 30  # axes, text and the smooth edges of curves
    render(runs, document)
    assert document.read_text(encoding="utf-8") == text


def test_a_document_without_marks_is_left_alone(runs: Path) -> None:
    document = runs / "document.md"
    document.write_text("nothing here\n", encoding="utf-8")
    with pytest.raises(ValueError, match="lacks the lines"):
        render(runs, document)
    assert document.read_text(encoding="utf-8") == "nothing here\n"


def test_a_row_tells_minutes_dollars_and_what_was_forgotten() -> None:
    tests = {"new requests": {"before": side(0.3, 0.0), "after": side(0.6, 0.4)}}
    general = {"before": side(0.5, None), "after": side(0.45, None)}
    point = {"examples": 5000, "minutes": 55.4, "dollars": 1.5, "tests": tests, "general": general}
    made = table({"15 tools": [point]})
    assert made.rows[1] == ("15 tools: new requests", "5,000", "90.0", "60.0", "55.0–65.0", "40", "45.0", "55", "1.50")
