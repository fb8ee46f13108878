"""What inner updates do: errors and accuracies against their number, and the curves that *f* draws before and after."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

import headstart as hs
from headstart.reports.colours import DASH_DOT, DASHED, DOTTED, GREY, METHOD_STYLES, SOLID
from headstart.reports.fits import FittedTask
from pictures.look import INK, NAMES, Picture, colour_of, picture

RESULTS = Path(__file__).parents[2] / "results"
FITS = {0: (DOTTED, 1.4), 1: (DASHED, 1.6), 5: (DASH_DOT, 1.6), 10: (SOLID, 2.4)}
"""The line of *f* after some numbers of inner updates: its dashes and its width."""


def read_record(name: str) -> dict[str, Any]:
    """What ``headstart reproduce`` measured: a record of ``results/`` by its name."""
    record: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return record


def record_of(method: str, result: hs.Evaluation, **setting: Any) -> dict[str, Any]:
    """An evaluation made in the page, as a record; ``setting`` has its ``problem``, ``ways`` and ``shots``."""
    means, halves = result.by_inner_step, result.interval_by_inner_step
    found = {"metric": result.metric.name, "by_inner_step": means, "interval_by_inner_step": halves}
    return {"method": method, **found, **setting}


def draw_by_inner_step(*panels: Sequence[Mapping[str, Any]], height: float = 3.1) -> Picture:
    """What each method reaches after 0, 1, ... inner updates: panels of records, one panel for each problem."""
    figure, columns = picture(height, columns=len(panels))
    for axes, records in zip(columns, panels, strict=True):
        for record in records:
            draw_record(axes, record)
        is_accuracy = name_axes(axes, records[0])
        axes.set_ylim(0, 112 if is_accuracy else None)
    return figure


def draw_record(axes: Axes, record: Mapping[str, Any]) -> None:
    """One record's line with its 95 % interval, and its method's name at its end."""
    scale = 100 if record["metric"] == "accuracy" else 1
    ys = [scale * value for value in record["by_inner_step"]]
    halves = [scale * value for value in record["interval_by_inner_step"]]
    colour, dash, width = METHOD_STYLES[record["method"]]
    axes.plot(ys, color=colour, linestyle=(0, dash), linewidth=width, marker="o", markersize=4)
    low, high = ([y + sign * half for y, half in zip(ys, halves, strict=True)] for sign in (-1, 1))
    axes.fill_between(range(len(ys)), low, high, color=colour, alpha=0.2, linewidth=0)
    end = (len(ys) - 1, high[-1])
    beside(axes, NAMES[record["method"]], end, colour)


def name_axes(axes: Axes, record: Mapping[str, Any]) -> bool:
    """Names the axes for such records, and marks where chance is if they are of an accuracy, which is returned."""
    last, is_accuracy = len(record["by_inner_step"]) - 1, record["metric"] == "accuracy"
    ways = f"{record['ways']}-way " if is_accuracy else ""
    axes.set(xlabel="inner steps", title=f"{record['problem'].capitalize()}, {ways}{record['shots']}-shot")
    axes.set_ylabel("test accuracy (%)" if is_accuracy else "test squared error")
    axes.set_xticks(range(0, last + 1, 2 if last > 5 else 1))
    if is_accuracy:
        chance = 100 / record["ways"]
        axes.axhline(chance, color=GREY, linewidth=1, zorder=0)
        beside(axes, "chance", (last, chance), INK)
        axes.set_yticks(range(0, 101, 20))
    return is_accuracy


def beside(axes: Axes, text: str, end: tuple[float, float], colour: str) -> None:
    """A word above the right end of a line."""
    axes.annotate(text, end, (0, 4), textcoords="offset points", ha="right", color=colour, weight="bold")


def draw_fits(by_method: Mapping[str, FittedTask]) -> Picture:
    """The same task in the hands of several methods: its true curve, its support set, and *f* before and after."""
    figure, columns = picture(3.2, columns=len(by_method), sharey=True)
    for axes, (method, task) in zip(columns, by_method.items(), strict=True):
        axes.plot(*task.truth, color=GREY, linewidth=5, alpha=0.4)
        for step, values in task.curves.items():
            dash, width = FITS[step]
            axes.plot(task.inputs, values, color=colour_of(method), linestyle=(0, dash), linewidth=width)
        axes.plot(*task.support, "o", color=INK, markersize=6)
        axes.set(xlabel="input $x$", title=NAMES[method])
    reach = 1.4 * max(abs(value) for task in by_method.values() for value in task.truth[1])
    columns[0].set(ylabel="output $y$", ylim=(-reach, reach))
    figure.legend(handles=legend(), loc="outside lower center", ncols=3, fontsize=10, frameon=False)
    return figure


def legend() -> list[Line2D]:
    """What the lines of a fit are, whatever their colour."""
    lines = [Line2D([], [], color=GREY, linewidth=5, alpha=0.4, label="true curve")]
    for step, (dash, width) in FITS.items():
        steps = f"{step} step{'' if step == 1 else 's'}"
        lines.append(Line2D([], [], color=INK, linestyle=(0, dash), linewidth=width, label=steps))
    return [*lines, Line2D([], [], color=INK, marker="o", markersize=6, linewidth=0, label="support set")]
