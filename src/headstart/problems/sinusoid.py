"""Regression of sine curves, the first problem of MAML's paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import headstart as hs
from headstart.problems.problem import Problem, RegressionTask, TaskSets


@dataclass(frozen=True)
class SinusoidSettings:
    """The problem has no flags of its own."""


class Sinusoid(Problem):
    """Tasks of sine curves: every one is new, so the three sets share their distribution.

    Source: Finn, Abbeel and Levine (2017), section 5.1.
    """

    settings: ClassVar[type] = SinusoidSettings
    task: ClassVar[type] = RegressionTask
    has: ClassVar[frozenset[str]] = frozenset({"vectors"})
    recipe: ClassVar[dict[str, Any]] = {
        "model": "mlp",
        "width": 40,
        "norm": "none",
        "shots": 10,
        "queries": 10,
        "test_queries": 100,
        "inner_lr": 0.01,
        "meta_batch": 25,
        "meta_lr": 1e-3,
        "meta_steps": 5000,
    }
    recipes: ClassVar[dict[str, dict[str, Any]]] = {"reptile": {"meta_lr": 1.0}, "cavia": {"inner_lr": 1.0}}

    @property
    def metric(self) -> hs.Metric:
        """The mean squared error."""
        return hs.MSE

    def task_sets(self, settings: SinusoidSettings, task: RegressionTask) -> TaskSets:
        """Sine curves, with other numbers of examples in training than for validation and test."""
        training = hs.SinusoidTasks(shots=task.shots_in_training, queries=task.queries)
        unseen = hs.SinusoidTasks(shots=task.shots, queries=task.test_queries)
        return TaskSets(training, unseen, unseen)
