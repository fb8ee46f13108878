"""N-way K-shot classification: from images sorted by class to episodes."""

from __future__ import annotations

from functools import cached_property
from typing import Literal, get_args

import torch
from torch import Tensor

from headstart.datasets.image_classes import ImageClasses
from headstart.episodes import Episodes, Examples
from headstart.errors import BadInputError

Rotations = Literal["classes", "tasks", "none"]


def distinct(shape: tuple[int, ...], population: int, chosen: int, generator: torch.Generator) -> Tensor:
    """For each entry of ``shape``, ``chosen`` different numbers below ``population`` in random order, uniformly.

    Shapes:
        result: int64 ``[*shape, chosen]``, on the generator's device

    >>> distinct((2,), population=3, chosen=3, generator=torch.Generator()).sort(-1).values
    tensor([[0, 1, 2],
            [0, 1, 2]])
    """
    keys = torch.rand(*shape, population, generator=generator, device=generator.device)
    return keys.topk(chosen, dim=-1).indices


def quarter_turns(images: Tensor) -> Tensor:
    """``images`` turned by 0, 90, 180 and 270 degrees: ``[..., height, width]`` -> ``[turn, ..., height, width]``.

    >>> quarter_turns(torch.tensor([[1, 2], [3, 4]]))[1]
    tensor([[2, 4],
            [1, 3]])
    """
    return torch.stack([images.rot90(turn, (-2, -1)) for turn in range(4)])


def to_inputs(images: Tensor) -> Tensor:
    """uint8 images, 0 to 255, as float inputs, 0 (paper) to 1 (ink)."""
    return images.float() / 255


class ClassificationTasks:
    """N-way K-shot tasks: ``ways`` classes in random order, and of each ``shots`` support and ``queries`` query
    examples.

    A class's target is its place in the order in which the task drew it, so that a head cannot learn the classes'
    order. Support and query share no example. The support examples of a task come in random order, the queries class
    by class.

    Args:
        classes: where the tasks come from.
        ways: classes per task.
        shots: support examples per class.
        queries: query examples per class.
        rotations: ``"classes"`` makes each of a class's four turns by 90 degrees a class of its own; ``"tasks"`` turns
            each class of each task at random; ``"none"`` leaves the images as they are.

    Raises:
        BadInputError: the classes have too few examples for shots + queries, there are fewer of them than ways, images
            to be turned are not square, or a number is not positive.

    Source: Vinyals et al. (2016), section 4.1; rotated classes as in Santoro et al. (2016), section 3.2.

    >>> classes = ImageClasses(torch.zeros(10, 20, 1, 28, 28, dtype=torch.uint8), tuple("abcdefghij"))
    >>> tasks = ClassificationTasks(classes, ways=5, shots=1, queries=15)
    >>> episodes = tasks.sample(32, torch.Generator())
    >>> episodes.support.inputs.shape, episodes.query.targets.shape
    (torch.Size([32, 5, 1, 28, 28]), torch.Size([32, 75]))
    """

    def __init__(
        self, classes: ImageClasses, *, ways: int, shots: int, queries: int, rotations: Rotations = "classes"
    ) -> None:
        if min(ways, shots, queries) < 1:
            raise BadInputError(f"a task needs at least one of each, not {ways=}, {shots=}, {queries=}.")
        if rotations not in get_args(Rotations):
            raise BadInputError(f"{rotations=} is unknown; choose one of {', '.join(get_args(Rotations))}.")
        count, examples, _, height, width = classes.images.shape
        if shots + queries > examples:
            raise BadInputError(
                f"{examples} examples per class cannot give {shots} shots + {queries} queries; "
                f"ask for at most {examples} in all."
            )
        if rotations != "none" and height != width:
            raise BadInputError(f"images of {height}x{width} cannot be turned by 90 degrees; use rotations='none'.")
        self.class_count = count * (4 if rotations == "classes" else 1)
        if ways > self.class_count:
            raise BadInputError(f"{self.class_count} classes cannot give {ways} ways; ask for fewer ways.")
        self.classes, self.ways, self.shots, self.queries, self.rotations = classes, ways, shots, queries, rotations

    def of(self, classes: ImageClasses) -> ClassificationTasks:
        """Such tasks of other classes.

        Raises:
            BadInputError: there are fewer of them than ways, or they have too few examples.
        """
        return ClassificationTasks(
            classes, ways=self.ways, shots=self.shots, queries=self.queries, rotations=self.rotations
        )

    def to(self, device: torch.device) -> ClassificationTasks:
        """The same tasks, drawn on ``device``."""
        return self.of(self.classes._replace(images=self.classes.images.to(device)))

    @cached_property
    def images(self) -> Tensor:
        """The images as they are and, if they are turned, so: ``[turn, class, example, channel, height, width]``."""
        return quarter_turns(self.classes.images) if self.rotations != "none" else self.classes.images[None]

    @property
    def outputs(self) -> int:
        """How many numbers *f* predicts for an example: a score for each of the task's classes."""
        return self.ways

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self.classes.images.device

    def sample(self, count: int, generator: torch.Generator) -> Episodes:
        """``count`` tasks, ``[task, ways * shots, ...]`` and ``[task, ways * queries, ...]``."""
        turn, character = self._draw_classes(count, generator)
        example = distinct((count, self.ways), self.images.shape[2], self.shots + self.queries, generator)
        target = torch.arange(self.ways, device=generator.device).view(1, -1, 1)
        index = [part.expand_as(example) for part in (turn[..., None], character[..., None], example, target)]
        support = [part[..., : self.shots].flatten(1) for part in index]
        query = [part[..., self.shots :].flatten(1) for part in index]
        order = distinct((count,), self.ways * self.shots, self.ways * self.shots, generator)
        return Episodes(self._examples(*(part.gather(1, order) for part in support)), self._examples(*query))

    def _draw_classes(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The quarter turn and the unturned class of each of the tasks' classes, ``[task, way]`` each."""
        drawn = distinct((count,), self.class_count, self.ways, generator)
        characters = self.images.shape[1]
        if self.rotations == "tasks":
            turn = torch.randint(4, drawn.shape, generator=generator, device=generator.device)
            return turn, drawn
        return drawn // characters, drawn % characters

    def _examples(self, turn: Tensor, character: Tensor, example: Tensor, target: Tensor) -> Examples:
        index = [part.to(self.device) for part in (turn, character, example)]
        return Examples(to_inputs(self.images[tuple(index)]), target.to(self.device))
