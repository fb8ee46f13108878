"""N-way K-shot classification: from examples with a class each to episodes."""

from __future__ import annotations

from typing import Any, Literal, Self, get_args

import torch
from torch import Tensor

from headstart.datasets.arrays import labelled_arrays, labelled_pairs
from headstart.datasets.image_classes import ImageClasses
from headstart.datasets.labelled import LabelledExamples
from headstart.episodes import Episodes, Examples
from headstart.errors import BadInputError

Rotations = Literal["classes", "tasks", "none"]
Classes = ImageClasses | LabelledExamples


def distinct(
    shape: tuple[int, ...], population: int, chosen: int, generator: torch.Generator, sizes: Tensor | None = None
) -> Tensor:
    """For each entry of ``shape``, ``chosen`` different numbers below ``population`` in random order, uniformly.

    Args:
        sizes: int64 ``shape``, each entry's own population, from ``chosen`` to ``population``; all of it if None.

    Shapes:
        result: int64 ``[*shape, chosen]``, on the generator's device

    >>> distinct((2,), population=3, chosen=3, generator=torch.Generator()).sort(-1).values
    tensor([[0, 1, 2],
            [0, 1, 2]])
    """
    keys = torch.rand(*shape, population, generator=generator, device=generator.device)
    if sizes is not None:
        absent = torch.arange(population, device=keys.device) >= sizes[..., None].to(keys.device)
        keys = keys.masked_fill(absent, -1)
    return keys.topk(chosen, dim=-1).indices


def quarter_turns(images: Tensor) -> Tensor:
    """``images`` turned by 0, 90, 180 and 270 degrees: ``[..., height, width]`` -> ``[turn, ..., height, width]``.

    >>> quarter_turns(torch.tensor([[1, 2], [3, 4]]))[1]
    tensor([[2, 4],
            [1, 3]])
    """
    return torch.stack([images.rot90(turn, (-2, -1)) for turn in range(4)])


def turned(images: Tensor, turn: Tensor) -> Tensor:
    """Each image ``[..., channel, height, width]`` by its own number of quarter turns, ``[...]``.

    >>> turned(torch.tensor([[[[1, 2], [3, 4]]]]), torch.tensor([1]))
    tensor([[[[2, 4],
              [1, 3]]]])
    """
    flat, turn = images.flatten(0, turn.ndim - 1), turn.flatten()
    return quarter_turns(flat)[turn, torch.arange(len(turn), device=turn.device)].view_as(images)


def check_turnable(data: LabelledExamples) -> None:
    """Refuses examples that cannot be turned by 90 degrees, or are the same afterwards.

    Raises:
        BadInputError: they are no square images of more than one pixel.
    """
    shape = data.inputs.shape[1:]
    if len(shape) != 3 or shape[-2] != shape[-1] or shape[-1] < 2:
        words = "x".join(map(str, shape))
        raise BadInputError(
            f"examples of {words} are not square images of several pixels, and cannot be turned by 90 degrees; use "
            "rotations='none'."
        )


def to_inputs(examples: Tensor) -> Tensor:
    """uint8 images, 0 to 255, as float inputs, 0 (paper) to 1 (ink); floats as they are."""
    return examples.float() / 255 if examples.dtype == torch.uint8 else examples


class ClassificationTasks:
    """N-way K-shot tasks: ``ways`` classes in random order, and of each ``shots`` support and ``queries`` query
    examples.

    A class's target is its place in the order in which the task drew it, so that a head cannot learn the classes'
    order. Support and query share no example. The support examples of a task come in random order, the queries class
    by class.

    Args:
        classes: where the tasks come from: ``hs.ImageClasses``, or ``hs.LabelledExamples`` of any shape and any number
            per class. ``from_arrays`` and ``from_dataset`` take other forms.
        ways: classes per task.
        shots: support examples per class.
        queries: query examples per class.
        rotations: ``"classes"`` makes each of a class's four turns by 90 degrees a class of its own; ``"tasks"`` turns
            each class of each task at random; ``"none"`` leaves the images as they are. If None, ``ImageClasses`` are
            turned to classes, and other data are left as they are.

    Raises:
        BadInputError: a class has too few examples for shots + queries, there are fewer of them than ways, examples
            to be turned are no square images, or a number is not positive.

    Source: Vinyals et al. (2016), section 4.1; rotated classes as in Santoro et al. (2016), section 3.2.

    >>> classes = ImageClasses(torch.zeros(10, 20, 1, 28, 28, dtype=torch.uint8), tuple("abcdefghij"))
    >>> tasks = ClassificationTasks(classes, ways=5, shots=1, queries=15)
    >>> episodes = tasks.sample(32, torch.Generator())
    >>> episodes.support.inputs.shape, episodes.query.targets.shape
    (torch.Size([32, 5, 1, 28, 28]), torch.Size([32, 75]))
    """

    def __init__(
        self, classes: Classes, *, ways: int, shots: int, queries: int, rotations: Rotations | None = None
    ) -> None:
        if min(ways, shots, queries) < 1:
            raise BadInputError(f"a task needs at least one of each, not {ways=}, {shots=}, {queries=}.")
        if rotations not in (None, *get_args(Rotations)):
            raise BadInputError(f"{rotations=} is unknown; choose one of {', '.join(get_args(Rotations))}.")
        self.classes, self.ways, self.shots, self.queries = classes, ways, shots, queries
        self.rotations: Rotations = rotations or classes.rotations
        self.data = classes.labelled
        self.members = self.data.members()
        if self.rotations != "none":
            check_turnable(self.data)
        count = len(self.data.names)
        self.class_count = count * (4 if self.rotations == "classes" else 1)
        if ways > self.class_count:
            raise BadInputError(f"{self.class_count} classes cannot give {ways} ways; ask for fewer ways.")
        self._check_counts()
        self.most = int(self.members.counts.max())
        self.unequal = bool(self.members.counts.min() < self.most)

    @classmethod
    def from_arrays(
        cls, x: Any, y: Any, *, ways: int, shots: int, queries: int, rotations: Rotations | None = None
    ) -> Self:
        """Tasks of examples ``x[i]`` with labels ``y[i]``: arrays of NumPy or PyTorch, or what can be made one.

        Shapes:
            x: ``[example, *features]``: uint8 images, of which floats from 0 to 1 are made, or floats as they are
            y: ``[example]``: anything hashable

        Raises:
            BadInputError: the lengths differ, a label is missing, a number is not finite, or as in the constructor.

        >>> tasks = ClassificationTasks.from_arrays(
        ...     torch.rand(6, 4), ["cat", "cat", "dog", "dog", "owl", "owl"], ways=2, shots=1, queries=1
        ... )
        >>> tasks.classes.names, tasks.sample(1, torch.Generator()).query.inputs.shape
        (('cat', 'dog', 'owl'), torch.Size([1, 2, 4]))
        """
        return cls(labelled_arrays(x, y), ways=ways, shots=shots, queries=queries, rotations=rotations)

    @classmethod
    def from_dataset(
        cls, dataset: Any, *, ways: int, shots: int, queries: int, rotations: Rotations | None = None
    ) -> Self:
        """Tasks of an indexable data set of ``(example, label)`` pairs, such as ``torch.utils.data.Dataset``.

        All of it is read, once. Examples may be tensors, arrays or PIL images.

        Raises:
            BadInputError: it is no such data set, its examples differ in shape, or as in ``from_arrays``.

        >>> pairs = torch.utils.data.TensorDataset(torch.rand(6, 4), torch.tensor([10, 10, 11, 11, 19, 19]))
        >>> ClassificationTasks.from_dataset(pairs, ways=2, shots=1, queries=1).classes.names
        ('10', '11', '19')
        """
        return cls(labelled_pairs(dataset), ways=ways, shots=shots, queries=queries, rotations=rotations)

    def _check_counts(self) -> None:
        counts, wanted = self.members.counts, self.shots + self.queries
        few = (counts < wanted).nonzero().flatten().tolist()
        if not few:
            return
        least, way_out = int(counts[few].min()), ""
        which = f"{least} examples per class"
        if counts.min() < counts.max():
            others = f" ({len(few) - 1} more have too few)" if len(few) > 1 else ""
            which = f"the {int(counts[few[0]])} examples of the class {self.data.names[few[0]]!r}{others}"
            way_out = ", or leave such classes out"
        raise BadInputError(
            f"{which} cannot give {self.shots} shots + {self.queries} queries; ask for at most {least} in all{way_out}."
        )

    def of(self, classes: Classes) -> ClassificationTasks:
        """Such tasks of other classes.

        Raises:
            BadInputError: there are fewer of them than ways, or they have too few examples.
        """
        return ClassificationTasks(
            classes, ways=self.ways, shots=self.shots, queries=self.queries, rotations=self.rotations
        )

    def to(self, device: torch.device) -> ClassificationTasks:
        """The same tasks, drawn on ``device``; where the data are, if they would fill more than half of it."""
        return self.of(self.classes.to(device))

    @property
    def outputs(self) -> int:
        """How many numbers *f* predicts for an example: a score for each of the task's classes."""
        return self.ways

    @property
    def device(self) -> torch.device:
        """Where the examples are."""
        return self.data.inputs.device

    def sample(self, count: int, generator: torch.Generator) -> Episodes:
        """``count`` tasks, ``[task, ways * shots, ...]`` and ``[task, ways * queries, ...]``."""
        turn, drawn = self.draw_classes(count, generator)
        sizes = self.members.counts[drawn.to(self.device)] if self.unequal else None
        example = distinct((count, self.ways), self.most, self.shots + self.queries, generator, sizes)
        target = torch.arange(self.ways, device=generator.device).view(1, -1, 1)
        index = [part.expand_as(example) for part in (turn[..., None], drawn[..., None], example, target)]
        support = [part[..., : self.shots].flatten(1) for part in index]
        query = [part[..., self.shots :].flatten(1) for part in index]
        order = distinct((count,), self.ways * self.shots, self.ways * self.shots, generator)
        return Episodes(self._examples(*(part.gather(1, order) for part in support)), self._examples(*query))

    def draw_classes(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The quarter turn and the unturned class of each of the tasks' classes, ``[task, way]`` each: the first that
        ``sample`` draws, so that an equal generator says which classes its tasks are of."""
        drawn = distinct((count,), self.class_count, self.ways, generator)
        classes = len(self.data.names)
        if self.rotations == "tasks":
            turn = torch.randint(4, drawn.shape, generator=generator, device=generator.device)
            return turn, drawn
        return drawn // classes, drawn % classes

    def _examples(self, turn: Tensor, drawn: Tensor, example: Tensor, target: Tensor) -> Examples:
        turn, drawn, example, target = (part.to(self.device) for part in (turn, drawn, example, target))
        inputs = self.data.inputs[self.members.rows(drawn, example)]
        return Examples(to_inputs(turned(inputs, turn) if self.rotations != "none" else inputs), target)
