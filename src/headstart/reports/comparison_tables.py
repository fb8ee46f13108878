"""The sections of a comparison that are tables: what was reached, how clear the differences are, what was set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from headstart.evaluation.paired import paired_difference
from headstart.learners.scoring import Metric
from headstart.reports.colours import Style
from headstart.reports.comparison import MeasuredRun
from headstart.reports.page import Section
from headstart.reports.tables import Strong, Table
from headstart.runs.reading import PLACES


class Entry(NamedTuple):
    """A run as it is shown."""

    label: str
    style: Style
    run: MeasuredRun


def results(entries: Sequence[Entry]) -> Section:
    """What each run reached on its test tasks."""
    metric = entries[0].run.test.metric
    rows = []
    for label, _, run in entries:
        test, last = run.test, [record for record in run.log if "seconds" in record][-1]
        rows.append((
            label,
            test.after(test.inner_steps),
            str(test.inner_steps),
            "transductive" if test.transductive else "inductive",
            f"{test.tasks:,}",
            test.task_hash[:12],
            f"{last['meta_step']:,}",
            f"{last['seconds'] / 60:.1f}",
        ))  # fmt: skip
    heads = ("run", f"test {metric.name}", "inner steps", "mode", "tasks", "task hash", "meta-steps", "minutes")
    return Section(
        "What was reached",
        ["The mean over the test tasks with its 95 % interval. Equal task hashes mean equal tasks."],
        [Table(heads, rows)],
    )


def differences(entries: Sequence[Entry]) -> Section:
    """The paired differences, if all runs were tested on the same tasks."""
    heading, tests = "Paired differences", [entry.run.test for entry in entries]
    if len({test.task_hash for test in tests}) > 1:
        return Section(heading, ["The runs were tested on different tasks, so that their scores cannot be paired."])
    metric, labels = tests[0].metric, [entry.label for entry in entries]
    cells = {(row, column): "–" for row in range(len(tests)) for column in range(len(tests))}
    for row, left in enumerate(tests):
        for column, right in enumerate(tests[:row]):
            if (left.scores[:, -1].isfinite() & right.scores[:, -1].isfinite()).sum() < 2:
                continue
            value, low, high, count = found = paired_difference(left, right)
            note = "" if count == left.tasks else f" of {count:,} tasks"
            style = Strong if found.is_clear else str
            cells[row, column] = style(interval(metric, value, low, high) + note)
            cells[column, row] = style(interval(metric, -value, -high, -low) + note)
    rows = [(label, *(cells[row, column] for column in range(len(tests)))) for row, label in enumerate(labels)]
    unit = "percentage points" if metric.is_fraction else metric.name
    better = "a positive number" if metric.higher_is_better else "a negative number"
    return Section(
        heading,
        [
            f"The run of the row minus that of the column, task by task, in {unit}: the mean and its 95 % bootstrap "
            f"interval. With {better} the run of the row is better; bold where the interval is clear of zero. A task "
            "on which one of the two diverged is left out."
        ],
        [Table(("", *(f"minus {label}" for label in labels)), rows)],
    )


def interval(metric: Metric, value: float, low: float, high: float) -> str:
    """A difference with its interval.

    >>> from headstart.learners.scoring import ACCURACY
    >>> interval(ACCURACY, -0.012, -0.02, 0.001)
    '−1.20 (−2.00\\xa0to\\xa0+0.10)'
    """
    value_, low_, high_ = (f"{'−' if end < 0 else '+'}{metric.digits(abs(end))}" for end in (value, low, high))
    return f"{value_} ({low_}\u00a0to\u00a0{high_})"


def settings(entries: Sequence[Entry]) -> Section:
    """What the runs differ in, and what they share."""
    records = [entry.run.settings.record() for entry in entries]
    names = [name for name in dict.fromkeys(name for record in records for name in record) if name not in PLACES]
    values = {name: [str(record.get(name, "–")) for record in records] for name in names}
    shared = ", ".join(f"{name} {found[0]}" for name, found in values.items() if len({*found}) == 1)
    differing = [(name, *found) for name, found in values.items() if len({*found}) > 1]
    return Section(
        "Settings that differ",
        [f"A method does not have what is marked by –. Shared by all: {shared}."],
        [Table(("setting", *(entry.label for entry in entries)), differing)],
    )
