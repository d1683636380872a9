"""Whatever the schema, it is compiled or refused in bounded time and memory, and without the end of the process."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.model.hostile import SCHEMAS

# One core does each in under 2 s, and all of them take some 130 MB. What is to be caught takes minutes, or gigabytes.
MAX_SECONDS = 10
MAX_GROWTH = 300  # MB


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Any]]:
    """What `tests.model.hostile` says of each schema."""
    command = [sys.executable, "-m", "tests.model.hostile"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"ended with {done.returncode} after {lines[-1:]}: {done.stderr[-2000:]}"
    return {line["name"]: line for line in lines}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_hostile_schema_is_made_short_work_of(name: str, found: dict[str, dict[str, Any]]) -> None:
    line, expected = found[name], SCHEMAS[name][1]
    # What is too long for the model is no less compiled.
    messages = [message for message in line["messages"] if "tokens" not in message or expected == "tokens"]
    if expected:
        assert messages and expected in messages[0]
    else:
        assert messages == []
    assert line["seconds"] < MAX_SECONDS
    assert line["grown"] < MAX_GROWTH


def test_many_tools_at_once(found: dict[str, dict[str, Any]]) -> None:
    assert found["128 tools"]["messages"] == []
    assert found["128 tools"]["seconds"] < MAX_SECONDS
