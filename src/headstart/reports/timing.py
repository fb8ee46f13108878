"""Where the time of a run went, from its log alone."""

from __future__ import annotations

import statistics
from typing import NamedTuple

from headstart.reports.learning_curves import Log

RARE = 20
"""A meta-step that takes that many times the median has compiled, or waited for something else."""


class MetaStep(NamedTuple):
    """How long the log took from one meta-step to the next."""

    seconds: float
    validated: bool
    """Whether there was a validation in between."""


def time_spent(log: Log, test_seconds: float | None = None) -> dict[str, float]:
    """Seconds by what was done: what a meta-step takes beyond the median is validation, if there was one before it, or
    else compiling, if it is the first one or far beyond. The validation after the last meta-step is not timed.

    >>> log = [{"meta_step": step, "seconds": seconds} for step, seconds in ((1, 9.0), (2, 10.0), (3, 11.0), (4, 15.0))]
    >>> time_spent([*log[:3], {"meta_step": 3, "validation_mse": 1.0}, log[3]], 2.0)
    {'compiling': 8.0, 'meta-steps': 4.0, 'validation': 3.0, 'test': 2.0}
    """
    steps, typical = meta_steps_of(log), median_seconds(log)
    spent = dict.fromkeys(("compiling", "meta-steps", "validation"), 0.0)
    for number, (seconds, validated) in enumerate(steps):
        beyond = max(seconds - typical, 0.0)
        rare = number == 0 or beyond > RARE * typical
        spent["validation" if validated else "compiling" if rare else "meta-steps"] += beyond
        spent["meta-steps"] += seconds - beyond
    return spent if test_seconds is None else {**spent, "test": test_seconds}


def median_seconds(log: Log) -> float:
    """What half of the meta-steps take at most, of those that neither are the first nor come after a validation.

    >>> median_seconds([{"meta_step": step, "seconds": 2.0 * step} for step in range(1, 5)])
    2.0
    """
    every = meta_steps_of(log)
    plain = [step.seconds for step in every[1:] if not step.validated] or [step.seconds for step in every]
    return statistics.median(plain) if plain else 0.0


def meta_steps_of(log: Log) -> list[MetaStep]:
    """How long each meta-step took."""
    steps, last, validated = [], 0.0, False
    for record in log:
        if "seconds" in record:
            steps.append(MetaStep(record["seconds"] - last, validated))
            last, validated = record["seconds"], False
        else:
            validated = True
    return steps
