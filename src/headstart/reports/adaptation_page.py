"""How runs adapt, as it is read: what they reach after so many inner steps, and the curves that they draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from headstart.evaluation.summary import Summary
from headstart.learners.scoring import Metric
from headstart.reports.colours import SOLID, Style
from headstart.reports.figures import FITS, Line, curves, lines
from headstart.reports.fits import FittedTask
from headstart.reports.page import Picture, Section
from headstart.reports.tables import Table

SHOWN = (0, 1, 3, 5, 10, 20, 50)
"""Numbers of inner steps that the table has, where they were evaluated."""


class Adapting(NamedTuple):
    """A run as it is shown, and the figures of an evaluation; over no inner steps where nothing adapts."""

    label: str
    style: Style
    by_inner_step: Summary


class Drawn(NamedTuple):
    """A run as it is shown, and some tasks with the curves that it fits to them."""

    label: str
    style: Style
    fits: Sequence[FittedTask]


def named(metric: Metric) -> str:
    """The metric with its unit.

    >>> from headstart.learners.scoring import ACCURACY, MSE
    >>> named(ACCURACY), named(MSE)
    ('accuracy (%)', 'mse')
    """
    return f"{metric.name} ({metric.unit.strip()})" if metric.unit else metric.name


def shown(metric: Metric, values: Sequence[float]) -> list[float]:
    """The values in the unit in which people read them."""
    return [100 * value if metric.is_fraction else value for value in values]


def brief(found: Summary, step: int) -> str:
    """The mean after ``step`` inner updates with its interval; the median, where a task diverged."""
    if found.diverged_by_inner_step[step]:
        return found.after(step)
    value, half = found.by_inner_step[step], found.interval_by_inner_step[step]
    return f"{found.metric.digits(value)} ± {found.metric.digits(half)}"


def inner_steps(runs: Sequence[Adapting], purpose: str) -> Section:
    """The metric against the number of inner updates on tasks of a ``purpose``: test or validation."""
    metric, drawing, rows = runs[0].by_inner_step.metric, [], []
    steps = max(run.by_inner_step.inner_steps for run in runs)
    chosen = [step for step in SHOWN if step <= steps]
    for label, style, found in runs:
        level = 1 if found.inner_steps else steps + 1
        ys, halves = (shown(metric, part * level) for part in (found.by_inner_step, found.interval_by_inner_step))
        drawing.append(Line(range(len(ys)), ys, style, halves))
        rows.append((label, *(brief(found, step) if step <= found.inner_steps else "–" for step in chosen)))
    along = f"{purpose} {named(metric)}"
    svg = lines(drawing, f"inner steps at {purpose}", along, log=not metric.is_fraction)
    name = f"{purpose.capitalize()} {metric.name} after 0 to {steps} inner steps"
    return Section(
        f"{purpose.capitalize()} {named(metric)} against inner steps",
        [
            f"Evaluated anew on {runs[0].by_inner_step.tasks:,} {purpose} tasks, transductively; the bands are 95 % "
            "intervals. A line ends where a task diverges."
            + " A method that makes no inner updates has a level line."
            * (len(runs) > 1)
        ],
        [Table(("run", *(f"after {step}" for step in chosen)), rows)],
        [[Picture(svg, name)]],
        [(run.label, run.style) for run in runs],
    )


def fits(runs: Sequence[Drawn], purpose: str) -> Section:
    """The curves of some tasks of a ``purpose`` before and after inner updates."""
    words = {0: "before adapting", 1: "after 1 inner step"}
    steps = [(words.get(step, f"after {step}"), style._replace(colour="currentColor")) for step, style in FITS.items()]
    return Section(
        "Fitted curves",
        [
            f"The first {purpose} tasks. Dots are the support points, the thin grey line is the true curve through the "
            "query points. The curves of a run are in its colour."
        ],
        pictures=[
            [Picture(curves(task, style), f"{label}, task {number}") for number, task in enumerate(tasks, 1)]
            for label, style, tasks in runs
        ],
        legend=[("true curve", Style("var(--faint)", SOLID, 1.0)), *steps],
    )
