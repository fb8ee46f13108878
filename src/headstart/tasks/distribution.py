"""The contract of a distribution of tasks."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from headstart.episodes import Episodes
from headstart.errors import BadInputError


class TaskDistribution(Protocol):
    """Anything that tasks can be drawn from."""

    def sample(self, count: int, generator: torch.Generator) -> Episodes:
        """``count`` tasks, a function of the generator's state alone.

        The generator is one of the CPU. A distribution with an attribute ``device`` is handed one of that device in
        training, which spares the way from the CPU.
        """


def outputs_of(tasks: TaskDistribution) -> int:
    """How many numbers *f* predicts for an example of the tasks: their attribute ``outputs``.

    Raises:
        BadInputError: they do not say.

    >>> import headstart as hs
    >>> outputs_of(hs.SinusoidTasks(shots=10, queries=10))
    1
    """
    outputs = getattr(tasks, "outputs", None)
    if outputs is None:
        raise BadInputError(f"{type(tasks).__name__} does not say what f predicts; give it a number outputs.")
    return int(outputs)


def moved(tasks: TaskDistribution, device: torch.device) -> TaskDistribution:
    """The tasks with their data on ``device``: ``tasks.to(device)``, or as they are if they have no such method.

    >>> import headstart as hs
    >>> tasks = hs.SinusoidTasks(shots=10, queries=10)
    >>> moved(tasks, torch.device("cpu")) is tasks
    True
    """
    return tasks.to(device) if hasattr(tasks, "to") else tasks


def where_drawn(tasks: TaskDistribution) -> torch.device:
    """The device that training tasks are drawn on: ``tasks.device``, or the CPU where they have no such attribute.

    >>> import headstart as hs
    >>> where_drawn(hs.SinusoidTasks(shots=10, queries=10))
    device(type='cpu')
    """
    return torch.device(getattr(tasks, "device", "cpu"))


def example_of(tasks: TaskDistribution) -> Tensor:
    """The inputs of one example of the tasks.

    >>> import headstart as hs
    >>> example_of(hs.SinusoidTasks(shots=10, queries=10)).shape
    torch.Size([1])
    """
    example: Tensor = tasks.sample(1, torch.Generator(where_drawn(tasks))).query.inputs[0, 0]
    return example
