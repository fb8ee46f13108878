"""Where the time of a run went: all of it is somewhere."""

from __future__ import annotations

from typing import Any

import pytest

from headstart.reports.timing import median_seconds, time_spent


def log_of(gaps: list[float], validated: set[int]) -> list[dict[str, Any]]:
    """A log whose meta-steps took so long, with validations after some of them."""
    log: list[dict[str, Any]] = []
    for step in range(1, len(gaps) + 1):
        log.append({"meta_step": step, "seconds": sum(gaps[:step])})
        if step in validated:
            log.append({"meta_step": step, "validation_mse": 1.0})
    return log


def test_every_part_gets_its_own() -> None:
    log = log_of([31.0, 1, 1, 1.5, 1, 6, 1, 41, 1, 1], {5})
    spent = time_spent(log)
    assert median_seconds(log) == 1
    assert spent == pytest.approx({"compiling": 30 + 40, "meta-steps": 10.5, "validation": 5})
    assert sum(spent.values()) == pytest.approx(log[-1]["seconds"])
    assert time_spent(log, 7.0)["test"] == 7


def test_a_log_of_nothing_and_of_one_meta_step() -> None:
    assert time_spent([]) == {"compiling": 0, "meta-steps": 0, "validation": 0}
    assert time_spent(log_of([3.0], set())) == {"compiling": 0, "meta-steps": 3, "validation": 0}
