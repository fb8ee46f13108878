"""The sections of a comparison that are tables: what was reached, how clear the differences are, what was set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from headstart.learners.scoring import Metric
from headstart.reports.colours import Style
from headstart.reports.comparison_record import ComparedRun, Difference
from headstart.reports.page import Section
from headstart.reports.tables import Strong, Table


class Entry(NamedTuple):
    """A run as it is shown."""

    style: Style
    run: ComparedRun


def results(entries: Sequence[Entry]) -> Section:
    """What each run reached on its test tasks."""
    metric = entries[0].run.test.metric
    rows = []
    for _, run in entries:
        test = run.test
        rows.append((
            run.label,
            test.after(test.inner_steps),
            str(test.inner_steps),
            "transductive" if test.transductive else "inductive",
            f"{test.tasks:,}",
            test.task_hash[:12],
            f"{run.meta_steps:,}",
            f"{run.minutes:.1f}",
        ))  # fmt: skip
    heads = ("run", f"test {metric.name}", "inner steps", "mode", "tasks", "task hash", "meta-steps", "minutes")
    return Section(
        "What was reached",
        ["The mean over the test tasks with its 95 % interval. Equal task hashes mean equal tasks."],
        [Table(heads, rows)],
    )


def differences(entries: Sequence[Entry], found: Sequence[Difference]) -> Section:
    """The paired differences, if all runs were tested on the same tasks."""
    heading, tests = "Paired differences", [entry.run.test for entry in entries]
    if len({test.task_hash for test in tests}) > 1:
        return Section(heading, ["The runs were tested on different tasks, so that their scores cannot be paired."])
    metric, labels = tests[0].metric, [entry.run.label for entry in entries]
    cells: dict[tuple[str, str], str] = {}
    for left, right, value, low, high, count in found:
        note = "" if count == tests[0].tasks else f" of {count:,} tasks"
        style = Strong if low > 0 or high < 0 else str
        cells[left, right] = style(interval(metric, value, low, high) + note)
        cells[right, left] = style(interval(metric, -value, -high, -low) + note)
    rows = [(label, *(cells.get((label, other), "–") for other in labels)) for label in labels]
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
    records = [entry.run.settings for entry in entries]
    names = dict.fromkeys(name for record in records for name in record)
    values = {name: [str(record.get(name, "–")) for record in records] for name in names}
    shared = ", ".join(f"{name} {found[0]}" for name, found in values.items() if len({*found}) == 1)
    differing = [(name, *found) for name, found in values.items() if len({*found}) > 1]
    return Section(
        "Settings that differ",
        [f"A method does not have what is marked by –. Shared by all: {shared}."],
        [Table(("setting", *(entry.run.label for entry in entries)), differing)],
    )
