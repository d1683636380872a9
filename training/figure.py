"""Pictures of figures, small enough to be kept in a repository."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

DOTS_PER_INCH = 110
COLORS = 64  # of lines, bars, text and their smooth edges; full colour is three times as large and looks the same


def save_figure(figure: Figure, path: Path) -> None:
    """Write `figure` to `path` as a PNG with a palette."""
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=DOTS_PER_INCH)
    with Image.open(drawn) as image:
        palette = image.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
    palette.save(path, optimize=True)
