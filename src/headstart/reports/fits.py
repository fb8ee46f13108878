"""The curves that *f* draws for a task with one input and one output, before and after inner updates."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from headstart.episodes import Episodes
from headstart.evaluation.evaluate import evaluating
from headstart.learners.base import Learner
from headstart.problems.problem import Problem

STEPS = (0, 1, 5, 10)
"""Numbers of inner updates whose curves are drawn."""
GRID = 100
"""Points of a fitted curve."""
FITTED = 3
"""Tasks whose curves are drawn."""
Points = tuple[list[float], list[float]]
"""Inputs and outputs."""


class FittedTask(NamedTuple):
    """One task and what was made of it.

    Attributes:
        support: the examples that were adapted to.
        truth: the query examples by their inputs: the curve that was looked for.
        inputs: where the fitted curves are known.
        curves: by the number of inner updates, the predictions there.
    """

    support: Points
    truth: Points
    inputs: list[float]
    curves: dict[int, list[float]]


def is_curve(problem: Problem, episodes: Episodes) -> bool:
    """Whether tasks can be drawn as curves: regression, with one number for an input and one for an output.

    >>> import headstart as hs
    >>> from headstart.problems.sinusoid import Sinusoid
    >>> is_curve(Sinusoid(), hs.SinusoidTasks(shots=10, queries=10).sample(2, torch.Generator()))
    True
    """
    shapes = {tuple(tensor.shape[2:]) for examples in episodes for tensor in examples}
    return "classes" not in problem.has and shapes == {(1,)}


def fits_of(learner: Learner, problem: Problem, episodes: Episodes) -> list[FittedTask]:
    """The first of the tasks with the curves that are drawn for them; none where tasks are no curves."""
    drawable = range(min(FITTED, len(episodes.query.targets))) if is_curve(problem, episodes) else ()
    return [fitted(learner, episodes.task(task)) for task in drawable]


@torch.no_grad()
def fitted(learner: Learner, episode: Episodes) -> FittedTask:
    """What one task, without the task axis, looks like before and after the inner updates of ``STEPS``.

    >>> import headstart as hs
    >>> episodes = hs.SinusoidTasks(shots=10, queries=10).sample(2, torch.Generator())
    >>> list(fitted(hs.MAML(hs.MLP(), inner_lr=0.01), episodes.task(0)).curves)
    [0, 1, 5, 10]
    """
    support, query = episode
    every_input = torch.cat([support.inputs, query.inputs])
    grid = torch.linspace(float(every_input.min()), float(every_input.max()), GRID, device=every_input.device)
    with evaluating(learner, grid.device, 0):
        path = enumerate(learner.adaptation(learner.meta_params, support, max(STEPS)))
        curves = {step: numbers(learner.predict(params, grid[:, None])) for step, params in path if step in STEPS}
    order = query.inputs.flatten().argsort()
    truth = numbers(query.inputs[order]), numbers(query.targets[order])
    return FittedTask((numbers(support.inputs), numbers(support.targets)), truth, numbers(grid), curves)


def numbers(values: Tensor) -> list[float]:
    """The elements of a tensor, to be drawn."""
    found: list[float] = values.flatten().tolist()
    return found
