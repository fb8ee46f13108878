"""Two tasks with two parameters: their losses, where each learner settles, and where inner updates lead from there.

Task 1 insists on θ₂ = 0 and would like θ₁ = 2; task 2 insists on θ₁ = 0 and would like θ₂ = 2. What a task insists on
is a steep wall of its loss, what it would like is a gentle floor. All is computed by headstart's own learners.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from torch import Tensor, nn

import headstart as hs
from headstart.reports.colours import SKY, VERMILLION
from pictures.look import INK, NAMES, colour_of

WALL, FLOOR = 1.0, 0.1
"""Second derivatives of a task's loss: across its valley, and along it."""
INNER_LR = 0.9
"""One step nearly lands on the valley's floor, ``1 - INNER_LR * WALL = 0.1``, and hardly moves along it."""
BEST = torch.tensor([[2.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
"""Where each task's loss is zero, ``[task, 2]``."""
CURVATURE = torch.tensor([[FLOOR, WALL], [WALL, FLOOR]], dtype=torch.float64)
"""The Hessian of each task's loss is diagonal: its diagonal, ``[task, 2]``."""
TASK_COLOURS = (VERMILLION, SKY)
WINDOW = (-0.7, 2.9)
"""What is drawn of either parameter."""
NAME = "model.weight"


class TwoTasks:
    """Both tasks in every batch of two, in random order; a batch of one has either.

    ``l^n(θ) = ½ ‖W^n θ - y^n‖²`` is the loss of a linear model: a task's two inputs are the rows of ``W^n``.
    """

    def sample(self, count: int, generator: torch.Generator) -> hs.Episodes:
        """``count`` tasks, inputs ``[task, 2, 2]`` and targets ``[task, 2, 1]``; support and query set are the same."""
        rounds = [torch.randperm(2, generator=generator) for _ in range(-(-count // 2))]
        return episodes(torch.cat(rounds)[:count])


def episodes(order: Tensor | None = None) -> hs.Episodes:
    """The tasks of these numbers, 0 and 1; both, if none are given."""
    order = torch.arange(2) if order is None else order
    inputs = CURVATURE.sqrt().diag_embed()[order]
    examples = hs.Examples(inputs, inputs @ BEST[order, :, None])
    return hs.Episodes(examples, examples)


def loss(predictions: Tensor, targets: Tensor) -> Tensor:
    """``½ ‖predictions - targets‖²``."""
    return 0.5 * (predictions - targets).square().sum()


def model(start: Iterable[float] = (0.0, 0.0)) -> nn.Linear:
    """*f*: a linear model whose two weights are θ."""
    linear = nn.Linear(2, 1, bias=False, dtype=torch.float64)
    linear.weight.data = torch.tensor([[*start]], dtype=torch.float64)
    return linear


LEARNERS: dict[str, Any] = {
    "pretraining": partial(hs.Pretraining, inner_steps=1),
    "maml": hs.MAML,
    "fomaml": hs.FOMAML,
    "reptile": partial(hs.Reptile, inner_steps=5, inner_batch=None, inner_rule=hs.SGD),
}


def learner(method: str, **settings: Any) -> hs.Learner:
    """A learner of the two tasks by its name in ``LEARNERS``, with ``INNER_LR`` and plain gradient steps."""
    made: hs.Learner = LEARNERS[method](model(), **{"inner_lr": INNER_LR, "loss": loss, **settings})
    return made


def settle(learner: hs.Learner, meta_steps: int = 150) -> Tensor:
    """Meta-trains on both tasks until it stands still, and says where: Φ, ``[2]``."""
    sgd = partial(torch.optim.SGD, lr=2.0)
    hs.train(learner, TwoTasks(), meta_steps=meta_steps, meta_batch=2, optimizer=sgd)
    return phi(learner)


def phi(learner: hs.Learner) -> Tensor:
    """The learner's meta-parameters as a point, ``[2]``."""
    return learner.meta_params[NAME].detach().flatten()


def at(point: Tensor) -> dict[str, Tensor]:
    """The meta-parameters of a point, ``[2]``."""
    return {NAME: point[None]}


def losses_now(points: Tensor) -> Tensor:
    """``l^n(θ)`` of both tasks at ``[..., 2]`` points, ``[..., task]``."""
    return meta_losses(learner("pretraining"), points)


def meta_losses(learner: hs.Learner, points: Tensor) -> Tensor:
    """The task losses that the learner minimises, where Φ is at ``[..., 2]`` points: ``[..., task]``."""

    def both(point: Tensor) -> Tensor:
        return torch.vmap(learner.task_loss, in_dims=(None, 0))(at(point), episodes())

    with torch.no_grad():
        return torch.vmap(both)(points.reshape(-1, 2)).reshape(*points.shape[:-1], 2)


def paths(learner: hs.Learner, point: Tensor, steps: int = 1) -> Tensor:
    """Where 0, 1, ..., ``steps`` inner updates on each task lead from ``point``: ``[task, steps + 1, 2]``."""
    supports = [episodes().task(number).support for number in range(2)]
    ways = [learner.adaptation(at(point.detach()), support, steps) for support in supports]
    return torch.stack([torch.stack([params[NAME].detach().flatten() for params in way]) for way in ways])


def meta_gradient(learner: hs.Learner, point: Tensor, tasks: hs.Episodes | None = None) -> Tensor:
    """The learner's meta-gradient at ``point``, the mean over the tasks (both, if none are given): ``[2]``."""
    gradient, _ = learner.meta_gradient(at(point), tasks or episodes())
    return gradient[NAME].flatten()


def grid(points: int = 121) -> tuple[Tensor, Tensor]:
    """The values of either parameter in the window, and all pairs of them: ``[points]``, ``[points, points, 2]``."""
    line = torch.linspace(*WINDOW, points, dtype=torch.float64)
    return line, torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)


def frame(axes: Axes, name: str = r"\theta") -> None:
    """Axes of the two parameters, to one scale."""
    axes.set(xlim=WINDOW, ylim=WINDOW, aspect="equal", xlabel=f"${name}_1$", ylabel=f"${name}_2$")
    axes.set_xticks(range(3))
    axes.set_yticks(range(3))


def draw_contours(axes: Axes, levels: Iterable[float] = (0.02, 0.1, 0.3, 0.8, 1.6)) -> None:
    """The contours of both tasks' losses, and a cross where each is zero."""
    line, points = grid()
    for number, values in enumerate(losses_now(points).unbind(-1)):
        colour, dash = TASK_COLOURS[number], ("solid", "dashed")[number]
        axes.contour(line, line, values, levels=[*levels], colors=colour, linestyles=dash, linewidths=1.1)
        axes.plot(*BEST[number], "x", color=colour, markersize=9, markeredgewidth=2.5, zorder=4)
    for number, shift in enumerate([(8, -19), (-20, 12)]):
        label(axes, f"task {number + 1}", BEST[number], shift, TASK_COLOURS[number])
    frame(axes)


LEVELS = (0.0, 0.04, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8)
"""The contours of every landscape, so that two of them can be compared."""


def draw_landscape(axes: Axes, learner: hs.Learner) -> None:
    """``Σ_n l^n`` that the learner minimises, over Φ: the lighter, the lower; one scale for all learners."""
    line, points = grid()
    total = meta_losses(learner, points).sum(-1)
    shades = colormaps["Greys"](torch.linspace(0.02, 0.5, len(LEVELS) - 1).numpy())
    axes.contourf(line, line, total, levels=LEVELS, colors=shades)
    edges = axes.contour(line, line, total, levels=LEVELS[1:], colors=INK, linewidths=0.6)
    axes.clabel(edges, fmt="{:g}".format, fontsize=10)
    frame(axes, r"\Phi")


def draw_point(axes: Axes, point: Tensor, method: str, shift: tuple[float, float] | None = None) -> None:
    """A learner's Φ in its colour, with its name ``shift`` points away, if that is given."""
    axes.plot(*point, "o", color=colour_of(method), markersize=10, markeredgecolor="white", zorder=6)
    if shift:
        label(axes, NAMES[method], point, shift, colour_of(method))


def label(axes: Axes, text: str, point: Tensor, shift: tuple[float, float], colour: str) -> None:
    """A word beside a point, ``shift`` points of print away, that stays readable over lines."""
    halo = [withStroke(linewidth=3, foreground="white")]
    look = {"color": colour, "weight": "bold", "path_effects": halo, "zorder": 7}
    axes.annotate(text, point.tolist(), shift, textcoords="offset points", **look)


def draw_arrow(axes: Axes, start: Tensor, end: Tensor, colour: str, width: float = 2.2) -> None:
    """An arrow from one point to another."""
    arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": width, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 14}
    axes.annotate("", end.tolist(), start.tolist(), arrowprops=arrow, zorder=5)


def draw_paths(axes: Axes, ways: Tensor, colours: Iterable[str] = TASK_COLOURS) -> None:
    """An arrow for every inner update of ``[task, steps + 1, 2]``, in the task's colour."""
    for way, colour in zip(ways, colours, strict=True):
        for start, end in pairwise(way):
            draw_arrow(axes, start, end, colour)
