"""What predictions are worth, given the targets: the loss that is descended, and the metric that is reported."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from headstart.episodes import Tensors
from headstart.errors import BadInputError
from headstart.params import Params

Loss = Callable[..., Tensor]
"""``(predictions, targets)``, or ``(predictions, targets, task_params)``, to a scalar."""
TASK_PARAMS = "task_params"
"""The argument by which a loss asks for the parameters that the predictions were made with."""


def loss_for_targets(predictions: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy for class targets, mean squared error for regression targets.

    Raises:
        BadInputError: there is no output for a target, or targets are of another type, or several tensors.

    >>> import torch
    >>> loss_for_targets(torch.ones(2, 1), torch.zeros(2, 1))
    tensor(1.)
    """
    if not isinstance(targets, Tensor):
        raise BadInputError(f"targets in a {type(targets).__name__} need a loss that takes it; give the learner one.")
    if targets.is_floating_point():
        return F.mse_loss(predictions, targets)
    if targets.dtype != torch.int64:
        raise BadInputError(f"class targets are of torch.int64, not of {targets.dtype}; give targets.long().")
    try:
        return F.cross_entropy(predictions, targets)
    except IndexError as error:
        raise BadInputError(
            f"{error} A model with {predictions.shape[1]} outputs has targets 0 to {predictions.shape[1] - 1}; number "
            "them so, or give it more outputs."
        ) from error


def loss_of(loss: Loss, predictions: Tensors, targets: Tensors, task_params: Params) -> Tensor:
    """``loss(predictions, targets)``, or with ``task_params=task_params`` if it has an argument of that name.

    >>> decayed = lambda predictions, targets, task_params: F.mse_loss(predictions, targets) + task_params["w"] ** 2
    >>> loss_of(decayed, torch.ones(2), torch.ones(2), {"w": torch.tensor(3.0)})
    tensor(9.)
    """
    if asks_for_params(loss):
        return loss(predictions, targets, task_params=task_params)
    return loss(predictions, targets)


def asks_for_params(loss: Loss) -> bool:
    """Whether the loss has an argument ``task_params``."""
    code = getattr(loss, "__code__", None)
    if code and not hasattr(loss, "__wrapped__"):  # a plain function's names are read a hundred times faster
        return TASK_PARAMS in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    try:
        return TASK_PARAMS in inspect.signature(loss.forward if isinstance(loss, nn.Module) else loss).parameters
    except ValueError:  # some that are written in C do not say what they take
        return False


TAKEN = {
    "interval", "tasks", "task_hash", "inner_steps", "transductive", "seconds", "median", "diverged", "meta_step",
    "interval_by_inner_step", "median_by_inner_step", "diverged_by_inner_step", "problem", "split", "ways", "shots",
    "path", "polarity", "test_queries", "test_tasks", "test_inner_steps", "test_interval",
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


def default_metric(loss: Loss, targets: Tensors) -> Metric:
    """Accuracy for class targets; for others what is minimised, which is called ``mse`` if that is what it is.

    Raises:
        BadInputError: what is minimised is not of predictions and targets alone.

    >>> import torch
    >>> default_metric(F.huber_loss, torch.zeros(2, 1)).name
    'loss'
    """
    if isinstance(targets, Tensor) and not targets.is_floating_point():
        return ACCURACY
    if asks_for_params(loss):
        raise BadInputError("a loss of task_params is no metric; give the learner metric=hs.Metric(...).")
    return MSE if loss in (loss_for_targets, F.mse_loss) else Metric("loss", higher_is_better=False, of=loss)
