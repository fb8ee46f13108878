"""Random quadratics, the tasks on which learned optimizers are tried first."""

from __future__ import annotations

import torch

from headstart.episodes import Episodes, Examples
from headstart.errors import BadInputError


class QuadraticTasks:
    """``y`` of a linear model: a task's loss is ``mean((W theta - y)^2)``, ``W`` and ``y`` standard normal.

    ``theta`` are the weights of ``torch.nn.Linear(size, 1, bias=False)``, the rows of ``W`` the inputs. The support set
    is the query set, since the task is to minimise, not to generalise.

    Args:
        size: of ``theta``, and of ``y``.

    Raises:
        BadInputError: the size is not positive.

    Source: Andrychowicz et al. (2016), section 3.1: ten-dimensional; the sum of squares there is a mean here.

    >>> QuadraticTasks().sample(4, torch.Generator()).support.inputs.shape
    torch.Size([4, 10, 10])
    """

    def __init__(self, size: int = 10) -> None:
        if size < 1:
            raise BadInputError(f"size={size} must be 1 or more.")
        self.size = size

    def sample(self, count: int, generator: torch.Generator) -> Episodes:
        """``count`` tasks, inputs ``[task, size, size]`` and targets ``[task, size, 1]``."""
        inputs = torch.randn(count, self.size, self.size, generator=generator)
        examples = Examples(inputs, torch.randn(count, self.size, 1, generator=generator))
        return Episodes(examples, examples)
