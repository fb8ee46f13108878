"""Tasks of other sizes than a learner was trained with: what a user may ask of it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from headstart.episodes import Episodes
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
        n, k = (drawn(sizes, generator) for sizes in (ways, shots))
        queries = min(QUERIES, examples - k)
        sized = ClassificationTasks(tasks.classes, ways=n, shots=k, queries=queries, rotations=tasks.rotations)
        yield fixed_tasks(sized, seed, "calibration", range(index, index + 1)).task(0)


def drawn(values: list[int], generator: torch.Generator) -> int:
    """One of the values."""
    return values[int(torch.randint(len(values), (), generator=generator))]


def size_features(shots: Tensor) -> Tensor:
    """What is known of a task before anything is predicted: ``(1, log ways, log mean shots)``.

    Shapes:
        shots: examples of each class, ``[ways]``

    >>> size_features(torch.tensor([1, 1]))
    tensor([1.0000, 0.6931, 0.0000], dtype=torch.float64)
    """
    shots = shots.double()
    return torch.stack([torch.ones((), dtype=torch.float64), torch.tensor(float(len(shots))).log(), shots.mean().log()])
