"""Learning curves from a log."""

from __future__ import annotations

from typing import Any

import pytest

from headstart.reports.learning_curves import Curve, training_curve, validation_curve


def log_of(meta_steps: int) -> list[dict[str, Any]]:
    """One minute a meta-step; the metric is the number of the meta-step, and every tenth is validated."""
    log: list[dict[str, Any]] = []
    for step in range(1, meta_steps + 1):
        log.append({"meta_step": step, "loss": 9.0, "accuracy": float(step), "seconds": 60.0 * step})
        if step % 10 == 0:
            log.append({"meta_step": step, "validation_accuracy": step / 100, "validation_interval": 0.1})
    return log


def test_validations_stand_at_their_meta_steps_and_minutes() -> None:
    assert validation_curve(log_of(30), "accuracy") == Curve([10, 20, 30], [10.0, 20.0, 30.0], [0.1, 0.2, 0.3])


@pytest.mark.parametrize("meta_steps", [1, 99, 100, 101, 250, 12_345])
def test_a_training_curve_has_a_hundred_points_at_most_and_forgets_no_meta_step(meta_steps: int) -> None:
    curve = training_curve(log_of(meta_steps), "accuracy")
    count = len(curve.values)
    assert count <= 100 and count >= min(meta_steps, 50) and curve.meta_steps[-1] == meta_steps
    starts = [1, *(step + 1 for step in curve.meta_steps)]
    for first, last, value in zip(starts, curve.meta_steps, curve.values, strict=False):
        assert value == (first + last) / 2  # the mean of the meta-steps' numbers
    assert curve.minutes == curve.meta_steps


def test_what_was_not_finite_is_left_out() -> None:
    log = [*log_of(2), {"meta_step": 3, "accuracy": None, "seconds": 180.0}]
    log += [{"meta_step": 3, "validation_accuracy": None}]
    assert training_curve(log, "accuracy").meta_steps == [1, 2] and validation_curve(log, "accuracy").values == []


def test_a_log_without_the_metric_has_no_curve() -> None:
    assert training_curve(log_of(20), "mse") == validation_curve(log_of(20), "mse") == Curve([], [], [])
