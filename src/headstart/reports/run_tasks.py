"""The sections of a report that show tasks: what was predicted for some of them, and which classes are confused."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from headstart.evaluation.result import Evaluation
from headstart.reports.page import Picture, Section
from headstart.reports.predictions import PredictedTasks, confusions
from headstart.reports.sample import ReportedRun, Sample
from headstart.reports.tables import Table
from headstart.reports.task_pictures import CLASSES, are_pictures, confusion_picture, task_picture

TASKS = 4
"""Tasks that are shown in full."""
PAIRS = 8
"""Pairs of confused classes."""
MATRIX = 12
"""Classes of which every pair is counted, at most."""


def task_sections(run: ReportedRun, sample: Sample) -> list[Section]:
    """Some tasks with their predictions, and what is confused; the errors of some tasks, if they are none of classes
    and no curves."""
    if sample.classes is None:
        return [] if sample.fits else [errors(sample.by_inner_step, run.purpose)]
    return [predicted_tasks(run, sample.classes), confused_classes(run, sample.classes)]


def on_paper(run: ReportedRun, pixels: Tensor) -> Tensor:
    """Pixels of an input, 0 to 1, for a person to look at: of characters dark ink on white."""
    classes = getattr(getattr(run.experiment.task_sets, run.purpose), "classes", None)
    if classes is None:
        return pixels
    ink = pixels if getattr(run.settings.problem, "ink", 1) == 1 else 1 - pixels
    shown: Tensor = classes.on_paper(255 * ink) / 255
    return shown


def predicted_tasks(run: ReportedRun, classes: PredictedTasks) -> Section:
    """The first tasks."""
    shown = range(min(TASKS, len(classes.predicted)))
    rows = [row for task in shown for row in rows_of_task(classes, task)]
    table = Table(("task", "class", "named", "queries right", "mistakes, as class"), rows)
    pictures = []
    if are_pictures(classes.episodes.query.inputs):
        for task in shown:
            right = classes.right[task]
            name = f"{run.purpose.capitalize()} task {task + 1}: {int(right.sum())} of {len(right)} queries right"
            pictures.append(Picture(task_picture(classes, task, partial(on_paper, run)), name))
    most = f" Of a task with more classes, {CLASSES} are drawn." if len(classes.names[0]) > CLASSES else ""
    seen = " A mistake has a frame, and below it the number of the class that it was taken for." if pictures else ""
    return Section(
        f"{run.purpose.capitalize()} tasks, one by one",
        [
            f"The first {len(shown)} tasks of classes that were not trained on: every row is a class, of which the "
            f"support examples are all that the learner is shown.{seen}{most}"
        ],
        [table],
        [pictures[:2], pictures[2:]] if pictures else (),
    )


def rows_of_task(classes: PredictedTasks, task: int) -> list[tuple[str, ...]]:
    """A row for each class of a task."""
    rows: list[tuple[str, ...]] = []
    targets = classes.episodes.query.targets[task]
    for target, name in enumerate(classes.names[task]):
        found = classes.predicted[task][targets == target].tolist()
        counts = {other: found.count(other) for other in sorted({*found}) if other != target}
        mistakes = ", ".join(f"{count} as {other + 1}" for other, count in counts.items())
        rows.append(
            (str(task + 1), str(target + 1), name, f"{found.count(target)} of {len(found)}", mistakes or "none")
        )
    return rows


def confused_classes(run: ReportedRun, classes: PredictedTasks) -> Section:
    """The pairs with the most mistakes, and all pairs where there are few classes."""
    heading, known = "The most confused classes", {name for names in classes.names for name in names}
    every = confusions(classes)
    if not every:
        return Section(heading, [f"There is not a single mistake in {len(classes.predicted):,} {run.purpose} tasks."])
    pairs = every[:PAIRS]
    rows = [(pair.true, pair.taken_for, str(pair.mistakes), str(pair.queries)) for pair in pairs]
    tables = [Table(("class", "taken for", "mistakes", "of queries"), rows)]
    if len(known) <= MATRIX:
        tables.append(matrix(classes, sorted(known)))
    picture = []
    if are_pictures(classes.episodes.query.inputs):
        svg = confusion_picture(classes, pairs, partial(on_paper, run))
        picture = [
            [Picture(svg, "The most confused classes: the one, the first query that was mistaken, and the other")]
        ]
    mistakes, queries = sum(pair.mistakes for pair in every), classes.right.numel()
    return Section(
        heading,
        [
            f"In {len(classes.predicted):,} {run.purpose} tasks, {mistakes:,} of {queries:,} queries were mistaken. "
            "These classes were most often taken for one another; the queries are those of tasks with both."
        ],
        tables,
        picture,
    )


def matrix(classes: PredictedTasks, names: list[str]) -> Table:
    """How often each class was taken for each, in per cent of its queries."""
    counts = {name: dict.fromkeys(names, 0) for name in names}
    for own, targets, found in zip(
        classes.names, classes.episodes.query.targets.tolist(), classes.predicted.tolist(), strict=True
    ):
        for target, prediction in zip(targets, found, strict=True):
            counts[own[target]][own[prediction]] += 1
    rows = [
        (name, *(f"{100 * count / max(sum(row.values()), 1):.0f} %" for count in row.values()))
        for name, row in counts.items()
    ]
    return Table(("class", *(f"as {name}" for name in names)), rows)


def errors(found: Evaluation, purpose: str) -> Section:
    """What some tasks reached."""
    rows = [
        (str(task + 1), *(found.metric.digits(float(found.scores[task, step])) for step in (0, -1)))
        for task in range(min(2 * TASKS, found.tasks))
    ]
    heads = ("task", f"{found.metric.name} before adapting", f"after {found.inner_steps} inner steps")
    return Section(f"{purpose.capitalize()} tasks, one by one", ["The first tasks."], [Table(heads, rows)])
