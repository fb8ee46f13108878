"""How every picture of the documentation looks: its size, its letters, and a white ground in light and in dark."""

from __future__ import annotations

import io

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headstart.reports.colours import METHOD_STYLES

WIDTH = 7.0
"""Inches, at ``DPI`` twice as many pixels as a page is wide, so that letters are sharp on every screen."""
DPI = 200
INK = "#333333"
NAMES = {"pretraining": "pre-training", "maml": "MAML", "fomaml": "first-order MAML", "reptile": "Reptile"}
"""What the methods are called in pictures."""
LOOK = {
    "font.size": 11,
    "axes.labelsize": 11,
    "axes.titlesize": 11.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "mathtext.fontset": "cm",
}


class Picture(Figure):
    """A figure that a notebook shows by itself, without pyplot's state."""

    def _repr_png_(self) -> bytes:
        box = io.BytesIO()
        with matplotlib.rc_context(LOOK):
            self.savefig(box, format="png", dpi=DPI, facecolor="white")
        return box.getvalue()


def picture(height: float, columns: int = 1, rows: int = 1, **grid: object) -> tuple[Picture, list[Axes]]:
    """A white figure as wide as a page and ``height`` inches high, and its axes, row by row."""
    with matplotlib.rc_context(LOOK):
        figure = Picture(figsize=(WIDTH, height), layout="constrained", facecolor="white")
        axes = figure.subplots(rows, columns, squeeze=False, **grid)
    return figure, [*axes.flat]


def colour_of(method: str) -> str:
    """The colour that a method has everywhere."""
    return METHOD_STYLES[method].colour
