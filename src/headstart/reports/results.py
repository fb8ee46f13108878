"""The page of results, made of the records alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

Record = Mapping[str, Any]
HEAD = """# Results

Written by `headstart results` from the records in [results](../results). Each row is one run. Its record holds all
settings, the task hash, the machine and the commit. Accuracies are percentages with 95 % intervals over the test tasks.
*Other mode* is the same run tested inductively if the row is transductive, and the other way round. A run of fewer
meta-steps than published says so.
"""


def results_page(records: Iterable[Record]) -> str:
    """The page, in Markdown."""
    parts = [HEAD]
    for (problem, metric), group in groupby(sorted(records, key=order), lambda row: (row["problem"], row["metric"])):
        table = accuracy_table if metric == "accuracy" else error_table
        parts += [f"\n## {problem.capitalize()}\n", table(list(group))]
    return "\n".join(parts)


def order(record: Record) -> tuple[Any, ...]:
    """Problem, method, task, budget and seed."""
    task = (record["ways"] or 0, record["shots"])
    return record["problem"], record["method"], task, record["recipe"], -record["meta_steps"], record["seed"]


def accuracy_table(records: list[Record]) -> str:
    """A row per run: what was published, what came out, in both modes."""
    rows = [
        "| recipe | published | reached | other mode | inner steps | meta-steps | minutes, compiling | command |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for record in records:
        other, published = record["otherwise"], record["published"]
        cells = (
            f"{record['recipe']}, seed {record['seed']}",
            percent(published["value"], published["interval"]) if published else "",
            f"**{percent(record['value'], record['interval'])}** {mode(record['transductive'])}",
            percent(other[record["metric"]], other["interval"]),
            str(record["inner_steps"]),
            share(record),
            f"{record['minutes']:g}, {record['compile_minutes']:g}",
            f"`{record['command']}`",
        )
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def error_table(records: list[Record]) -> str:
    """A row per run: the mean error after 1, 5 and 10 inner steps, the median where tasks diverged."""
    steps = (1, 5, 10)
    heads = " | ".join(f"after {step}" for step in steps)
    rows = [f"| recipe | published | {heads} | diverged | meta-steps | minutes | command |", "| --- " * 8 + "|"]
    for record in records:
        published = ", ".join(f"{value:g}" for value in record["published"]["by_inner_step"].values())
        cells = (
            f"{record['recipe']}, seed {record['seed']}",
            published,
            *(error(record, step) for step in steps),
            f"{record['diverged']} of {record['tasks']:,}",
            share(record),
            f"{record['minutes']:g}",
            f"`{record['command']}`",
        )
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def percent(value: float, interval: float | None) -> str:
    """A fraction as a percentage.

    >>> percent(0.987, 0.004), percent(0.96, None)
    ('98.70 ± 0.40', '96.00')
    """
    return f"{100 * value:.2f}" + ("" if interval is None else f" ± {100 * interval:.2f}")


def error(record: Record, step: int) -> str:
    """The mean error and its interval after an inner step; the median where the mean is not finite."""
    value = record["by_inner_step"][step]
    if value is None:
        return f"median {record['median_by_inner_step'][step]:.3f}"
    return f"{value:.3f} ± {record['interval_by_inner_step'][step]:.3f}"


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
