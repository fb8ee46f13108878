"""Training tasks in two parts: for the weights of *f*, and held out for its structure."""

from __future__ import annotations

from typing import NamedTuple

import torch

from headstart.episodes import Episodes
from headstart.tasks.classification import ClassificationTasks
from headstart.tasks.distribution import TaskDistribution, outputs_of, where_drawn


class HeldOutTasks(NamedTuple):
    """Training tasks in two parts: what the weights are learned on, and what is held out for the structure.

    As a distribution of tasks of its own it is the first of them.

    >>> from headstart.datasets.image_classes import ImageClasses
    >>> from headstart.tasks.classification import ClassificationTasks
    >>> classes = ImageClasses(torch.zeros(10, 20, 1, 28, 28, dtype=torch.uint8), tuple("abcdefghij"))
    >>> parts = [ClassificationTasks(classes.choose(names), ways=5, shots=1, queries=3) for names in ("abcde", "fghij")]
    >>> HeldOutTasks(*parts).sample(2, torch.Generator()).query.targets.shape
    torch.Size([2, 15])
    """

    weights: TaskDistribution
    structure: TaskDistribution

    @classmethod
    def of(cls, tasks: ClassificationTasks) -> HeldOutTasks:
        """Tasks of every other class, and of the others.

        Raises:
            BadInputError: half of the classes are fewer than ways.
        """
        names = tasks.classes.names
        return cls(*(tasks.of(tasks.classes.choose(names[first::2])) for first in (0, 1)))

    @property
    def outputs(self) -> int:
        """How many numbers *f* predicts for an example."""
        return outputs_of(self.weights)

    @property
    def device(self) -> torch.device:
        """Where both parts are drawn, which is where the first one is."""
        return where_drawn(self.weights)

    def sample(self, count: int, generator: torch.Generator) -> Episodes:
        """``count`` tasks of the weights' part."""
        return self.weights.sample(count, generator)
