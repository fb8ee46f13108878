"""Where the time of a run went, from its log alone."""

from __future__ import annotations

import statistics

from headstart.reports.learning_curves import Log

RARE = 20
"""A meta-step that takes that many times the median has compiled, or waited for something else."""


def time_spent(log: Log, test_seconds: float | None = None) -> dict[str, float]:
    """Seconds by what was done: what a meta-step takes beyond the median of all is validation, if there was one before
    it, or else compiling, if it is the first one or far beyond. The validation after the last meta-step is not timed.

    >>> log = [{"meta_step": step, "seconds": seconds} for step, seconds in ((1, 9.0), (2, 10.0), (3, 11.0), (4, 15.0))]
    >>> time_spent([*log[:3], {"meta_step": 3, "validation_mse": 1.0}, log[3]], 2.0)
    {'compiling': 8.0, 'meta-steps': 4.0, 'validation': 3.0, 'test': 2.0}
    """
    validated = {record["meta_step"] for record in log if "seconds" not in record}
    times = [(0, 0.0), *((record["meta_step"], record["seconds"]) for record in log if "seconds" in record)]
    gaps = {end[0]: (start[0] in validated, end[1] - start[1]) for start, end in zip(times, times[1:], strict=False)}
    typical = median_seconds(log)
    spent = dict.fromkeys(("compiling", "meta-steps", "validation"), 0.0)
    for step, (after_validation, seconds) in gaps.items():
        beyond = max(seconds - typical, 0.0)
        rare = step == min(gaps) or beyond > RARE * typical
        part = "validation" if after_validation else "compiling" if rare else "meta-steps"
        spent[part] += beyond
        spent["meta-steps"] += seconds - beyond
    return spent if test_seconds is None else {**spent, "test": test_seconds}


def median_seconds(log: Log) -> float:
    """What half of the meta-steps take at most.

    >>> median_seconds([{"meta_step": step, "seconds": 2.0 * step} for step in range(1, 5)])
    2.0
    """
    times = [0.0, *(record["seconds"] for record in log if "seconds" in record)]
    gaps = [end - start for start, end in zip(times, times[1:], strict=False)]
    return statistics.median(gaps) if gaps else 0.0
