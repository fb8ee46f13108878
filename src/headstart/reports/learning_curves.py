"""What a run's log says of its progress, over meta-steps and over minutes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

Log = list[dict[str, Any]]
"""The records of ``metrics.jsonl``."""
POINTS = 100
"""Points of a smoothed curve, at most."""


class Curve(NamedTuple):
    """A metric at some meta-steps, and the minutes of training that had passed then."""

    meta_steps: list[int]
    minutes: list[float]
    values: list[float]


def validation_curve(log: Log, metric: str) -> Curve:
    """The metric at every validation.

    >>> validation_curve([{"meta_step": 5, "seconds": 30.0}, {"meta_step": 5, "validation_mse": 2.0}], "mse")
    Curve(meta_steps=[5], minutes=[0.5], values=[2.0])
    """
    minutes = {record["meta_step"]: record["seconds"] / 60 for record in log if "seconds" in record}
    key = f"validation_{metric}"
    found = [(record["meta_step"], record[key]) for record in log if record.get(key) is not None]
    return curve((step, minutes[step], value) for step, value in found if step in minutes)


def training_curve(log: Log, metric: str, points: int = POINTS) -> Curve:
    """The metric of the training tasks' query sets, smoothed: each point is the mean over as many meta-steps as give
    ``points`` points at most, and stands at the last of them. What is not finite is left out.

    >>> training_curve([{"meta_step": 1, "mse": 1.0, "seconds": 60.0}, {"meta_step": 2, "seconds": 90.0}], "mse")
    Curve(meta_steps=[1], minutes=[1.0], values=[1.0])
    """
    steps = [record for record in log if record.get(metric) is not None and "seconds" in record]
    size = math.ceil(len(steps) / points)
    parts = [steps[start : start + size] for start in range(0, len(steps), size or 1)]
    return curve((part[-1]["meta_step"], part[-1]["seconds"] / 60, mean(part, metric)) for part in parts)


def mean(records: Iterable[Mapping[str, float]], name: str) -> float:
    """The mean of what records call ``name``."""
    values = [record[name] for record in records]
    return sum(values) / len(values)


def curve(points: Iterable[tuple[int, float, float]]) -> Curve:
    """A curve of points ``(meta_step, minutes, value)``."""
    columns = [list(column) for column in zip(*points, strict=True)] or [[], [], []]
    return Curve(*columns)
