"""Tasks of other sizes than a learner was trained with: what a user may ask of it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from headstart.episodes import Episodes, Examples
from headstart.errors import BadInputError
from headstart.evaluation.fixed_tasks import fixed_tasks
from headstart.learners.base import Learner
from headstart.learners.heads import AnyWays
from headstart.randomness import derive_generator
from headstart.tasks.classification import ClassificationTasks

WAYS, SHOTS, QUERIES = (2, 3, 5, 8, 10, 15, 20), (1, 1, 2, 3, 5, 10), 10
"""What sizes are drawn from, one shot twice as often as any other number; and query examples per class."""


def tasks_of_many_sizes(learner: Learner, tasks: ClassificationTasks, count: int, seed: int) -> Iterator[Episodes]:
    """``count`` fixed tasks of the classes of ``tasks``, one by one, of ways and shots that are drawn for each.

    Every other task has as many shots of each class. In the rest a class has one of two numbers of them: one, or both
    drawn.

    A learner whose head is fixed is given at most as many ways as ``tasks`` has.

    Raises:
        BadInputError: there are too few classes, or one has too few examples.
    """
    examples = int(tasks.members.counts.min())
    most = tasks.class_count if isinstance(learner, AnyWays) else tasks.ways
    ways, shots = [ways for ways in WAYS if ways <= most], [shots for shots in SHOTS if shots < examples]
    if not ways or len({*shots}) < 2:
        raise BadInputError(
            f"{most} classes of {examples} examples are too few to calibrate by; 2 classes of 3 examples are the least."
        )
    for index in range(count):
        generator = derive_generator(seed, "sizes", index)
        n, k, other = (drawn(sizes, generator) for sizes in (ways, shots, shots))
        own = torch.full((n,), k)
        if index % 2:
            share = torch.rand((), generator=generator)
            own[torch.rand(n, generator=generator) < share] = 1 if index % 4 == 1 else other
        most_shots = int(own.max())
        queries = min(QUERIES, examples - most_shots)
        sized = ClassificationTasks(tasks.classes, ways=n, shots=most_shots, queries=queries, rotations=tasks.rotations)
        support, query = fixed_tasks(sized, seed, "calibration", range(index, index + 1)).task(0)
        kept = place_in_class(support.targets) < own[support.targets]
        yield Episodes(Examples(support.inputs[kept], support.targets[kept]), query)


def place_in_class(targets: Tensor) -> Tensor:
    """How many examples of its own class come before each, ``[example]``.

    >>> place_in_class(torch.tensor([0, 1, 1, 0, 1]))
    tensor([0, 0, 1, 1, 2])
    """
    same = F.one_hot(targets)
    return (same.cumsum(0) * same).sum(1) - 1


def drawn(values: list[int], generator: torch.Generator) -> int:
    """One of the values."""
    return values[int(torch.randint(len(values), (), generator=generator))]


def size_features(shots: Tensor) -> Tensor:
    """What is known of a task before anything is predicted: ``(1, log ways, mean log shots)``.

    Shapes:
        shots: examples of each class, ``[ways]``

    >>> size_features(torch.tensor([1, 1]))
    tensor([1.0000, 0.6931, 0.0000], dtype=torch.float64)
    """
    ways = torch.tensor(float(len(shots)), dtype=torch.float64)
    return torch.stack([torch.ones_like(ways), ways.log(), shots.double().log().mean()])
