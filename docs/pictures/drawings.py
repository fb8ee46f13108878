"""Tasks of drawn characters: the three task sets, a task's support and query set, and what *f* says of the latter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor

import headstart as hs
from headstart.reports.colours import GREY, VERMILLION
from pictures.look import INK, WIDTH, Picture, picture

TILE, GAP = 0.9, 1.2
"""The side of a drawing where the next one begins 1 further, and what is between support and query set."""


def draw_task_sets(sets: Mapping[str, hs.ImageClasses], shown: int = 8) -> Picture:
    """One row for each set of classes, by its name: the first drawing of the first ``shown`` classes."""
    figure, axes = sheet((-2.6, shown + 2.1), (-len(sets) + 0.45, 0.55))
    for row, (name, classes) in enumerate(sets.items()):
        axes.text(-0.75, -row, name, ha="right", va="center", weight="bold", fontsize=11)
        for column in range(shown):
            tile(axes, column, -row, classes.images[column, 0, 0])
        axes.text(shown - 0.4, -row, f"… {len(classes.names):,} classes", va="center", fontsize=11)
    return figure


def draw_tasks(episodes: hs.Episodes, queries: int = 2, predicted: Tensor | None = None) -> Picture:
    """Tasks below one another: their support set, class by class, and ``queries`` examples per class of the query set.

    Args:
        predicted: *f*'s class for every query example, ``[task, example]``: written below those that are drawn.
    """
    tasks = range(len(episodes.support.targets))
    ways = 1 + int(episodes.support.targets.max())
    shots = episodes.support.targets.shape[1] // ways
    height = max(shots, queries) * (1 if predicted is None else 1.35) + 0.9
    figure, axes = sheet((-2.1, 2 * ways + GAP - 0.4), (-height * len(tasks) + 0.95, 1.6))
    for number in tasks:
        top, (support, query) = -number * height, episodes.task(number)
        axes.text(-0.75, top, f"task {number + 1}", ha="right", va="center", weight="bold")
        for target in range(ways):
            column(axes, target, top, support.inputs[support.targets == target], f"class {target}")
            place, of_class = ways + GAP + target, query.targets == target
            said = None if predicted is None else predicted[number][of_class][:queries].tolist()
            column(axes, place, top, query.inputs[of_class][:queries], f"class {target}", said, target)
    for middle, words in ((ways - 1) / 2, "support set"), (ways + GAP + (ways - 1) / 2, "query set"):
        axes.text(middle, 1.15, words, ha="center", weight="bold", fontsize=11)
    return figure


def column(
    axes: Axes, place: float, top: float, images: Tensor, name: str, said: Sequence[int] | None = None, target: int = 0
) -> None:
    """The drawings of one class, its name above, and what *f* says below each of them, if it is asked."""
    axes.text(place, top + 0.55, name, ha="center", va="bottom", fontsize=9)
    for number, image in enumerate(images):
        row = top - number * (1 if said is None else 1.35)
        right = said is None or said[number] == target
        tile(axes, place, row, image[0], GREY if right else VERMILLION, 0.8 if right else 2.5)
        if said is not None:
            words = f"{said[number]} {'✓' if right else '✗'}"
            axes.text(place, row - 0.5, words, ha="center", va="top", fontsize=10, color=INK if right else VERMILLION)


def tile(axes: Axes, x: float, y: float, image: Tensor, edge: str = GREY, width: float = 0.8) -> None:
    """A drawing ``[height, width]``, black on white, around a point."""
    left, bottom = x - TILE / 2, y - TILE / 2
    axes.imshow(image.numpy(), cmap="Greys", extent=(left, left + TILE, bottom, bottom + TILE), interpolation="nearest")
    axes.add_patch(Rectangle((left, bottom), TILE, TILE, fill=False, edgecolor=edge, linewidth=width))


def sheet(xlim: tuple[float, float], ylim: tuple[float, float]) -> tuple[Picture, Axes]:
    """Axes without frame and ticks, of one scale, on a picture that is as high as they need."""
    figure, (axes,) = picture(WIDTH * (ylim[1] - ylim[0]) / (xlim[1] - xlim[0]))
    axes.set(xlim=xlim, ylim=ylim, aspect="equal", autoscale_on=False)
    axes.set_axis_off()
    return figure, axes


def draw_losses(by_name: Mapping[str, Tensor], colours: Sequence[str]) -> Picture:
    """``l^n`` of the same tasks under several *F*, ``[task]`` each, as bars beside one another."""
    figure, (axes,) = picture(2.6)
    width = 0.8 / len(by_name)
    for number, ((name, losses), colour) in enumerate(zip(by_name.items(), colours, strict=True)):
        places = [1 + task + (number - (len(by_name) - 1) / 2) * width for task in range(len(losses))]
        axes.bar(places, losses.tolist(), width, color=colour, label=f"{name}: $L$ = {float(losses.sum()):.2f}")
    axes.set(xlabel="task $n$", ylabel="query loss $l^n$", xticks=range(1, 1 + len(losses)))
    axes.legend(fontsize=10.5, frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.25), ncols=len(by_name))
    return figure
