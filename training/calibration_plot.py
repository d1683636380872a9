"""The pictures of a calibration: a reliability diagram, and the risk of answering against how much is answered."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.calibrate import RISKS, TITLES, Report
from training.logistic import Array
from training.reliability import reliability, risk_coverage


def plot_calibration(folder: Path, report: Report) -> None:
    """Write `reliability.png` and `risk_coverage.png` into `folder`."""
    import matplotlib

    matplotlib.use("Agg")
    plot_reliability(folder / "reliability.png", report)
    plot_risk_coverage(folder / "risk_coverage.png", report)


def plot_reliability(path: Path, report: Report) -> None:
    """Per kind: how often answers of a confidence were right, in bins of equal count, raw and calibrated."""
    import matplotlib.pyplot as plt

    from training.figure import save_figure

    count = len(report.fitted)
    figure, axes = plt.subplots(1, count, figsize=(4.6 * count, 5.2), constrained_layout=True, squeeze=False)
    for panel, (kind, f) in zip(axes[0], report.fitted.items(), strict=True):
        panel.plot([0, 1], [0, 1], color="grey", lw=1, ls="--", label="perfectly calibrated")
        for name, p, colour, marker in (
            ("raw", f.raw, "tab:orange", "s"),
            ("calibrated, held out", f.calibrated, "tab:blue", "o"),
        ):
            # Bins of at least twenty: fewer would show noise.
            bins = reliability(p, f.right, max(3, min(10, len(p) // 20)))
            said, was, sizes = np.array(list(bins)).T
            error = np.abs(_wilson(was, sizes) - was)
            panel.errorbar(said, was, error, color=colour, marker=marker, ms=5, lw=1.2, elinewidth=0.7, label=name)
        panel.set_title(f"{TITLES[kind]} (n = {len(f.right)})")
        panel.set_xlabel("confidence (mean of bin)")
        panel.set_xlim(-0.03, 1.03)
        panel.set_ylim(-0.03, 1.03)
        panel.set_aspect("equal")
        panel.grid(alpha=0.3)
    axes[0][0].set_ylabel("share right, with 95 % interval")
    axes[0][0].legend(loc="upper left")
    save_figure(figure, path)
    plt.close(figure)


def plot_risk_coverage(path: Path, report: Report) -> None:
    """The share of wrong answers against the share answered, surest first: raw, calibrated and the best possible."""
    import matplotlib.pyplot as plt

    from training.figure import save_figure

    right, raw, calibrated = report.answers()
    figure, panel = plt.subplots(figsize=(7.5, 4.8), constrained_layout=True)
    for name, p, colour in (
        ("raw", raw, "tab:orange"),
        ("calibrated, held out", calibrated, "tab:blue"),
        ("ideal order", right, "grey"),
    ):
        coverage, risk = risk_coverage(p, right)
        panel.plot(100 * coverage, 100 * risk, color=colour, lw=1.5, ls="--" if p is right else "-", label=name)
    for wanted in RISKS:
        panel.axhline(100 * wanted, color="tab:red", lw=0.8, ls=":")
        panel.annotate(f"{100 * wanted:.0f} % wrong", (0.5, 100 * wanted + 0.7), color="tab:red", fontsize=8)
    panel.set_xlabel("answered, % of requests, surest first")
    panel.set_ylabel("wrong, % of the answered")
    panel.set_xlim(0, 100)
    panel.set_ylim(0, None)
    panel.grid(alpha=0.3)
    panel.legend(loc="upper left", bbox_to_anchor=(0.12, 1.0))
    panel.set_title(f"Risk of answering, held-out families of tools (n = {len(right)})")
    save_figure(figure, path)
    plt.close(figure)


def _wilson(share: Array, count: Array) -> Array:
    """The lower and upper end [2, B] of the 95 % Wilson interval of a share."""
    z = 1.96
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return np.stack([np.minimum(centre - half, share), np.maximum(centre + half, share)])
