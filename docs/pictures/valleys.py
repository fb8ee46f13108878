"""Tasks that share one tilted valley and differ in where its bottom is; and a step of several learners in it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from matplotlib.figure import Figure
from torch import Tensor

import headstart as hs
from headstart.reports.colours import METHOD_STYLES, Style
from pictures.look import INK, picture

STEEP, FLAT, TILT = 12.0, 1.0, 0.5
"""The curvatures across and along the valley, and the angle by which it is tilted, in radians."""
NAMES = {"maml": "MAML", "layer_step_rates": "one rate", "meta_sgd": "Meta-SGD", "meta_curvature": "Meta-Curvature"}
"""What the learners are called here; others by the name that they are given."""
LEVELS = (0.1, 0.4, 1.0, 2.0, 4.0, 8.0)


def curvature() -> Tensor:
    """``A``, the Hessian of every task's loss: ``[2, 2]``."""
    turn = torch.tensor([[math.cos(TILT), -math.sin(TILT)], [math.sin(TILT), math.cos(TILT)]], dtype=torch.float64)
    return turn @ torch.tensor([FLAT, STEEP], dtype=torch.float64).diag() @ turn.T


class Valleys:
    """``l^n(θ) = ½ (θ - goal^n)' A (θ - goal^n)``, the goals standard normal: the mean squared error of a linear model
    with two weights. The support set is the query set."""

    def sample(self, count: int, generator: torch.Generator) -> hs.Episodes:
        """``count`` tasks, inputs ``[task, 2, 2]`` and targets ``[task, 2, 1]``."""
        goals = torch.randn(count, 2, 1, generator=generator, dtype=torch.float64)
        inputs = torch.linalg.cholesky(curvature()).T.expand(count, 2, 2)
        examples = hs.Examples(inputs, inputs @ goals)
        return hs.Episodes(examples, examples)


def goal_of(examples: hs.Examples) -> Tensor:
    """Where a task's loss is zero, ``[2]``."""
    return torch.linalg.solve(examples.inputs, examples.targets).flatten()


def task_loss(examples: hs.Examples, points: Tensor) -> Tensor:
    """The task's loss at ``[..., 2]`` points."""
    return (points @ examples.inputs.T - examples.targets.flatten()).square().mean(-1)


def draw_step(learners: Mapping[str, hs.Learner], task: hs.Examples, losses: Mapping[str, float]) -> Figure:
    """Where one inner step leads each of the learners from its own Φ, on the contours of the task's loss; and beside it
    the mean losses after that step."""
    figure, (left, right) = picture(3.4, columns=2)
    low, high = goal_of(task).clamp(max=0) - 1.1, goal_of(task).clamp(min=0) + 1.1
    xs, ys = (torch.linspace(low[axis], high[axis], 120, dtype=torch.float64) for axis in (0, 1))
    points = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1)
    left.contour(xs, ys, task_loss(task, points), levels=[*LEVELS], colors="#bbbbbb", linewidths=0.9)
    left.plot(*goal_of(task), "x", color=INK, markersize=9, markeredgewidth=2.5)
    for name, learner in learners.items():
        start, end = (
            params["model.weight"].detach().flatten()
            for params in (learner.meta_params, learner.adapt(learner.meta_params, task))
        )
        colour = style_of(name).colour
        arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 2, "shrinkA": 0, "shrinkB": 0}
        left.annotate("", end.tolist(), start.tolist(), arrowprops=arrow)
        left.plot(*start, "o", color=colour, markersize=5)
    left.set(xlabel=r"$\theta_1$", ylabel=r"$\theta_2$", title="one step in one task", aspect="equal")
    names = [*losses][::-1]
    bars = right.barh(
        [NAMES.get(name, name) for name in names],
        [losses[name] for name in names],
        color=[style_of(name).colour for name in names],
    )
    for tick, name in zip(right.get_yticklabels(), names, strict=True):
        tick.set(color=style_of(name).colour, weight="bold")
    right.bar_label(bars, fmt="%.3f", padding=3)
    right.set(xlabel="mean loss after one step", xlim=(0, 1.25 * max(losses.values())))
    return figure


def style_of(name: str) -> Style:
    """A method's style; ink for what is none."""
    return METHOD_STYLES.get(name, Style(INK))
