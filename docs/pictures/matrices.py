"""Matrices and vectors small enough to be printed: a product with its numbers, and gradients as bars."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor

from headstart.reports.colours import ORANGE, SKY
from pictures.look import INK, NAMES, Picture, colour_of, picture


def draw_product(matrix: Tensor, vector: Tensor, titles: tuple[str, str, str], digits: int = 3) -> Picture:
    """``matrix @ vector`` with every number: three blocks, each with its title above."""
    size = len(vector)
    figure, (axes,) = picture(2.9)
    blocks = (matrix, vector[:, None], (matrix @ vector)[:, None])
    place = 0.0
    for block, title, sign in zip(blocks, titles, ("·", "=", ""), strict=True):
        draw_block(axes, block, place, digits)
        width = block.shape[1]
        axes.text(place + width / 2, -0.15, title, ha="center", va="bottom", fontsize=13)
        axes.text(place + width + 0.4, size / 2, sign, ha="center", va="center", fontsize=18)
        place += width + 0.8
    axes.set(xlim=(-0.1, place - 0.7), ylim=(size + 0.1, -0.8))
    axes.set_axis_off()
    return figure


def draw_block(axes: Axes, block: Tensor, left: float, digits: int) -> None:
    """The numbers of ``[row, column]``, each on a ground that says its sign and its size."""
    most = float(block.abs().max())
    for row, values in enumerate(block.tolist()):
        for column, value in enumerate(values):
            colour, strength = (SKY if value > 0 else ORANGE), 0.1 + 0.55 * abs(value) / most
            spot = (left + column + 0.02, row + 0.03)
            axes.add_patch(Rectangle(spot, 0.96, 0.94, facecolor=colour, alpha=strength, linewidth=0))
            number = f"{value:.{digits}f}".replace("-", "−")
            axes.text(left + column + 0.5, row + 0.5, number, ha="center", va="center", fontsize=11)


def draw_gradients(by_method: Mapping[str, Tensor], across: str = "weight") -> Picture:
    """The meta-gradients of several methods, entry by entry, as bars beside one another."""
    figure, (axes,) = picture(2.6)
    width = 0.8 / len(by_method)
    for number, (method, gradient) in enumerate(by_method.items()):
        shift = (number - (len(by_method) - 1) / 2) * width
        places = [1 + entry + shift for entry in range(len(gradient))]
        axes.bar(places, gradient.tolist(), width, color=colour_of(method), label=NAMES[method])
    axes.axhline(0, color=INK, linewidth=0.8)
    names = [rf"$\Phi_{entry}$" for entry in range(1, 1 + len(gradient))]
    axes.set(xlabel=across, ylabel="meta-gradient")
    axes.set_xticks(range(1, 1 + len(gradient)), names, fontsize=13)
    axes.legend(fontsize=10.5, frameon=False)
    return figure
