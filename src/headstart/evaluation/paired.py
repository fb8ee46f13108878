"""Two evaluations on the same tasks: their difference task by task, which says more than two means side by side."""

from __future__ import annotations

from typing import NamedTuple

import torch

from headstart.errors import BadInputError
from headstart.evaluation.result import Evaluation
from headstart.randomness import derive_generator

BLOCK = 100
"""Resamples that are held at a time."""
COVERED = 0.95


class PairedDifference(NamedTuple):
    """The mean over tasks of one evaluation's score minus another's.

    Attributes:
        value: the mean.
        low: lower end of its 95 % interval.
        high: upper end of it.
        tasks: how many tasks it is the mean of: those on which neither diverged.
    """

    value: float
    low: float
    high: float
    tasks: int

    @property
    def is_clear(self) -> bool:
        """Whether the interval lies on one side of zero."""
        return self.low > 0 or self.high < 0


def paired_difference(
    left: Evaluation, right: Evaluation, *, resamples: int = 10_000, seed: int = 0
) -> PairedDifference:
    """``mean over tasks of (left score - right score)`` after the last inner step of each, with its percentile
    bootstrap interval: the middle 95 % of the means of ``resamples`` sets of as many tasks, drawn with replacement.

    What makes a task hard makes it hard for both, and drops out of the difference. A task on which one of the two
    diverged is left out.

    Args:
        resamples: sets of tasks that are drawn.
        seed: of the resamples.

    Raises:
        BadInputError: the evaluations are of different tasks, or there are fewer than two on which neither diverged.

    Source: Efron and Tibshirani (1993), "An introduction to the bootstrap", chapter 13.

    >>> import headstart as hs
    >>> left, right = torch.tensor([[0.9], [0.6], [0.8]]), torch.tensor([[0.8], [0.5], [0.5]])
    >>> both = [hs.Evaluation(hs.ACCURACY, scores, "0123", transductive=True, seconds=1.0) for scores in (left, right)]
    >>> [round(figure, 3) for figure in paired_difference(*both)]
    [0.167, 0.1, 0.3, 3]
    """
    if left.task_hash != right.task_hash:
        raise BadInputError(
            f"scores of different tasks cannot be paired (task hashes {left.task_hash[:12]} and "
            f"{right.task_hash[:12]}); evaluate both on the same ones."
        )
    both = ~(left.has_diverged[:, -1] | right.has_diverged[:, -1])
    differences = left.scores[both, -1].double() - right.scores[both, -1].double()
    count = len(differences)
    if count < 2:
        raise BadInputError(f"a paired difference needs two tasks on which neither diverged, and there are {count}.")
    generator = derive_generator(seed, "bootstrap", 0)
    means = []
    for start in range(0, resamples, BLOCK):
        drawn = torch.randint(count, (min(BLOCK, resamples - start), count), generator=generator)
        means.append(differences[drawn].mean(1))
    ends = torch.tensor([(1 - COVERED) / 2, (1 + COVERED) / 2], dtype=torch.float64)
    low, high = torch.cat(means).quantile(ends).tolist()
    return PairedDifference(differences.mean().item(), low, high, count)
