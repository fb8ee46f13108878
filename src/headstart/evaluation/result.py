"""What an evaluation found: every task's score, and what is reported of them all."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from headstart.evaluation.summary import Summary
from headstart.learners.scoring import Metric

NORMAL_QUANTILE = 1.96
"""Half the width of a 95 % interval, in standard errors of the mean."""
RAN_AWAY = 1000
"""A task diverged if its error is that many times the largest of any task before the first inner update."""


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """What a learner reached on fixed tasks, after 0, 1, ..., ``inner_steps`` inner updates.

    A task whose adapted parameters ran away has a score that is not finite, or an error a thousand times as large as
    any before the first inner update. The mean over all tasks is then that of a few. ``diverged`` counts these tasks,
    and the median, in which they count as the worst, still says what the others did.

    Attributes:
        metric: what was measured.
        scores: the metric of every task, ``[task, inner step]``, float64. Evaluations with equal hashes can be paired.
        task_hash: SHA-256 of every input and target of the tasks; equal hashes mean equal tasks.
        transductive: whether a query example was predicted together with the others of its task, which batch norm uses;
            otherwise each was predicted together with the support set alone (inductive).
        seconds: wall-clock time of the evaluation.

    >>> import torch, headstart as hs
    >>> scores = torch.tensor([[2.0, 0.5], [2.0, math.nan], [2.0, 0.3]])
    >>> result = Evaluation(hs.MSE, scores, "0123456789abcdef", transductive=True, seconds=1.0)
    >>> result.value, result.median, result.diverged
    (nan, 0.5, 1)
    >>> result
    mse median 0.5, 1 diverged (transductive, 1 inner step, 3 tasks, task hash 0123456789ab)
    """

    metric: Metric
    scores: Tensor
    task_hash: str
    transductive: bool
    seconds: float

    @property
    def tasks(self) -> int:
        """Number of tasks."""
        return len(self.scores)

    @property
    def inner_steps(self) -> int:
        """Inner updates made before the last score."""
        return self.scores.shape[1] - 1

    @property
    def by_inner_step(self) -> tuple[float, ...]:
        """The mean over the tasks; not finite if one of them is not."""
        return tuple(self.scores.mean(0).tolist())

    @property
    def interval_by_inner_step(self) -> tuple[float, ...]:
        """Half the width of the mean's 95 % interval."""
        return tuple((NORMAL_QUANTILE * self.scores.std(0) / math.sqrt(self.tasks)).tolist())

    @property
    def median_by_inner_step(self) -> tuple[float, ...]:
        """The median over the tasks, those that are not a number counted as the worst."""
        worst = -math.inf if self.metric.higher_is_better else math.inf
        ordered = self.scores.masked_fill(self.scores.isnan(), worst).sort(0).values
        return tuple(((ordered[(self.tasks - 1) // 2] + ordered[self.tasks // 2]) / 2).tolist())

    @property
    def value(self) -> float:
        """The mean after the last inner step."""
        return self.by_inner_step[-1]

    @property
    def interval(self) -> float:
        """Half the width of the 95 % interval of ``value``."""
        return self.interval_by_inner_step[-1]

    @property
    def median(self) -> float:
        """The median after the last inner step."""
        return self.median_by_inner_step[-1]

    @property
    def has_diverged(self) -> Tensor:
        """Whether a task ran away, ``[task, inner step]``."""
        if self.metric.higher_is_better:
            return ~self.scores.isfinite()
        before = self.scores[:, 0].nan_to_num(0, posinf=0, neginf=0).abs().max()
        return ~self.scores.isfinite() | (self.scores > RAN_AWAY * before)

    @property
    def diverged_by_inner_step(self) -> tuple[int, ...]:
        """Number of tasks that ran away."""
        return tuple(self.has_diverged.sum(0).tolist())

    @property
    def diverged(self) -> int:
        """Number of tasks that ran away by the last inner step."""
        return self.diverged_by_inner_step[-1]

    @property
    def best_step(self) -> int:
        """The last inner step, unless an earlier one is better by more than half the width of the 95 % interval of
        their differences, task by task; then the best of these."""
        sign = 1 if self.metric.higher_is_better else -1
        gains = sign * (self.scores - self.scores[:, -1:])
        clear = gains.mean(0) > NORMAL_QUANTILE * gains.std(0) / math.sqrt(self.tasks)
        clear[-1] = True
        return int(gains.mean(0).masked_fill(~clear, -math.inf).argmax())

    @property
    def summary(self) -> Summary:
        """Its figures, without the scores."""
        return Summary(
            self.metric,
            self.tasks,
            self.task_hash,
            self.transductive,
            self.by_inner_step,
            self.interval_by_inner_step,
            self.median_by_inner_step,
            self.diverged_by_inner_step,
        )

    def after(self, step: int) -> str:
        """The metric after ``step`` inner updates, for people."""
        return self.summary.after(step)

    def record(self) -> dict[str, object]:
        """What ``test.json`` holds of it."""
        return {
            self.metric.name: self.value,
            "interval": self.interval,
            "tasks": self.tasks,
            "task_hash": self.task_hash,
            "inner_steps": self.inner_steps,
            "transductive": self.transductive,
            "seconds": round(self.seconds, 3),
            "median": self.median,
            "diverged": self.diverged,
            f"{self.metric.name}_by_inner_step": self.by_inner_step,
            "interval_by_inner_step": self.interval_by_inner_step,
            "median_by_inner_step": self.median_by_inner_step,
            "diverged_by_inner_step": self.diverged_by_inner_step,
        }

    def __repr__(self) -> str:
        """One line, for people."""
        mode = "transductive" if self.transductive else "inductive"
        steps = f"{self.inner_steps} inner step{'s' * (self.inner_steps != 1)}"
        return (
            f"{self.metric.name} {self.after(self.inner_steps)} "
            f"({mode}, {steps}, {self.tasks:,} tasks, task hash {self.task_hash[:12]})"
        )
