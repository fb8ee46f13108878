"""Evaluating the learner while it is trained, and keeping the best."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from headstart.distributed.processes import together
from headstart.engine.planning import Execution
from headstart.errors import BadInputError
from headstart.evaluation.evaluate import evaluate
from headstart.evaluation.result import Evaluation
from headstart.learners.base import Learner
from headstart.runs.folder import RunFolder
from headstart.tasks.distribution import TaskDistribution
from headstart.training.state import TrainingState
from headstart.training.stopping import interruptible


@dataclass(frozen=True)
class Validation:
    """How often the outer loop evaluates itself, and on what.

    Attributes:
        tasks: distribution of the validation tasks; the same ``count`` of them are drawn every time.
        every: meta-steps between evaluations; there is always one after the last step.
        count: number of validation tasks.
        inner_steps: inner updates per task; the learner's own if ``None``.
    """

    tasks: TaskDistribution
    every: int = 500
    count: int = 200
    inner_steps: int | None = None

    def check(self) -> None:
        """Refuses numbers out of their range before any training is done.

        Raises:
            BadInputError: one is; the sentence names it.
        """
        for name, least in (("every", 1), ("count", 2), ("inner_steps", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise BadInputError(f"validation with {name}={value} cannot be done; choose {least} or more.")

    def is_due(self, meta_step: int, meta_steps: int) -> bool:
        """Whether there is an evaluation after ``meta_step`` of ``meta_steps``."""
        return meta_step % self.every == 0 or meta_step == meta_steps


def check_plateau(schedule: ReduceLROnPlateau, learner: Learner, validation: Validation | None) -> None:
    """Refuses, before any training is done, a schedule that would wait for the metric to get worse, or for nothing.

    Raises:
        BadInputError: its mode is not the metric's, or there is no validation.
    """
    if validation is None:
        raise BadInputError("ReduceLROnPlateau waits for validations: give validation=hs.Validation(tasks) too.")
    metric = learner.metric_for(validation.tasks.sample(1, torch.Generator()).query.targets)
    mode = "max" if metric.higher_is_better else "min"
    if schedule.mode != mode:
        direction = "higher" if metric.higher_is_better else "lower"
        raise BadInputError(
            f"ReduceLROnPlateau(mode={schedule.mode!r}) would lower the rate while the {metric.name} improves, which "
            f"is better when {direction}: give it mode={mode!r}."
        )


def validate(
    learner: Learner,
    validation: Validation,
    seed: int,
    execution: Execution,
    state: TrainingState,
    run: RunFolder | None,
) -> Evaluation:
    """Evaluates the learner on the validation tasks and keeps its meta-parameters if they are the best so far, by the
    mean of its metric; one that is not a number is worse than any number."""
    with interruptible(state):
        result = evaluate(
            learner,
            validation.tasks,
            count=validation.count,
            seed=seed,
            purpose="validation",
            inner_steps=validation.inner_steps,
            execution=execution,
        )
    state.log.append(
        {
            "meta_step": state.meta_step,
            f"validation_{result.metric.name}": result.value,
            "validation_interval": result.interval,
        }
    )
    sign = 1 if result.metric.higher_is_better else -1
    if state.best is None or math.isnan(state.best) or sign * result.value > sign * state.best:
        state.best, state.best_step = result.value, state.meta_step
        state.best_params = {name: value.detach().clone() for name, value in learner.meta_params.items()}
        notes = {"meta_step": str(state.meta_step), f"validation_{result.metric.name}": str(result.value)}
        together(lambda: run.save_best(state.best_params, notes) if run else None)
    return result
