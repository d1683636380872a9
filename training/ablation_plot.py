"""The picture of an ablation: held-out fill loss and route accuracy of all variants over the examples seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BASELINE_COLOUR = "black"
COLOURS = (  # far apart from each other and from white
    "#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#17a2bd", "#f032e6",
    "#9a6324", "#800000", "#808000", "#000075", "#469990", "#7fae0c", "#8c8c8c",
)  # fmt: skip
GAP = 0.042  # between two labels, as a share of the panel's height
UNSHOWN = 0.3  # the first share of the run does not set the frame: everything falls fast there


def plot_ablations(path: Path, runs: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """Write a PNG of each variant's rows with held-out values, the baseline's first.

    Does nothing where matplotlib is not installed (a bare GPU machine).
    """
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from training.figure import save_figure

    figure, (left, right) = plt.subplots(1, 2, figsize=(14, 6.2), constrained_layout=True)
    for axes, name, scale, digits, title in (
        (left, "heldout_fill", 1, 3, "fill loss on held-out tools, nats a free token"),
        (right, "heldout_route_accuracy", 100, 1, "route accuracy on held-out tools, % of slots"),
    ):
        curves = {
            variant: ([row["examples"] / 1000 for row in rows], [scale * row[name] for row in rows])
            for variant, rows in runs.items()
        }
        _draw(axes, curves, digits)
        axes.set_title(title)
    save_figure(figure, path)
    plt.close(figure)


def _draw(axes: Axes, curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], digits: int) -> None:
    """curves: (thousands of examples, values) of each variant. Each is labelled at its end, in its colour."""
    colours = [BASELINE_COLOUR, *(COLOURS[k % len(COLOURS)] for k in range(len(curves) - 1))]
    end = max(examples[-1] for examples, _ in curves.values())
    framed = [v for x, y in curves.values() for e, v in zip(x, y, strict=True) if e >= UNSHOWN * end]
    margin = 0.05 * (max(framed) - min(framed)) or 0.5
    low, high = min(framed) - margin, max(framed) + margin
    for colour, (examples, values) in zip(colours, curves.values(), strict=True):
        thick = colour == BASELINE_COLOUR
        axes.plot(
            examples, values, "o-", color=colour, lw=2.4 if thick else 1.3, ms=4 if thick else 3, zorder=3 - thick
        )
    axes.set_ylim(low, high)
    axes.set_xlim(0, end)
    axes.set_xlabel("examples, thousands")
    axes.grid(alpha=0.3)
    ends = [(values[-1] - low) / (high - low) for _, values in curves.values()]
    for (variant, (examples, values)), colour, place in zip(curves.items(), colours, spread(ends, GAP), strict=True):
        axes.annotate(
            f"{variant}  {values[-1]:.{digits}f}",
            (examples[-1], values[-1]),
            (1.05, place),
            textcoords=axes.transAxes,
            color=colour,
            fontsize=9,
            fontweight="bold" if colour == BASELINE_COLOUR else "normal",
            va="center",
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.7, "relpos": (0, 0.5), "shrinkA": 1, "shrinkB": 2},
        )


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Places moved into 0..1, in the same order, at least `gap` apart: those that crowd, half of them up, half down."""
    order = np.argsort(places, kind="stable")
    room = gap * np.arange(len(places))
    free = np.asarray(places, float)[order] - room  # `gap` apart means that these do not fall
    up, down = np.maximum.accumulate(free), np.minimum.accumulate(free[::-1])[::-1]
    moved = np.empty(len(places))
    moved[order] = ((up + down) / 2).clip(0.0, 1.0 - gap * (len(places) - 1)) + room
    return [float(place) for place in moved]
