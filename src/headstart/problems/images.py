"""What problems of images sorted by class share: a split of the classes, and three sets of N-way K-shot tasks."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import headstart as hs
from headstart.errors import BadInputError
from headstart.problems.problem import ClassificationTask, Problem, TaskSets
from headstart.problems.settings import Count


@dataclass(frozen=True)
class ImageSettings:
    """Flags of every problem of images."""

    image_size: Count = 28
    """Pixels along each side."""
    rotations: Literal["classes", "tasks", "none"] = "classes"
    """Turns by 90 degrees in training: new classes, random per class and task, or none."""
    test_rotations: Literal["tasks", "none"] = "none"
    """Turns by 90 degrees at validation and test: none, or random per class and task, as in MAML's code."""
    ink: Literal[1, 0] = 1
    """Value of a pixel with ink; paper has the other. Reptile's code has 0."""


class ImageProblem(Problem):
    """N-way K-shot classification of images. A subclass says which classes there are, how they are split, and loads
    them."""

    has: ClassVar[frozenset[str]] = frozenset({"classes", "images"})

    @property
    def metric(self) -> hs.Metric:
        """The fraction of the query examples whose class is predicted."""
        return hs.ACCURACY

    @abstractmethod
    def split(self, settings: Any) -> hs.Split:
        """The names of the classes of the three task sets, known without loading an image.

        Raises:
            BadInputError: the split cannot be used.
        """

    @abstractmethod
    def load(self, settings: Any) -> hs.ImageClasses:
        """All images; rank 0 alone is asked for them.

        Raises:
            BadInputError: the data set cannot be used.
            RunStoppedError: it has to be downloaded and cannot be.
        """

    def task_sets(self, settings: ImageSettings, task: ClassificationTask) -> TaskSets:
        """Training tasks turned as ``rotations`` says, validation and test tasks as ``test_rotations``."""
        from headstart.distributed.processes import from_first

        def parts() -> list[hs.ImageClasses]:
            classes = self.load(settings)
            images = classes.images if settings.ink == 1 else 255 - classes.images
            return [classes._replace(images=images).choose(names) for names in self.split(settings)]

        training, validation, test = from_first(parts)
        return TaskSets(
            training_tasks(training, settings, task),
            unseen_tasks(validation, settings, task),
            unseen_tasks(test, settings, task),
        )

    def blank_tasks(self, settings: ImageSettings, task: ClassificationTask) -> hs.ClassificationTasks:
        """Training tasks of as many classes as there will be, without ink."""
        import torch

        names, size = self.split(settings).train, settings.image_size
        blank = torch.zeros(len(names), task.shots_in_training + task.queries, 1, size, size, dtype=torch.uint8)
        return training_tasks(hs.ImageClasses(blank, names), settings, task)

    def settings_like(self, other: Any) -> Any:
        """The default settings with the size and the ink of ``other``'s images."""
        return self.settings(image_size=other.image_size, ink=other.ink)

    def check_unseen(self, trained: Any, evaluated: Any) -> None:
        """Refuses another split whose test classes were trained or validated on."""
        split = self.split(trained)
        seen = {*split.train, *split.validation} & {*self.split(evaluated).test}
        if seen:
            raise BadInputError(
                f"{len(seen)} test classes of --split {evaluated.split} were trained or validated on, {min(seen)!r} "
                f"the first of them: evaluate this run on its own split, {trained.split}, or train one on that split."
            )


def split_in_file(name: str, *known: str) -> hs.Split:
    """The split in a JSON file, where ``--split`` is none of those that the problem has by name.

    Raises:
        BadInputError: there is no such file, or it holds no split.
    """
    if not Path(name).exists():
        raise BadInputError(f"--split {name} is no file that is here; choose {', '.join(known)} or a JSON file.")
    return hs.read_split(name)


def training_tasks(
    classes: hs.ImageClasses, settings: ImageSettings, task: ClassificationTask
) -> hs.ClassificationTasks:
    """The training tasks of a data set."""
    return hs.ClassificationTasks(
        classes,
        ways=task.ways_in_training,
        shots=task.shots_in_training,
        queries=task.queries,
        rotations=settings.rotations,
    )


def unseen_tasks(classes: hs.ImageClasses, settings: ImageSettings, task: ClassificationTask) -> hs.ClassificationTasks:
    """The validation or test tasks of a data set."""
    return hs.ClassificationTasks(
        classes, ways=task.ways, shots=task.shots, queries=task.test_queries, rotations=settings.test_rotations
    )
