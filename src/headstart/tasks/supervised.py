"""Batches of all classes at once, for the supervised classifier."""

from __future__ import annotations

from typing import Literal, Self

import torch

from headstart.datasets.image_classes import ImageClasses
from headstart.episodes import Episodes, Examples
from headstart.errors import BadInputError
from headstart.tasks.classification import ClassificationTasks, quarter_turns, to_inputs


class SupervisedTasks:
    """Batches of a supervised classifier: random examples of all classes as the query set, and an empty support set.

    Args:
        classes: where the examples come from; a class's target is its place in the data set.
        examples: examples per batch, drawn with replacement.
        rotations: ``"classes"`` makes each of a class's four turns by 90 degrees a class of its own; ``"none"`` does
            not.

    Raises:
        BadInputError: ``examples`` is not positive, or images to be turned are not square.

    >>> classes = ImageClasses(torch.zeros(10, 20, 1, 28, 28, dtype=torch.uint8), tuple("abcdefghij"))
    >>> tasks = SupervisedTasks(classes, examples=64)
    >>> tasks.class_count, tasks.sample(1, torch.Generator()).query.inputs.shape
    (40, torch.Size([1, 64, 1, 28, 28]))
    """

    def __init__(
        self, classes: ImageClasses, *, examples: int, rotations: Literal["classes", "none"] = "classes"
    ) -> None:
        if examples < 1:
            raise BadInputError(f"a batch needs at least one example, not {examples}.")
        images = classes.images
        if rotations == "classes":
            if images.shape[-1] != images.shape[-2]:
                raise BadInputError("images that are not square cannot be turned by 90 degrees; use rotations='none'.")
            images = quarter_turns(images).flatten(0, 1)
        self.images = images
        self.examples = examples

    @classmethod
    def of(cls, tasks: ClassificationTasks) -> Self:
        """Batches as large as the query set of ``tasks``, of the same classes.

        Raises:
            BadInputError: the classes of the tasks are turned at random, which a classifier has no tasks for.
        """
        if tasks.rotations == "tasks":
            raise BadInputError("a classifier has no tasks in training to turn; use rotations 'classes' or 'none'.")
        return cls(tasks.classes, examples=tasks.ways * tasks.queries, rotations=tasks.rotations)

    @property
    def outputs(self) -> int:
        """What *f* predicts for an example: a score for each of all classes."""
        return self.class_count

    @property
    def class_count(self) -> int:
        """How many classes there are, turned ones among them."""
        return len(self.images)

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self.images.device

    def sample(self, count: int, generator: torch.Generator) -> Episodes:
        """``count`` batches, ``[task, examples, ...]`` each."""
        shape = (count, self.examples)
        target, example = (
            torch.randint(population, shape, generator=generator, device=generator.device).to(self.device)
            for population in (self.class_count, self.images.shape[1])
        )
        query = Examples(to_inputs(self.images[target, example]), target)
        return Episodes(Examples(query.inputs[:, :0], query.targets[:, :0]), query)
