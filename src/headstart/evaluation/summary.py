"""What is reported of an evaluation: its figures, without every task's scores."""

from __future__ import annotations

from dataclasses import dataclass

from headstart.learners.scoring import Metric


@dataclass(frozen=True)
class Summary:
    """The figures after 0, 1, ..., ``inner_steps`` inner updates.

    Attributes:
        metric: what was measured.
        tasks: on how many tasks.
        task_hash: which; equal hashes mean equal tasks.
        transductive: whether a query example was predicted together with the others of its task.
        by_inner_step: the mean over the tasks.
        interval_by_inner_step: half the width of its 95 % interval.
        median_by_inner_step: the median over the tasks.
        diverged_by_inner_step: how many ran away.
    """

    metric: Metric
    tasks: int
    task_hash: str
    transductive: bool
    by_inner_step: tuple[float, ...]
    interval_by_inner_step: tuple[float, ...]
    median_by_inner_step: tuple[float, ...]
    diverged_by_inner_step: tuple[int, ...]

    @property
    def inner_steps(self) -> int:
        """Inner updates made before the last figure."""
        return len(self.by_inner_step) - 1

    def after(self, step: int) -> str:
        """The metric after ``step`` inner updates, for people."""
        mean, interval, median = (
            self.metric.digits(figures[step])
            for figures in (self.by_inner_step, self.interval_by_inner_step, self.median_by_inner_step)
        )
        unit = self.metric.unit
        if diverged := self.diverged_by_inner_step[step]:
            return f"median {median}{unit}, {diverged:,} diverged"
        return f"{mean}{unit} ± {interval}" + ("" if self.metric.is_fraction else f", median {median}")
