"""The regression tasks of the MAML paper."""

from __future__ import annotations

import math

import torch

from headstart.episodes import Episodes, Examples
from headstart.errors import BadInputError


class SinusoidTasks:
    """``y = amplitude * sin(x - phase)``, amplitude in [0.1, 5], phase in [0, pi] and x in [-5, 5], all uniform.

    Args:
        shots: support examples per task.
        queries: query examples per task.

    Raises:
        BadInputError: a number is not positive.

    Source: Finn, Abbeel and Levine (2017), section 5.1.

    >>> tasks = SinusoidTasks(shots=10, queries=100)
    >>> tasks.sample(4, torch.Generator()).query.targets.shape
    torch.Size([4, 100, 1])
    """

    def __init__(self, *, shots: int, queries: int) -> None:
        if min(shots, queries) < 1:
            raise BadInputError(f"a task needs at least one of each, not {shots=}, {queries=}.")
        self.shots = shots
        self.queries = queries

    @property
    def outputs(self) -> int:
        """What *f* predicts for an example: one number."""
        return 1

    def sample(self, count: int, generator: torch.Generator) -> Episodes:
        """``count`` tasks, inputs and targets ``[task, example, 1]``."""

        def uniform(low: float, high: float, examples: int) -> torch.Tensor:
            unit = torch.rand(count, examples, 1, generator=generator)
            return low + (high - low) * unit

        amplitude, phase = uniform(0.1, 5.0, 1), uniform(0.0, math.pi, 1)
        inputs = uniform(-5.0, 5.0, self.shots + self.queries)
        targets = amplitude * torch.sin(inputs - phase)
        return Episodes(
            support=Examples(inputs[:, : self.shots], targets[:, : self.shots]),
            query=Examples(inputs[:, self.shots :], targets[:, self.shots :]),
        )
