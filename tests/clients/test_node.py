"""The clients in JavaScript: each of `node/*.test.js` under Node's own test runner, against the same server."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "node"
NODE = shutil.which("node")


@pytest.mark.skipif(NODE is None, reason="Node.js is not installed")
@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.test.js")), ids=lambda file: file.name)
def test_node(base_url: str, file: Path) -> None:
    assert (FOLDER / "node_modules").is_dir(), "run `make test-clients`: it installs what package-lock.json says"
    run = subprocess.run(
        [NODE or "node", "--test", "--test-reporter=spec", file.name],
        cwd=FOLDER,
        env=os.environ | {"BASE_URL": base_url},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert run.returncode == 0, run.stdout + run.stderr
