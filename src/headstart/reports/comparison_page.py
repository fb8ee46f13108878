"""A comparison as it is read: tables of what was reached, and pictures of how each run comes to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from headstart.evaluation.result import Evaluation
from headstart.learners.scoring import Metric
from headstart.reports.colours import SOLID, Style, styles_of
from headstart.reports.comparison import MeasuredRun, labels_of
from headstart.reports.comparison_tables import Entry, differences, results, settings
from headstart.reports.figures import FITS, Line, curves, layers, lines
from headstart.reports.learning_curves import Curve, Log, training_curve, validation_curve
from headstart.reports.page import Picture, Section
from headstart.reports.tables import Table

SHOWN = (0, 1, 3, 5, 10, 20, 50)
"""Numbers of inner steps that the table has, where they were evaluated."""


def comparison_title(runs: Sequence[MeasuredRun]) -> str:
    """What is compared, and on what."""
    return f"{', '.join(labels_of(runs))} on {runs[0].settings.names()['problem']}"


def comparison_sections(runs: Sequence[MeasuredRun]) -> list[Section]:
    """All that a comparison says, in the order in which it is read."""
    methods = [run.settings.names()["method"] for run in runs]
    entries = [Entry(*entry) for entry in zip(labels_of(runs), styles_of(methods), runs, strict=True)]
    sections = [results(entries), differences(entries), inner_steps(entries), learning(entries), moved_layers(entries)]
    drawable = [entry for entry in entries if entry.run.fits]
    return [*sections, *([fits(drawable)] if drawable else []), settings(entries)]


def legend(entries: Sequence[Entry]) -> list[tuple[str, Style]]:
    """The runs with their styles."""
    return [(entry.label, entry.style) for entry in entries]


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


def brief(found: Evaluation, step: int) -> str:
    """The mean after ``step`` inner updates with its interval; the median, where a task diverged."""
    if found.diverged_by_inner_step[step]:
        return found.after(step)
    value, half = found.by_inner_step[step], found.interval_by_inner_step[step]
    return f"{found.metric.digits(value)} ± {found.metric.digits(half)}"


def inner_steps(entries: Sequence[Entry]) -> Section:
    """The metric against the number of inner updates at test."""
    metric, drawing, rows = entries[0].run.test.metric, [], []
    steps = max(entry.run.by_inner_step.inner_steps for entry in entries)
    chosen = [step for step in SHOWN if step <= steps]
    for label, style, run in entries:
        found = run.by_inner_step
        level = 1 if found.inner_steps else steps + 1
        ys, halves = (shown(metric, part * level) for part in (found.by_inner_step, found.interval_by_inner_step))
        drawing.append(Line(range(len(ys)), ys, style, halves))
        rows.append((label, *(brief(found, step) if step <= found.inner_steps else "–" for step in chosen)))
    name = f"Test {metric.name} after 0 to {steps} inner steps"
    return Section(
        f"Test {named(metric)} against inner steps",
        [
            f"Evaluated anew on {entries[0].run.by_inner_step.tasks:,} test tasks, transductively; the bands are 95 % "
            "intervals. A line ends where a task diverges. A method that makes no inner updates has a level line."
        ],
        [Table(("run", *(f"after {step}" for step in chosen)), rows)],
        [[Picture(lines(drawing, "inner steps at test", f"test {named(metric)}", log=not metric.is_fraction), name)]],
        legend(entries),
    )


def learning(entries: Sequence[Entry]) -> Section:
    """Validation and training against meta-steps and minutes."""
    metric = entries[0].run.test.metric

    def pictures(words: str, curve_of: Callable[[Log, str], Curve]) -> list[Picture]:
        found = [(curve_of(run.log, metric.name), style) for _, style, run in entries]
        group = []
        for across, place in (("meta-steps", 0), ("minutes", 1)):
            drawing = [Line(curve[place], shown(metric, curve.values), style) for curve, style in found]
            svg = lines(drawing, across, f"{words} {named(metric)}", log=not metric.is_fraction)
            group.append(Picture(svg, f"{words.capitalize()} {metric.name} over {across}"))
        return group

    return Section(
        "Learning curves",
        [
            "Validation is on the same fixed tasks every time. Training is the query set of each meta-step's tasks, "
            "smoothed; methods differ in the tasks that they train on. Minutes are of training, compiling included."
        ],
        pictures=[pictures("validation", validation_curve), pictures("training", training_curve)],
        legend=legend(entries),
    )


def moved_layers(entries: Sequence[Entry]) -> Section:
    """How far each layer moves in adaptation."""
    runs = [entry.run for entry in entries]
    rows = [("inner steps of the test", *(str(run.test.inner_steps) for run in runs))]
    for layer in dict.fromkeys(layer for run in runs for layer in run.movement):
        rows.append((layer, *(f"{run.movement[layer]:.3g}" if layer in run.movement else "–" for run in runs)))
    svg = layers([(entry.run.movement, entry.style) for entry in entries], "relative movement")
    return Section(
        "How far each layer moves",
        [
            "Relative to where a layer starts: ||task_params - meta_params|| / ||meta_params||, the mean over "
            f"{runs[0].by_inner_step.tasks:,} test tasks, after the inner steps of the test. A head that is made for "
            "the task is measured from there; a layer that starts from zero has no such ratio (–)."
        ],
        [Table(("layer", *(entry.label for entry in entries)), rows)],
        [[Picture(svg, "Movement of each layer, from input to output")]],
        legend(entries),
    )


def fits(entries: Sequence[Entry]) -> Section:
    """The curves of some test tasks before and after inner updates."""
    words = {0: "before adapting", 1: "after 1 inner step"}
    steps = [(words.get(step, f"after {step}"), style._replace(colour="currentColor")) for step, style in FITS.items()]
    return Section(
        "Fitted curves",
        [
            "The first test tasks. Dots are the support points, the thin grey line is the true curve through the query "
            "points. The curves of a run are in its colour."
        ],
        pictures=[
            [Picture(curves(task, style), f"{label}, task {number}") for number, task in enumerate(run.fits, 1)]
            for label, style, run in entries
        ],
        legend=[("true curve", Style("var(--faint)", SOLID, 1.0)), *steps],
    )
