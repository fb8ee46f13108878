"""The page of results, made of the records alone."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from headstart.reports.tables import Strong, Table

Record = Mapping[str, Any]
HEAD = """# Results

Written by `headstart results` from the records in `results/`. A record is one run: it holds all settings,
the values after every inner step, the task hash, the machine and the commit. Runs of one recipe that differ by their
seed are one row here: their mean, with its 95 % interval over the seeds; of one run, over the test tasks. *Other mode*
is inductive if the row is transductive, and the other way round. *Against the paper* compares with the lower end of
the published interval.
"""
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""The 97.5 % quantile of Student's distribution, by degrees of freedom from 1 on; the last for more of them too."""


def results_page(records: Iterable[Record], notes: str = "") -> str:
    """The page, in Markdown: a table for each problem and study, and then the notes on what falls short."""
    parts = [HEAD]
    for (study, problem, metric), group in groupby(sorted(records, key=order), lambda row: order(row)[:3]):
        runs = [list(seeds) for _, seeds in groupby(group, lambda row: order(row)[:-1])]
        table = accuracy_table(runs) if metric == "accuracy" else error_table(runs)
        remarks = "".join(f"\n{seeds[0]['recipe']}: {seeds[0]['note']}\n" for seeds in runs if seeds[0]["note"])
        parts.append(f"\n## {study or problem.capitalize()}\n\n{table.markdown()}\n{remarks}")
    return "".join(parts) + (f"\n{notes}" if notes else "")


def order(record: Record) -> tuple[Any, ...]:
    """Study, problem, metric, method, task, recipe and budget; the seed last."""
    task = (record["ways"] or 0, record["shots"])
    name = (record["study"], record["problem"], record["metric"], record["method"], task, record["recipe"])
    return *name, -record["meta_steps"], record["seed"]


def accuracy_table(rows: Sequence[Sequence[Record]]) -> Table:
    """A row per recipe and budget: what was published, what came out, in both modes."""
    heads = "recipe|published|reached|against the paper|other mode|inner steps|meta-steps|minutes, compiling|command"
    return Table(heads.split("|"), [accuracy_row(runs) for runs in rows])


def accuracy_row(runs: Sequence[Record]) -> tuple[str, ...]:
    """The cells of the runs of one recipe."""
    first = runs[0]
    published, (value, interval) = first["published"], reached(runs, first["transductive"])
    return (
        first["recipe"],
        percent(published["value"], published["interval"]) if published else "",
        Strong(f"{percent(value, interval)} {mode(first['transductive'])}"),
        against(published, value),
        percent(*reached(runs, not first["transductive"])),
        str(first["inner_steps"]),
        share(first),
        f"{mean(runs, 'minutes'):.1f}, {mean(runs, 'compile_minutes'):.1f}",
        command(runs),
    )


def error_table(rows: Sequence[Sequence[Record]]) -> Table:
    """A row per recipe and budget: the mean error after 1, 5 and 10 inner steps, the median where tasks diverged."""
    heads = "recipe|published|after 1|after 5|after 10|meta-steps|minutes|command"
    return Table(heads.split("|"), [error_row(runs) for runs in rows])


def error_row(runs: Sequence[Record]) -> tuple[str, ...]:
    """The cells of the runs of one recipe."""
    first = runs[0]
    published = first["published"]["by_inner_step"].values() if first["published"] else ()
    return (
        first["recipe"],
        ", ".join(f"{value:g}" for value in published),
        *(Strong(error(runs, step)) for step in (1, 5, 10)),
        share(first),
        f"{mean(runs, 'minutes'):.1f}",
        command(runs),
    )


def reached(runs: Sequence[Record], transductive: bool) -> tuple[float, float]:
    """The mean of the runs in a mode and half the width of its interval: over seeds, of one run over its tasks."""
    found = [reached_by(run, transductive) for run in runs]
    return over_seeds([value for value, _ in found], [interval for _, interval in found])


def reached_by(run: Record, transductive: bool) -> tuple[float, float]:
    """What one run reached in a mode, and its interval over the tasks."""
    if run["transductive"] == transductive:
        return run["value"], run["interval"]
    return run["otherwise"][run["metric"]], run["otherwise"]["interval"]


def over_seeds(values: Sequence[float], intervals: Sequence[float]) -> tuple[float, float]:
    """The mean and half the width of its 95 % interval: Student's over several runs, that of a single one as it is.

    >>> over_seeds([0.97, 0.98, 0.99], [0.001] * 3)  # doctest: +ELLIPSIS
    (0.98, 0.0248...)
    >>> over_seeds([0.97], [0.001])
    (0.97, 0.001)
    """
    if len(values) == 1:
        return values[0], intervals[0]
    quantile = STUDENT[min(len(values) - 1, len(STUDENT)) - 1]
    return statistics.fmean(values), quantile * statistics.stdev(values) / math.sqrt(len(values))


def error(runs: Sequence[Record], step: int) -> str:
    """The mean error and its interval after an inner step; where tasks diverged, how many, and the median."""
    if diverged := sum(run["diverged_by_inner_step"][step] for run in runs):
        median = statistics.median(run["median_by_inner_step"][step] for run in runs)
        return f"median {median:.3f}, {diverged:,} of {sum(run['tasks'] for run in runs):,} diverged"
    values, intervals = ([run[key][step] for run in runs] for key in ("by_inner_step", "interval_by_inner_step"))
    value, interval = over_seeds(values, intervals)
    return f"{value:.3f} ± {interval:.3f}"


def against(published: Mapping[str, Any] | None, value: float) -> str:
    """Whether a value is within the published interval or better, or by how many points it is below.

    >>> against({"value": 0.987, "interval": 0.004}, 0.984), against({"value": 0.987, "interval": 0.004}, 0.97)
    ('reached', '1.3 below')
    """
    if published is None:
        return ""
    missing = published["value"] - (published["interval"] or 0) - value
    return "reached" if missing <= 0 else f"{100 * missing:.1f} below"


def mean(runs: Sequence[Record], key: str) -> float:
    """The mean of a number over the runs."""
    return statistics.fmean(run[key] for run in runs)


def command(runs: Sequence[Record]) -> str:
    """The command that makes all of the runs.

    >>> command([{"command": "headstart reproduce a --budget 1 --seed 0"}, {}])
    '`headstart reproduce a --budget 1 --seed 0 --seeds 2`'
    """
    seeds = f" --seeds {len(runs)}" if len(runs) > 1 else ""
    return f"`{runs[0]['command']}{seeds}`"


def percent(value: float, interval: float | None) -> str:
    """A fraction as a percentage.

    >>> percent(0.987, 0.004), percent(0.96, None)
    ('98.70 ± 0.40', '96.00')
    """
    return f"{100 * value:.2f}" + ("" if interval is None else f" ± {100 * interval:.2f}")


def mode(transductive: bool) -> str:
    """The word for it."""
    return "transductive" if transductive else "inductive"


def share(record: Record) -> str:
    """How many meta-steps were made, of how many.

    >>> share({"meta_steps": 6000, "published_meta_steps": 60000}), share({"meta_steps": 5, "published_meta_steps": 5})
    ('6,000 of 60,000', '5')
    """
    made, published = record["meta_steps"], record["published_meta_steps"]
    return f"{made:,}" if made == published else f"{made:,} of {published:,}"
