"""Before and after: what counts as right, what may be answered, and the one table of it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from model.prompt import dumps
from model.types import GenerationRequest, GenerationResult, Message, Tool, ToolCall, Usage
from training.data.example import Call, Example
from training.distil import comparison as module
from training.distil.comparison import OWN, compare_artifacts, own_tasks, table, write_comparison
from training.distil.labels import Answer, Label

WEATHER = Tool("get_weather")
TIMER = Tool("set_timer")


def label(number: int, kind: str = "call") -> Label:
    """Its teacher says Oslo three times in four."""
    first, second = ((Call("get_weather", {"city": city}),) for city in ("Oslo", "Rome"))
    example = Example("labels", "labels", (Message("user", f"request {number}"),), (WEATHER, TIMER), first)
    return Label(example, (Answer(first, 0.75), Answer(second, 0.25)), kind)


LABELS = [label(n, "call" if n % 4 else "several") for n in range(40)]
GENERAL = [replace(label(n).example, source="scenarios", calls=()) for n in range(10)]


class Scripted:
    """An engine that answers request n with `city(n)`, sure by `confidence(n)`."""

    def __init__(self, cities: Sequence[str | None], confidences: Sequence[float | None]) -> None:
        self.cities, self.confidences = cities, confidences

    def generate(self, request: GenerationRequest) -> GenerationResult:
        number = int(request.messages[-1].text.split()[1])
        city, confidence = self.cities[number], self.confidences[number]
        calls = () if city is None else (ToolCall("get_weather", dumps({"city": city})),)
        return GenerationResult(calls, (confidence,) * len(calls), confidence, "stop", Usage(1, 1))


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> dict[str, Scripted]:
    """`before` calls the second answer of half the requests, and has no confidence. `after` is wrong in every tenth,
    of which it is not sure, and does not say how sure it is of the last four."""
    sure = [None if n >= 36 else 0.2 if n % 10 == 0 else 0.5 + n / 100 for n in range(40)]
    found = {
        "before": Scripted(["Oslo", "Rome"] * 20, [None] * 40),
        "after": Scripted(["Rome" if n % 10 == 0 else "Oslo" for n in range(40)], sure),
    }
    monkeypatch.setattr(module, "load_engine", lambda folder, threads: found[folder.name])
    return found


def compared(general: dict[str, list[Example]] | None = None) -> dict[str, module.Row]:
    return compare_artifacts(Path("before"), Path("after"), LABELS, general or {}, threads=1)


def test_right_is_what_the_teacher_answered_most(engines: dict[str, Scripted]) -> None:
    rows = compared()
    assert list(rows) == [f"{OWN}/all", f"{OWN}/several", f"{OWN}/call"]
    own = rows[f"{OWN}/all"]
    assert (own.before.total, own.before.tool, own.before.exact) == (40, 40, 20)
    assert (own.after.total, own.after.exact) == (40, 36)
    assert (own.compared.only_first, own.compared.only_second) == (4, 20)
    assert (rows[f"{OWN}/several"].after.total, rows[f"{OWN}/call"].after.total) == (10, 30)
    assert [t.gold[0].arguments for t in own_tasks(LABELS[:1])] == [{"city": "Oslo"}]


def test_what_may_be_answered_at_five_per_cent_wrong(engines: dict[str, Scripted]) -> None:
    """Of 40 requests 32 are surer than the wrong ones; with one of those it would be 1 of 33, with all four 4 of 36."""
    own = compared()[f"{OWN}/all"]
    assert own.answered == (None, 32 / 40)
    engines["after"].confidences = [0.9] * 40  # a tenth of them wrong, and nothing to tell them by
    assert compared()[f"{OWN}/all"].answered == (None, 0.0)


def test_general_sets_have_rows_of_their_own(engines: dict[str, Scripted]) -> None:
    engines["after"].cities = [None] * 10 + ["Oslo"] * 30
    rows = compared({"scenarios": GENERAL})
    assert (rows["scenarios/all"].before.exact, rows["scenarios/all"].after.exact) == (0, 10)
    assert "scenarios/no call is right" in rows


def test_one_table_on_the_screen_and_in_two_files(engines: dict[str, Scripted], tmp_path: Path) -> None:
    rows = compared({"scenarios": GENERAL})
    write_comparison(tmp_path, rows)
    written = json.loads((tmp_path / "comparison.json").read_text())
    own = written[f"{OWN}/all"]
    assert (own["before"]["exact"], own["after"]["exact"]) == (0.5, 0.9)
    assert own["after"]["exact_95"] == [pytest.approx(0.769, abs=1e-3), pytest.approx(0.960, abs=1e-3)]
    assert (own["before"]["answered"], own["after"]["answered"]) == (None, 0.8)
    assert (own["only_before"], own["only_after"]) == (4, 20)
    assert own["p"] == pytest.approx(2 * sum(math.comb(24, k) for k in range(5)) / 2**24)
    text, markdown = table(rows).text(), (tmp_path / "comparison.md").read_text()
    for shown in ("own tools/all", "50.0", "90.0", "76.9–96.0", "+40.0", "80.0", "–", "scenarios/all"):
        assert shown in text and shown in markdown
