"""The headline experiment: what distillation makes of tools that the shipped model never saw, by number of examples.

    python -m bench.distillation --data DATA                  # hours; goes on where it was stopped
    python -m bench.distillation --data DATA --render-only    # the table and the figure of what is there

Each run is what `bodkin distil` does with a recorded teacher behind its filter: of n examples a tenth is kept back to
stop, calibrate and choose by, and the others are learnt. The tests are seen by none of it. The teacher's price is what
`bodkin distil --dry-run` says for the same tools and number of examples.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.toolsets import TOOLSETS, ToolSet
from model.manifest import read_manifest
from training.data.example import Example
from training.distil.comparison import OWN, compare_artifacts, write_comparison
from training.distil.files import write_whole
from training.distil.general import general_requests
from training.distil.generate import GenerateConfig
from training.distil.labels import Answer, Label
from training.distil.plan import plan
from training.distil.student import GENERAL_REQUESTS, DistilConfig, finish, learn
from training.evaluation.statistics import wilson
from training.evaluation.tables import Table
from training.teacher.gemini import DEFAULT_MODEL
from training.teacher.prices import cost

SHIPPED = Path("model/artifact")
DOCUMENT = Path("docs/distillation.md")
FIGURE = "distillation.png"
BEGIN, END = "<!-- experiment: made by python -m bench.distillation -->", "<!-- end of experiment -->"
GENERAL = "general"
TARGET = 0.9
KEPT_BACK = 10  # one example of so many


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.distillation", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, help="folder of the corpora (default: they are downloaded)")
    parser.add_argument("--out", type=Path, default=Path("runs/distillation"), help="default runs/distillation")
    parser.add_argument("--sets", nargs="+", choices=TOOLSETS, default=list(TOOLSETS), help="default: all")
    parser.add_argument("--sizes", type=int, nargs="+", default=[250, 1000, 5000], help="default 250 1000 5000")
    parser.add_argument("--time-limit", type=float, default=60.0, metavar="MINUTES", help="of each training")
    parser.add_argument("--threads", type=int, default=2, help="of training and of evaluation (default 2)")
    parser.add_argument("--render-only", action="store_true", help="train nothing")
    options = parser.parse_args(argv)

    import torch

    torch.set_num_threads(options.threads)
    for name in options.sets:
        toolset = TOOLSETS[name](max(options.sizes), options.data)
        sizes = sorted({min(size, len(toolset.learn)) for size in options.sizes})
        for size in () if options.render_only else sizes:
            run(toolset, size, options.out / name / str(size), options.time_limit, options.threads)
        describe(options.out / name, toolset)
    render(options.out, DOCUMENT)
    return 0


def run(toolset: ToolSet, size: int, out: Path, time_limit: float, threads: int) -> None:
    """Distil the first `size` examples into `out` and measure; nothing is done where that is done already."""
    if (out / "comparison.json").exists():
        return
    labels = [_label(e, "recorded") for e in toolset.learn[:size]]
    kept_back, learnt = labels[::KEPT_BACK], [x for i, x in enumerate(labels) if i % KEPT_BACK]
    base = DistilConfig(name="bodkin-26m:experiment")
    config = replace(base, training=replace(base.training, time_limit=time_limit))
    print(f"{toolset.title}: {size} examples", flush=True)
    learn(learnt, kept_back, SHIPPED, out, config, threads=threads)
    if reason := finish(learnt, kept_back, SHIPPED, out, config, threads=threads):
        print(reason)
    tests = [_label(e, name) for name, examples in toolset.tests.items() for e in examples]
    # Conversations over tools that were held out from training, but not over those that have just been learnt.
    learnt_families = {e.family for e in toolset.learn}
    general = {GENERAL: [e for e in general_requests(GENERAL_REQUESTS) if e.family not in learnt_families]}
    write_comparison(out, compare_artifacts(SHIPPED, out / "artifact", tests, general, threads))


def _label(example: Example, kind: str) -> Label:
    return Label(example, (Answer(example.calls, 1.0),), kind)


def describe(folder: Path, toolset: ToolSet) -> None:
    """What the table says about the set besides its scores: its title, and the teacher's price for so many examples."""
    tools = toolset.learn[0].tools
    sizes = [int(p.parent.name) for p in folder.glob("*/comparison.json")]
    dollars = {s: plan(tools, GenerateConfig(examples=s), lambda t: cost(t, DEFAULT_MODEL)).dollars for s in sizes}
    write_whole(folder / "set.json", [json.dumps({"title": toolset.title, "dollars": dollars})])


def render(out: Path, document: Path) -> None:
    """Write the figure beside `document`, and the table into it between its marks."""
    found = {}
    for about in sorted(out.glob("*/set.json")):
        described = json.loads(about.read_text(encoding="utf-8"))
        points = sorted(about.parent.glob("*/comparison.json"), key=lambda p: int(p.parent.name))
        found[described["title"]] = [_point(p.parent, described["dollars"]) for p in points]
    text = document.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    if not after:
        raise ValueError(f"{document} lacks the lines {BEGIN!r} and {END!r}")
    made = table(found)
    write_whole(document, [f"{before}{BEGIN}\n\n{made.markdown()}\n\n{END}{after}".rstrip("\n")])
    plot(document.with_name(FIGURE), found)
    print(made.text())


def _point(folder: Path, dollars: Mapping[str, float]) -> dict[str, Any]:
    """One run: its number of examples, minutes, dollars, and its comparison by the name of the test."""
    rows = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    tests = {
        name.removeprefix(f"{OWN}/"): row
        for name, row in rows.items()
        if name.startswith(f"{OWN}/") and name != f"{OWN}/all"
    }
    trained = read_manifest(folder / "artifact").info["trained"]
    return {
        "examples": int(folder.name),
        "minutes": trained["minutes"],
        "dollars": dollars[folder.name],
        "tests": tests,
        "general": rows[f"{GENERAL}/all"],
    }


def table(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """A row per set, test and number of examples, none among them."""
    rows: list[tuple[str, ...]] = []
    for title, points in found.items():
        for test in points[0]["tests"]:
            shown = f"{title}: {test}"
            rows.append((shown, "0", *_scores(points[0], test, "before"), "", ""))
            for point in points:
                rows.append(
                    (
                        shown,
                        f"{point['examples']:,}",
                        *_scores(point, test, "after"),
                        f"{point['minutes']:.0f}",
                        f"{point['dollars']:.2f}",
                    )
                )
    return Table(
        "Learning curves",
        "%, exact with its 95 % confidence interval; answered: the share that can be answered with at most 5 % wrong; "
        "general: exact on requests for other tools, which it should not forget; minutes of training; dollars that "
        f"{DEFAULT_MODEL} would ask for so many examples of these tools",
        ("", "examples", "right tool", "exact", "95 %", "answered", "general", "minutes", "$"),
        tuple(rows),
    )


def _scores(point: Mapping[str, Any], test: str, side: str) -> tuple[str, ...]:
    row = point["tests"][test][side]
    low, high = row["exact_95"]
    answered = row["answered"]
    return (
        f"{100 * row['tool']:.1f}",
        f"{100 * row['exact']:.1f}",
        f"{100 * low:.1f}–{100 * high:.1f}",
        "–" if answered is None else f"{100 * answered:.0f}",
        f"{100 * point['general'][side]['exact']:.1f}",
    )


def plot(path: Path, found: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Exact answers over the number of examples, with 95 % intervals."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from training.figure import save_figure

    figure, axes = plt.subplots(figsize=(8, 4.6), constrained_layout=True)
    for colour, (title, points) in zip(("tab:blue", "tab:orange", "tab:green"), found.items(), strict=False):
        for style, test in zip(("o-", "s--"), points[0]["tests"], strict=False):
            rows = [points[0]["tests"][test]["before"], *(p["tests"][test]["after"] for p in points)]
            exact = [100 * row["exact"] for row in rows]
            bounds = [wilson(round(row["exact"] * row["total"]), row["total"]) for row in rows]
            error = [
                [e - 100 * low for e, (low, _) in zip(exact, bounds, strict=True)],
                [100 * high - e for e, (_, high) in zip(exact, bounds, strict=True)],
            ]
            sizes = [0, *(p["examples"] for p in points)]
            axes.errorbar(sizes, exact, error, fmt=style, color=colour, ms=5, capsize=3, label=f"{title}: {test}")
    axes.axhline(100 * TARGET, color="grey", lw=1, ls=":")
    axes.annotate("target", (0, 100 * TARGET), xytext=(4, 4), textcoords="offset points", color="grey")
    axes.set_xscale("symlog", linthresh=250)
    ticks = sorted({0, *(p["examples"] for points in found.values() for p in points)})
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    axes.tick_params(axis="x", labelsize=7)
    axes.set_xlim(-30, 1.2 * ticks[-1])
    axes.set_ylim(0, 100)
    axes.set_xlabel("examples of the user's tools")
    axes.set_ylabel("whole answer right (%)")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=8)
    save_figure(figure, path)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
