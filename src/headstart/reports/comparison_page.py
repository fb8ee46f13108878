"""A comparison as it is read: tables of what was reached, and pictures of how each run comes to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from headstart.reports.adaptation_page import Adapting, Drawn, fits, inner_steps, named, shown
from headstart.reports.colours import Style, styles_of
from headstart.reports.comparison import MeasuredRun, labels_of
from headstart.reports.comparison_tables import Entry, differences, results, settings
from headstart.reports.figures import Line, layers, lines
from headstart.reports.learning_curves import Curve, Log, training_curve, validation_curve
from headstart.reports.page import Picture, Section
from headstart.reports.tables import Table


def comparison_title(runs: Sequence[MeasuredRun]) -> str:
    """What is compared, and on what."""
    return f"{', '.join(labels_of(runs))} on {runs[0].settings.names()['problem']}"


def comparison_sections(runs: Sequence[MeasuredRun]) -> list[Section]:
    """All that a comparison says, in the order in which it is read."""
    methods = [run.settings.names()["method"] for run in runs]
    entries = [Entry(*entry) for entry in zip(labels_of(runs), styles_of(methods), runs, strict=True)]
    adapting = [Adapting(label, style, run.by_inner_step) for label, style, run in entries]
    drawn = [Drawn(label, style, run.fits) for label, style, run in entries if run.fits]
    return [
        results(entries),
        differences(entries),
        inner_steps(adapting, "test"),
        learning(entries),
        moved_layers(entries),
        *([fits(drawn, "test")] if drawn else []),
        settings(entries),
    ]


def legend(entries: Sequence[Entry]) -> list[tuple[str, Style]]:
    """The runs with their styles."""
    return [(entry.label, entry.style) for entry in entries]


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
