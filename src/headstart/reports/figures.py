"""The figures of a report: lines over steps or minutes, layers, and fitted curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator

from headstart.reports.colours import DASH_DOT, DASHED, DOTTED, SOLID, Style
from headstart.reports.drawing import INK, SIZE, drawn
from headstart.reports.fits import FittedTask

BAND = 0.15
"""How opaque an interval is."""
FAINT, ROW = 0.4, 0.6
"""How opaque the line between the dots of a run is, and how much of a layer's row all of its dots take."""
CEILING = 3.0
"""How far above the highest beginning of a line an error is still drawn."""
WIDE = 300
"""The ratio of its ends above which a logarithmic scale has few numbers."""
ROOM = 0.35
"""What a fitted curve has above and below the true one, as a share of its height; what goes beyond is cut."""
FITS = {
    0: Style(INK, DOTTED, 1.2),
    1: Style(INK, DASHED, 1.2),
    5: Style(INK, DASH_DOT, 1.2),
    10: Style(INK, SOLID, 2.2),
}
"""How the curves after some numbers of inner updates are told apart, in the colour of their run."""


class Line(NamedTuple):
    """One run's line: where it goes, what it looks like, and half the width of its interval, if there is one."""

    xs: Sequence[float]
    ys: Sequence[float]
    style: Style
    interval: Sequence[float] = ()


def lines(drawing: Sequence[Line], across: str, along: str, *, log: bool = False) -> str:
    """Lines over whole numbers or minutes, ``across`` and ``along`` the names of the axes; with ``log`` the latter has
    a logarithmic scale. A line of one point is a dot.

    >>> lines([Line([0, 1, 2], [0.2, 0.9, 0.95], Style("#0072b2"))], "inner steps", "accuracy (%)").count("#0072b2")
    1
    """
    last = max((x for line in drawing for x in line.xs), default=0)

    def draw(axes: Axes) -> None:
        for line in drawing:
            xs, ys, (colour, dash, width), halves = line
            marker = "o" if len(xs) == 1 else None
            axes.plot(xs, ys, marker=marker, linestyle=(0, dash), color=colour, linewidth=width)
            if halves:
                low, high = ([y + sign * half for y, half in zip(ys, halves, strict=True)] for sign in (-1, 1))
                axes.fill_between(xs, low, high, color=colour, alpha=BAND, linewidth=0)
        axes.set(xlabel=across, ylabel=along)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=last > 5))
        axes.xaxis.set_major_formatter("{x:,.6g}")
        if log:
            logarithmic(axes, [y for line in drawing for y in line.ys], [line.ys[0] for line in drawing if line.ys])

    return drawn(draw)


def logarithmic(axes: Axes, values: Sequence[float], first: Sequence[float]) -> None:
    """A logarithmic scale for ``values``, cut where a line that runs away is far above all of the ``first`` ones."""
    positive = [value for value in values if 0 < value < math.inf]
    if not positive:
        return
    ceiling = CEILING * max((value for value in first if value in positive), default=math.inf)
    low, high = 0.8 * min(positive), min(1.25 * max(positive), ceiling)
    axes.set_yscale("log")
    axes.set_yticks(ticks(low, high))
    axes.set_ylim(low, high)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")


def ticks(low: float, high: float) -> list[float]:
    """Where a logarithmic scale has its numbers: at 1, 2 and 5 in every decade, at 1 alone where these would be many,
    or evenly where there is hardly one.

    >>> ticks(0.03, 1.0), ticks(0.03, 2000), ticks(0.31, 0.45)
    ([0.05, 0.1, 0.2, 0.5, 1.0], [0.1, 1.0, 10.0, 100.0, 1000.0], [0.32, 0.36, 0.4, 0.44])
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high / low < WIDE else (1,)
    places = (float(f"{step}e{decade}") for decade in decades for step in steps)
    chosen = [place for place in places if low <= place <= high]
    if len(chosen) < 2:
        chosen = [round(float(place), 9) for place in MaxNLocator(4).tick_values(low, high) if low <= place <= high]
    return chosen


def layers(runs: Sequence[tuple[Mapping[str, float], Style]], across: str) -> str:
    """A row for each layer, the first on top, and a dot for each run, hollow where its line is dashed: how far it
    moves, on a logarithmic scale, which begins at zero where a layer does not move at all.

    >>> layers([({"layers.0": 0.0, "head": 0.5}, Style("#0072b2"))], "movement").count("layers.0")
    1
    """
    names = list(dict.fromkeys(name for values, _ in runs for name in values))
    every = [value for values, _ in runs for value in values.values()]
    moved = [value for value in every if value > 0]

    def draw(axes: Axes) -> None:
        for number, (values, (colour, dash, _)) in enumerate(runs):
            shift = ROW * ((number + 0.5) / len(runs) - 0.5)
            xs, rows = [*values.values()], [names.index(name) + shift for name in values]
            axes.plot(xs, rows, linestyle=(0, dash), color=colour, linewidth=1, alpha=FAINT)
            axes.plot(xs, rows, "o", markersize=5, color=colour, fillstyle="none" if dash else "full")
        axes.set_yticks(range(len(names)), names)
        axes.set(ylim=(max(len(names), 1) - 0.5, -0.5), xlabel=across)
        if moved:
            low, high, still = 0.8 * min(moved), 1.25 * max(moved), min(every) == 0
            axes.set_xscale("symlog", linthresh=low, linscale=0.3) if still else axes.set_xscale("log")
            axes.set_xticks([0.0] * still + ticks(low, high))
            axes.set_xlim(-0.1 * low if still else low, high)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter("{x:g}")

    return drawn(draw, (SIZE[0], 1.1 + 0.34 * len(names)))


def bar(parts: Sequence[tuple[float, Style]], across: str) -> str:
    """Parts of a whole, one after the other on one bar, each in its colour.

    >>> bar([(1.0, Style("#0072b2")), (3.0, Style("#e69f00"))], "minutes").count("fill: #0072b2")
    1
    """

    def draw(axes: Axes) -> None:
        start = 0.0
        for length, style in parts:
            axes.barh(0, length, left=start, color=style.colour)
            start += length
        axes.set(xlabel=across, yticks=[], xlim=(0, start or 1))
        axes.xaxis.set_major_locator(MaxNLocator(6))

    return drawn(draw, (SIZE[0], 1.2))


def curves(task: FittedTask, style: Style) -> str:
    """One task's true curve and support points in ink, and in the run's colour what *f* makes of it before and after
    some inner updates, told apart as ``FITS`` says.

    >>> task = FittedTask(([0.0], [1.0]), ([0.0, 1.0], [1.0, 2.0]), [0.0, 1.0], {0: [0.0, 0.0], 5: [1.0, 1.5]})
    >>> curves(task, Style("#0072b2")).count("#0072b2")
    2
    """
    low, high = min(task.truth[1]), max(task.truth[1])
    room = ROOM * (high - low)

    def draw(axes: Axes) -> None:
        axes.plot(*task.truth, color=INK, linewidth=1.0, alpha=0.6)
        for step, values in task.curves.items():
            _, dash, width = FITS[step]
            axes.plot(task.inputs, values, color=style.colour, linestyle=(0, dash), linewidth=width)
        axes.plot(*task.support, "o", color=INK, markersize=5)
        axes.set(xlabel="input x", ylabel="output y", ylim=(low - room, high + room))

    return drawn(draw)
