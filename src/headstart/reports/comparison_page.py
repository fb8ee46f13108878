"""A comparison as it is read: tables of what was reached, and pictures of how each run comes to it."""

from __future__ import annotations

from collections.abc import Sequence

from headstart.reports.adaptation_page import Adapting, Drawn, fits, inner_steps, named, shown
from headstart.reports.colours import Style, styles_of
from headstart.reports.comparison_record import Comparison
from headstart.reports.comparison_tables import Entry, differences, results, settings
from headstart.reports.figures import Line, layers, lines
from headstart.reports.learning_curves import Curve
from headstart.reports.page import Picture, Section
from headstart.reports.tables import Table


def comparison_title(comparison: Comparison) -> str:
    """What is compared, and on what."""
    runs = comparison.runs
    return f"{', '.join(run.label for run in runs)} on {runs[0].settings['problem']}"


def comparison_sections(comparison: Comparison) -> list[Section]:
    """All that a comparison says, in the order in which it is read."""
    runs = comparison.runs
    entries = [Entry(*entry) for entry in zip(styles_of([run.settings["method"] for run in runs]), runs, strict=True)]
    adapting = [Adapting(run.label, style, run.by_inner_step) for style, run in entries]
    drawn = [Drawn(run.label, style, run.fits) for style, run in entries if run.fits]
    return [
        results(entries),
        differences(entries, comparison.differences),
        inner_steps(adapting, "test"),
        learning(entries),
        moved_layers(entries),
        *([fits(drawn, "test")] if drawn else []),
        settings(entries),
    ]


def legend(entries: Sequence[Entry]) -> list[tuple[str, Style]]:
    """The runs with their styles."""
    return [(entry.run.label, entry.style) for entry in entries]


def learning(entries: Sequence[Entry]) -> Section:
    """Validation and training against meta-steps and minutes."""
    metric = entries[0].run.test.metric

    def pictures(kind: str) -> list[Picture]:
        found: list[tuple[Curve, Style]] = [(getattr(run, kind), style) for style, run in entries]
        group = []
        for across, place in (("meta-steps", 0), ("minutes", 1)):
            drawing = [Line(curve[place], shown(metric, curve.values), style) for curve, style in found]
            svg = lines(drawing, across, f"{kind} {named(metric)}", log=not metric.is_fraction)
            group.append(Picture(svg, f"{kind.capitalize()} {metric.name} over {across}"))
        return group

    return Section(
        "Learning curves",
        [
            "Validation is on the same fixed tasks every time. Training is the query set of each meta-step's tasks, "
            "smoothed; methods differ in the tasks that they train on. Minutes are of training, compiling included."
        ],
        pictures=[pictures("validation"), pictures("training")],
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
        [Table(("layer", *(entry.run.label for entry in entries)), rows)],
        [[Picture(svg, "Movement of each layer, from input to output")]],
        legend(entries),
    )
