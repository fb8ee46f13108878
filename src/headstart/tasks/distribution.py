"""The contract of a distribution of tasks."""

from __future__ import annotations

from typing import Protocol

import torch

from headstart.episodes import Episodes


class TaskDistribution(Protocol):
    """Anything that tasks can be drawn from."""

    def sample(self, count: int, generator: torch.Generator) -> Episodes:
        """``count`` tasks, a function of the generator's state alone.

        The generator is one of the CPU. A distribution with an attribute ``device`` is handed one of that device in
        training, which spares the way from the CPU.
        """


def where_drawn(tasks: TaskDistribution) -> torch.device:
    """The device that training tasks are drawn on: ``tasks.device``, or the CPU where they have no such attribute.

    >>> import headstart as hs
    >>> where_drawn(hs.SinusoidTasks(shots=10, queries=10))
    device(type='cpu')
    """
    return torch.device(getattr(tasks, "device", "cpu"))
