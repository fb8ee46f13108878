"""Batches of all classes at once, for the supervised classifier."""

from __future__ import annotations

from typing import Literal, Self

import torch
from torch import Tensor

from headstart.episodes import Episodes, Examples
from headstart.errors import BadInputError
from headstart.tasks.classification import Classes, ClassificationTasks, check_turnable, to_inputs, turned


class SupervisedTasks:
    """Batches of a supervised classifier: random examples of all classes as the query set, and an empty support set.

    Args:
        classes: where the examples come from; a class's target is its place in the data set. Classes are drawn equally
            often, however many examples they have.
        examples: examples per batch, drawn with replacement.
        rotations: ``"classes"`` makes each of a class's four turns by 90 degrees a class of its own; ``"none"`` does
            not. If None, as in ``hs.ClassificationTasks``.

    Raises:
        BadInputError: ``examples`` is not positive, or examples to be turned are no square images.

    >>> from headstart.datasets.image_classes import ImageClasses
    >>> classes = ImageClasses(torch.zeros(10, 20, 1, 28, 28, dtype=torch.uint8), tuple("abcdefghij"))
    >>> tasks = SupervisedTasks(classes, examples=64)
    >>> tasks.class_count, tasks.sample(1, torch.Generator()).query.inputs.shape
    (40, torch.Size([1, 64, 1, 28, 28]))
    """

    def __init__(self, classes: Classes, *, examples: int, rotations: Literal["classes", "none"] | None = None) -> None:
        if examples < 1:
            raise BadInputError(f"a batch needs at least one example, not {examples}.")
        self.data = classes.labelled
        self.members = self.data.members()
        if not self.members.counts.all():
            empty = self.data.names[int(self.members.counts.argmin())]
            raise BadInputError(f"the class {empty!r} has no examples; leave it out.")
        least, most = int(self.members.counts.min()), int(self.members.counts.max())
        self.each = most if least == most else None  # examples of every class, if all have as many
        self.rotations = rotations or classes.rotations
        if self.rotations == "classes":
            check_turnable(self.data)
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
        return len(self.data.names) * (4 if self.rotations == "classes" else 1)

    @property
    def device(self) -> torch.device:
        """Where the examples are."""
        return self.data.inputs.device

    def sample(self, count: int, generator: torch.Generator) -> Episodes:
        """``count`` batches, ``[task, examples, ...]`` each."""
        shape, classes = (count, self.examples), len(self.data.names)

        def below(number: int) -> Tensor:
            drawn = torch.randint(number, shape, generator=generator, device=generator.device)
            return drawn.to(self.device)

        target = below(self.class_count)
        turn, drawn = target // classes, target % classes
        if self.each is not None:
            example = below(self.each)
        else:
            part = torch.rand(shape, generator=generator, device=generator.device, dtype=torch.float64)
            example = (part.to(self.device) * self.members.counts[drawn]).long()
        inputs = self.data.inputs[self.members.rows(drawn, example)]
        inputs = to_inputs(turned(inputs, turn) if self.rotations == "classes" else inputs)
        return Episodes(Examples(inputs[:, :0], target[:, :0]), Examples(inputs, target))
