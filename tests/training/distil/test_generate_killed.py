"""A process that generates, killed by SIGKILL: nothing paid twice, nothing lost, the same labels in the end."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.training.distil.generating import run
from tests.training.distil.toys import tokenizer
from training.distil.filter import FilterConfig, filter_ledger
from training.distil.ledger import Contents, read_ledger

WRITTEN = ("labels.jsonl", "heldout.jsonl", "report.json", "report.md")


def killed(path: Path, log: Path, concurrency: int, call: int) -> None:
    """Generate in another process until its `call`-th call to the teacher."""
    module = ["-m", "tests.training.distil.generating", str(path), str(log), str(concurrency), str(call)]
    child = subprocess.run([sys.executable, *module], capture_output=True, timeout=120)
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()


def written(ledger: Contents) -> set[str]:
    """The calls whose results are in the ledger."""
    found = {f"invent {brief}" for brief in ledger.inventions}
    for question, answers in ledger.answers.items():
        first, rest = min(2, answers.asked), answers.asked - 2
        found |= {f"answer {question} {n}" for n in (first, rest) if n > 0}
    return found


def labels(path: Path, out: Path) -> list[bytes]:
    filter_ledger(read_ledger(path), out, tokenizer(), FilterConfig())
    return [(out / name).read_bytes() for name in WRITTEN]


@pytest.mark.integration
@pytest.mark.parametrize(("concurrency", "calls"), [(1, (4, 50)), (4, (40,))])
def test_a_killed_run_resumed_is_as_one_that_was_not(tmp_path: Path, concurrency: int, calls: tuple[int, ...]) -> None:
    path, log = tmp_path / "run" / "ledger.jsonl", tmp_path / "calls"
    kept: set[str] = set()
    for call in calls:
        before = len(log.read_text().splitlines()) if log.exists() else 0
        killed(path, log, concurrency, call)
        begun = {line.removeprefix("begin ") for line in log.read_text().splitlines()[before:]}
        assert not begun & kept  # what is in the ledger is not asked again
        kept = written(read_ledger(path))
    before = len(log.read_text().splitlines())
    assert run(path, log, concurrency) == 60
    lines = log.read_text().splitlines()
    assert not {line.removeprefix("begin ") for line in lines[before:]} & kept

    # Twice at most was paid what was on its way when the process died.
    paid = Counter(line for line in lines if line.startswith("paid"))
    assert (paid - Counter(set(paid))).total() <= (concurrency - 1) * len(calls)
    assert {line.removeprefix("paid ") for line in paid} == written(read_ledger(path))

    assert run(tmp_path / "whole.jsonl", tmp_path / "whole.calls", concurrency) == 60
    assert labels(path, tmp_path / "a") == labels(tmp_path / "whole.jsonl", tmp_path / "b")
    assert not (tmp_path / "a" / "labels.jsonl").read_bytes() == b""
