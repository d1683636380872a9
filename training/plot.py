"""The picture of a run: losses and held-out accuracies over the examples seen."""

from __future__ import annotations

from pathlib import Path


def plot_history(path: Path, history: list[dict[str, float]]) -> None:
    """Write a PNG; does nothing where matplotlib is not installed (a bare GPU machine)."""
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from training.figure import save_figure

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), constrained_layout=True)
    for axes, names, label in (
        (left, ("fill", "route", "contrast"), "loss (nats)"),
        (right, ("fill_accuracy", "route_accuracy"), "accuracy"),
    ):
        for colour, name in zip(("tab:blue", "tab:orange", "tab:green"), names, strict=False):
            axes.plot([r["examples"] for r in history], [r[name] for r in history], color=colour, alpha=0.35, lw=1)
            held = [r for r in history if f"heldout_{name}" in r]
            points = [r[f"heldout_{name}"] for r in held]
            axes.plot([r["examples"] for r in held], points, "o-", color=colour, ms=3, label=f"{name}, held-out tools")
        axes.set_xlabel("examples")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        axes.legend()
    left.set_yscale("log")
    save_figure(figure, path)
    plt.close(figure)
