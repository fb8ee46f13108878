"""What was measured of runs that are compared, as data: all that the pages are drawn from."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from headstart.errors import BadInputError
from headstart.evaluation.summary import Summary
from headstart.learners.scoring import Metric
from headstart.reports.fits import FittedTask
from headstart.reports.learning_curves import Curve


class ComparedRun(NamedTuple):
    """One run.

    Attributes:
        label: what it is called.
        settings: what was set.
        meta_steps: how many it made.
        minutes: how long they took.
        test: what it reached on its test tasks.
        by_inner_step: an evaluation on fewer test tasks over more inner steps; none of these where nothing adapts.
        validation: the metric at every validation.
        training: that of the training tasks, smoothed.
        movement: how far each layer moves by the inner steps of the test.
        fits: some test tasks with the curves that are drawn for them, where tasks can be drawn.
    """

    label: str
    settings: dict[str, Any]
    meta_steps: int
    minutes: float
    test: Summary
    by_inner_step: Summary
    validation: Curve
    training: Curve
    movement: dict[str, float]
    fits: list[FittedTask]


class Difference(NamedTuple):
    """The test score of the run ``left`` minus that of ``right``, task by task: the mean, its 95 % interval, and how
    many tasks it is the mean of."""

    left: str
    right: str
    value: float
    low: float
    high: float
    tasks: int


class Comparison(NamedTuple):
    """The command that measured, the runs, and their paired differences."""

    command: str
    runs: Sequence[ComparedRun]
    differences: Sequence[Difference]

    def record(self) -> dict[str, Any]:
        """JSON of it, with six digits of a number, and null for one that is not finite."""
        found: dict[str, Any] = plain(self)
        return found


def plain(value: Any) -> Any:
    """Lists, dicts, texts and numbers for what a comparison holds.

    >>> plain(Difference("maml", "fomaml", 0.0768123456, 0.07, math.inf, 3))
    {'left': 'maml', 'right': 'fomaml', 'value': 0.0768123, 'low': 0.07, 'high': None, 'tasks': 3}
    """
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if dataclasses.is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.name != "of"}
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def comparison_from(record: Mapping[str, Any]) -> Comparison:
    """What ``record`` was made of.

    Raises:
        BadInputError: it is no record of a comparison.
    """
    try:
        runs = [run_from(run) for run in record["runs"]]
        return Comparison(record["command"], runs, [Difference(**found) for found in record["differences"]])
    except (KeyError, TypeError, AttributeError) as error:
        raise BadInputError("this is no record of headstart compare; make it anew with --record.") from error


def run_from(record: Mapping[str, Any]) -> ComparedRun:
    """One run of it."""
    parts = {
        "test": summary_from(record["test"]),
        "by_inner_step": summary_from(record["by_inner_step"]),
        "validation": Curve(**record["validation"]),
        "training": Curve(**record["training"]),
        "fits": [fit_from(fit) for fit in record["fits"]],
    }
    return ComparedRun(**{**record, **parts})


def summary_from(record: Mapping[str, Any]) -> Summary:
    """The figures of an evaluation."""
    figures = {
        name: tuple(math.nan if number is None else number for number in record[name])
        for name in record
        if name.endswith("by_inner_step")
    }
    return Summary(**{**record, "metric": Metric(**record["metric"], of=not_recorded), **figures})


def not_recorded(predictions: Tensor, targets: Tensor) -> Tensor:
    """A metric whose values alone are known.

    Raises:
        BadInputError: always.
    """
    raise BadInputError("a record of a comparison has a metric's values, not what computes it.")


def fit_from(record: Mapping[str, Any]) -> FittedTask:
    """A task and what was made of it."""
    curves = {int(step): values for step, values in record["curves"].items()}
    return FittedTask(record["support"], record["truth"], record["inputs"], curves)
