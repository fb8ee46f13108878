"""A report of one run as it is read: what was trained, how it went, what it can do, and how to go on."""

from __future__ import annotations

import math

from headstart.experiments.methods import METHODS
from headstart.experiments.settings import Settings
from headstart.reports.adaptation_page import Adapting, Drawn, fits, inner_steps, named, shown
from headstart.reports.colours import BLUE, GREEN, GREY, ORANGE, PURPLE, Style, styles_of
from headstart.reports.figures import Line, bar, lines
from headstart.reports.learning_curves import Curve, training_curve, validation_curve
from headstart.reports.next_steps import next_steps, settings_table
from headstart.reports.page import Picture, Section
from headstart.reports.reading import metric_of
from headstart.reports.run_tasks import task_sections
from headstart.reports.sample import ReportedRun, Sample
from headstart.reports.tables import Strong, Table
from headstart.reports.timing import median_seconds, time_spent

LEARNS = {
    "initialisation": "learns where f starts from",
    "update rule": "learns how f is updated",
    "structure": "learns which operations f is made of",
    "metric": "learns what to compare examples by",
    "baseline": "is a baseline: it does not learn to adapt",
}
"""What each family of methods does."""
WORDS = (
    "A task shows a few examples with their answers (the support set) and asks for those of others (the query set). "
    "An inner step adapts the model f to one task's support set; a meta-step improves, over several tasks, what every "
    "task starts from."
)
PARTS = (ORANGE, BLUE, GREEN, PURPLE)
"""The colours of the parts of the time."""
POINTS = 40
"""Points of the curve of training, at most."""
VALIDATIONS = 40
"""Rows of a table of validations, at most."""


def run_title(run: ReportedRun) -> str:
    """The method and the problem."""
    names = run.settings.names()
    return f"{names['method']} on {names['problem']}, {tasks_of(run.settings)}"


def run_sections(run: ReportedRun, sample: Sample | None) -> list[Section]:
    """All that a report says, in the order in which it is read."""
    label, (style,) = run.settings.names()["method"], styles_of([run.settings.names()["method"]])
    sections = [overview(run), learning(run, style)] if run.log else [overview(run)]
    if sample:
        if sample.by_inner_step.inner_steps:
            section = inner_steps([Adapting(label, style, sample.by_inner_step.summary)], run.purpose)
            own = f"The run's own test makes {run.settings.method.inner_steps_in_test}."
            sections.append(section._replace(paragraphs=[*section.paragraphs, own]))
        if sample.fits:
            sections.append(fits([Drawn(label, style, sample.fits)], run.purpose))
        sections += task_sections(run, sample)
    if run.log:
        sections.append(timing(run))
    return [*sections, settings_table(run.settings), next_steps(run)]


def overview(run: ReportedRun) -> Section:
    """What was trained, in a sentence, what came out, and where it stands."""
    settings, outer = run.settings, run.settings.outer_loop
    names, row = settings.names(), METHODS[settings.names()["method"]]
    source = f" of {row.source}" if row.source else ""
    sentence = (
        f"{names['method']}{source}, which {LEARNS[row.family]}, trained the model {names['model']} on "
        f"{tasks_of(settings)} of {names['problem']}: {outer.meta_steps:,} meta-steps of {outer.meta_batch:,} "
        f"task{'s' * (outer.meta_batch > 1)}."
    )
    return Section("What was trained", [sentence, outcome(run), WORDS], [glance(run)])


def tasks_of(settings: Settings) -> str:
    """What kind of tasks they are.

    >>> from headstart.experiments.settings import default_settings
    >>> tasks_of(default_settings("glyphs")), tasks_of(default_settings("sinusoid"))
    ('5-way 1-shot tasks', '10-shot tasks')
    """
    ways = f"{settings.task.ways}-way " if hasattr(settings.task, "ways") else ""
    return f"{ways}{settings.task.shots}-shot tasks"


def outcome(run: ReportedRun) -> str:
    """What was reached, or where training stands."""
    total, done = run.settings.outer_loop.meta_steps, run.meta_step
    ways = getattr(run.settings.task, "ways", None)
    guessing = f"; guessing would be right in {100 / ways:.0f} %" if ways else ""
    if run.test:
        made = run.test.inner_steps
        steps = f" after {made} inner step{'s' * (made > 1)}" if made else ""
        return (
            f"On {run.test.tasks:,} test tasks that it had never seen it reaches {run.test.metric.name} "
            f"{run.test.after(made)}{steps}{guessing}."
        )
    if not done:
        return "Training has not yet saved anything: its log and its first checkpoint come together."
    if run.trained:
        return f"All {total:,} meta-steps are done; it has not yet been tested."
    left = (total - done) * run.log_seconds / done
    state = "Training has stopped" if run.stopped else f"Training goes on, or was killed; {duration(left)} are left"
    return f"{state}: {done:,} of {total:,} meta-steps are done. What is shown is of validation tasks{guessing}."


def glance(run: ReportedRun) -> Table:
    """The run in a few numbers."""
    metric, test = metric_of(run.experiment), run.test
    curve = validation_curve(run.log, metric.name)
    rows = [("meta-steps", f"{run.meta_step:,} of {run.settings.outer_loop.meta_steps:,}")]
    if test:
        rows += [
            (f"test {metric.name}", Strong(test.after(test.inner_steps))),
            ("test tasks", f"{test.tasks:,}, {'transductive' if test.transductive else 'inductive'}"),
            ("task hash", f"{test.task_hash[:12]} (equal hashes mean equal tasks)"),
        ]
    if curve.values:
        best = (max if metric.higher_is_better else min)(curve.values)
        step = curve.meta_steps[curve.values.index(best)]
        rows.append((f"best validation {metric.name}", f"{metric.digits(best)}{metric.unit}, after meta-step {step:,}"))
    rows += [("time of training", duration(run.log_seconds)), ("folder", str(run.run.path))]
    return Table(("what", "value"), rows)


def learning(run: ReportedRun, style: Style) -> Section:
    """Training and validation against meta-steps and minutes."""
    metric = metric_of(run.experiment)
    validation, training = validation_curve(run.log, metric.name), training_curve(run.log, metric.name, POINTS)
    drawn: list[tuple[str, Curve, Style]] = [("training tasks, smoothed", training, Style(GREY, width=1.2))]
    if validation.values:
        drawn.append(("validation tasks", validation, style._replace(width=2.4)))
    (_, first, _), *_ = reversed(drawn)
    ends = f": from {metric.digits(first.values[0])} to {metric.digits(first.values[-1])}" if first.values else ""
    pictures = []
    for across, place in (("meta-steps", 0), ("minutes", 1)):
        drawing = [Line(curve[place], shown(metric, curve.values), of) for _, curve, of in drawn]
        svg = lines(drawing, across, named(metric), log=not metric.is_fraction)
        pictures.append(Picture(svg, f"{metric.name.capitalize()} over {across}{ends}"))
    text = "Training is the query set of each meta-step's tasks after adapting. " + (
        "Validation is on the same fixed tasks of other classes every time; the best validated meta-parameters are the "
        "ones that are kept."
        if validation.values
        else "There was no validation so far."
    )
    every = math.ceil(len(validation.values) / VALIDATIONS) or 1
    points = list(zip(*validation, strict=True))[::-1][::every][::-1]
    rows = [(f"{step:,}", f"{minutes:.1f}", metric.digits(value) + metric.unit) for step, minutes, value in points]
    tables = [Table(("meta-step", "minutes", f"validation {metric.name}"), rows)] if rows else []
    return Section("Learning curves", [text], tables, [pictures], [(label, of) for label, _, of in drawn])


def timing(run: ReportedRun) -> Section:
    """Where the time went."""
    spent = time_spent(run.log, run.test.seconds if run.test else None)
    total = sum(spent.values()) or 1.0
    styles = {part: Style(colour, width=6) for part, colour in zip(spent, PARTS, strict=False)}
    rows = [(part, duration(seconds), f"{100 * seconds / total:.0f} %") for part, seconds in spent.items()]
    words = ", ".join(f"{part} {share}" for part, _, share in rows)
    svg = bar([(seconds / 60, styles[part]) for part, seconds in spent.items()], "minutes")
    return Section(
        "Where the time went",
        [
            f"Half of the meta-steps took {1000 * median_seconds(run.log):,.3g} ms or less. What a single one took "
            "beyond is counted as validation where one came before it, and as compiling where it was the first, or far "
            "longer than the others. The validation after the last meta-step is not timed."
        ],
        [Table(("part", "time", "share"), rows)],
        [[Picture(svg, f"{duration(total)} in all: {words}")]],
        [(part, styles[part]) for part in spent],
    )


def duration(seconds: float) -> str:
    """A time, for people.

    >>> duration(12.34), duration(90), duration(7500)
    ('12.3 s', '1.5 minutes', '2.1 hours')
    """
    if seconds < 60:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.1f} minutes" if seconds < 3600 else f"{seconds / 3600:.1f} hours"
