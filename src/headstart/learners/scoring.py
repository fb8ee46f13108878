"""What predictions are worth, given the targets: the loss that is descended, and the metric that is reported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from headstart.errors import BadInputError

Loss = Callable[[Tensor, Tensor], Tensor]


def loss_for_targets(predictions: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy for class targets, mean squared error for regression targets.

    >>> import torch
    >>> loss_for_targets(torch.ones(2, 1), torch.zeros(2, 1))
    tensor(1.)
    """
    if targets.is_floating_point():
        return F.mse_loss(predictions, targets)
    return F.cross_entropy(predictions, targets)


TAKEN = {
    "interval", "tasks", "task_hash", "inner_steps", "transductive", "seconds", "median", "diverged", "meta_step",
    "interval_by_inner_step", "median_by_inner_step", "diverged_by_inner_step", "problem", "split", "ways", "shots",
    "path", "polarity", "test_queries", "test_tasks", "test_inner_steps",
}  # fmt: skip
"""What else results and logs have entries for."""


@dataclass(frozen=True)
class Metric:
    """What is reported of a learner, and which of its meta-parameters are the best by it.

    Attributes:
        name: the word for it in logs, JSON and plots.
        higher_is_better: whether the best is the highest, or the lowest.
        of: ``(predictions, targets) -> scalar`` of one task. ``vmap`` runs it, unless the execution is ``"loop"``.
        is_fraction: whether it lies between 0 and 1, and is shown to people as a percentage.

    Raises:
        BadInputError: results and logs have another entry of that name.

    >>> import torch
    >>> error = Metric("mean absolute error", higher_is_better=False, of=F.l1_loss)
    >>> error.of(torch.ones(2), torch.tensor([0.0, 3.0]))
    tensor(1.5000)
    """

    name: str
    higher_is_better: bool
    of: Callable[[Tensor, Tensor], Tensor]
    is_fraction: bool = False

    def __post_init__(self) -> None:
        if self.name in TAKEN:
            raise BadInputError(f"a metric cannot be called {self.name!r}, as another entry of results and logs is.")

    @property
    def unit(self) -> str:
        """What follows a value where people read it."""
        return " %" if self.is_fraction else ""

    def digits(self, value: float) -> str:
        """A value, or half the width of its interval, in ``unit``.

        >>> ACCURACY.digits(0.951), ACCURACY.unit, MSE.digits(0.0123456)
        ('95.10', ' %', '0.01235')
        """
        return f"{100 * value:.2f}" if self.is_fraction else f"{value:.4g}"


def accuracy(predictions: Tensor, targets: Tensor) -> Tensor:
    """The fraction of examples whose class has the largest of the scores.

    Shapes:
        predictions: ``[example, class]``; targets: ``[example]``

    >>> import torch
    >>> accuracy(torch.eye(2), torch.tensor([0, 0]))
    tensor(0.5000)
    """
    return (predictions.argmax(1) == targets).float().mean()


ACCURACY = Metric("accuracy", higher_is_better=True, of=accuracy, is_fraction=True)
"""The fraction of the query examples whose class is predicted."""
MSE = Metric("mse", higher_is_better=False, of=F.mse_loss)
"""The mean squared error."""


def default_metric(loss: Loss, targets: Tensor) -> Metric:
    """Accuracy for class targets; for others what is minimised, which is called ``mse`` if that is what it is.

    >>> import torch
    >>> default_metric(F.huber_loss, torch.zeros(2, 1)).name
    'loss'
    """
    if not targets.is_floating_point():
        return ACCURACY
    return MSE if loss in (loss_for_targets, F.mse_loss) else Metric("loss", higher_is_better=False, of=loss)
