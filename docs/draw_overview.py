"""Draws docs/images/overview.png: one task goes in, the adapted model's own predictions come out.

pip install -e ".[report]"
python docs/draw_overview.py
"""

from __future__ import annotations

from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch
from pictures import drawings
from pictures.look import DPI, INK, picture

import headstart as hs
from headstart.reports.colours import BLUE, GREEN, ORANGE, PURPLE, VERMILLION

COLOURS = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE)
OUT = Path(__file__).parent / "images" / "overview.png"
SUPPORT, QUERY = 0.0, -1.85
"""Where the two rows are."""


def draw(out: Path) -> None:
    """A task of five unseen characters, *F*, and what *f* says of five of its query examples."""
    unseen = hs.draw_glyphs(100, pens="many")
    tasks = hs.ClassificationTasks(unseen, ways=5, shots=1, queries=1, rotations="none")
    support, query = tasks.sample(1, torch.Generator().manual_seed(0)).task(0)
    f = hs.load("glyphs").fit(support)
    predicted = f(query.inputs).argmax(1).tolist()

    figure, (axes,) = picture(3.0)
    for place, row in enumerate(support.targets.argsort().tolist()):
        show(axes, place, SUPPORT, support.inputs[row], place, f"class {place + 1}")
    for place, said in enumerate(predicted):
        right = "✓" if said == query.targets[place] else "✗"
        show(axes, place, QUERY, query.inputs[place], said, f"class {said + 1} {right}")
    axes.text(2, SUPPORT + 0.62, "support set: all that F sees of a new task", ha="center", fontsize=11.5)
    axes.text(2, QUERY + 0.62, "query set: what f says of other drawings", ha="center", fontsize=11.5)
    box(axes, SUPPORT, "F", "has learned to learn")
    box(axes, QUERY, "f", "made for this task")
    for start, end in (((4.6, SUPPORT), (5.35, SUPPORT)), ((6.6, -0.55), (6.6, -1.3)), ((5.35, QUERY), (4.6, QUERY))):
        axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": INK, "linewidth": 1.6})
    drawings.bare(axes, (-0.6, 7.9), (QUERY - 0.9, SUPPORT + 0.95))
    figure.savefig(out, dpi=DPI, facecolor="white")


def show(axes: Axes, place: int, row: float, image: torch.Tensor, target: int, words: str) -> None:
    """One drawing in the colour of a class, with its name below."""
    drawings.tile(axes, place, row, image[0], COLOURS[target], 2.5)
    axes.text(place, row - 0.52, words, ha="center", va="top", fontsize=10)


def box(axes: Axes, row: float, name: str, note: str) -> None:
    """A function, and what it is."""
    frame = FancyBboxPatch((5.5, row - 0.5), 2.2, 1.0, boxstyle="round,pad=0.02", facecolor="#f2f2f2", edgecolor=INK)
    axes.add_patch(frame)
    axes.text(6.6, row + 0.14, name, fontsize=19, style="italic", ha="center", va="center")
    axes.text(6.6, row - 0.3, note, fontsize=10, ha="center", va="center")


if __name__ == "__main__":
    draw(OUT)
