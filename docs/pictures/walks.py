"""The paths of four methods on the two tasks, from real updates: the trial steps inside a task, and where Φ moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

import headstart as hs
from pictures import two_tasks
from pictures.look import INK, NAMES, colour_of, picture


class Move(NamedTuple):
    """One outer update: the tasks that it was for, the trial steps of each, and where Φ was and is."""

    tasks: Tensor
    trials: Tensor
    start: Tensor
    end: Tensor


def walk(learner: hs.Learner, start: Tensor, batches: Sequence[Sequence[int]], meta_lr: float) -> list[Move]:
    """``Φ <- Φ - meta_lr * meta_gradient``, once for each of the batches of task numbers.

    Shapes:
        start: ``[2]``; of a move: tasks ``[task]``, trials ``[task, inner step + 1, 2]``, start and end ``[2]``
    """
    moves = []
    for batch in batches:
        tasks = torch.tensor(batch)
        gradient = two_tasks.meta_gradient(learner, start, two_tasks.episodes(tasks))
        steps = 0 if isinstance(learner, hs.Pretraining) else learner.inner_steps
        trials = two_tasks.paths(learner, start, steps)[tasks]
        moves.append(Move(tasks, trials, start, start - meta_lr * gradient))
        start = moves[-1].end
    return moves


def distances(moves: Sequence[Move]) -> Tensor:
    """How far each move goes, ``[move]``."""
    return torch.stack([(move.end - move.start).norm() for move in moves])


def draw_walk(axes: Axes, moves: Sequence[Move], method: str) -> None:
    """The contours of both tasks, thin trial steps in a task's colour that end in a dot, and Φ's own way over them. Of
    first-order MAML, task by task, also the move that it finds where a trial step ended, dotted."""
    two_tasks.draw_contours(axes)
    for move in moves:
        for task, trial in zip(move.tasks.tolist(), move.trials, strict=True):
            colour = two_tasks.TASK_COLOURS[task]
            axes.plot(*trial.T, "-", color=colour, linewidth=1.3, zorder=4)
            axes.plot(*trial[1:].T, "o", color=colour, markersize=3.5, zorder=4)
    for move in moves:
        two_tasks.draw_arrow(axes, move.start, move.end, colour_of(method), 2.6)
        if method == "fomaml" and len(move.tasks) == 1:
            found_there = torch.stack([move.trials[0, -1], move.trials[0, -1] + move.end - move.start])
            axes.plot(*found_there.T, ":", color=colour_of(method), linewidth=2, zorder=5)
    axes.plot(*moves[0].start, "o", color=INK, markersize=7, zorder=6)
    axes.set_title(NAMES[method], color=colour_of(method), weight="bold")


def draw_walks(walks: dict[str, list[Move]]) -> Figure:
    """A panel for each method, two in a row."""
    figure, panels = picture(7.4, columns=2, rows=2)
    for axes, (method, moves) in zip(panels, walks.items(), strict=True):
        draw_walk(axes, moves, method)
    return figure


def draw_divergence(learner: hs.Learner, walks: dict[str, list[Move]]) -> Figure:
    """The ways of several methods on the meta-loss that the learner would descend."""
    figure, (left, right) = picture(3.6, columns=2)
    two_tasks.draw_landscape(left, learner)
    for method, moves in walks.items():
        points = torch.stack([moves[0].start, *(move.end for move in moves)])
        left.plot(*points.T, "o-", color=colour_of(method), markersize=5, linewidth=2.2, markeredgecolor="white")
        losses = two_tasks.meta_losses(learner, points).sum(-1)
        right.plot(range(len(points)), losses, "o-", color=colour_of(method), linewidth=2.2, label=NAMES[method])
    left.plot(*moves[0].start, "o", color=INK, markersize=8, zorder=6)
    left.set_title("MAML's meta-loss over Φ", pad=8)
    right.set(xlabel="meta-step", ylabel="MAML's meta-loss")
    right.set_ylim(bottom=0)
    right.legend(frameon=False)
    return figure
