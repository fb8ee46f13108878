"""What problems of images share, and those of images sorted by class: three sets of N-way K-shot tasks."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import headstart as hs
from headstart.problems.classes import ClassProblem
from headstart.problems.problem import ClassificationTask, TaskSets
from headstart.problems.settings import Size


@dataclass(frozen=True)
class PixelSettings:
    """Flags of everything that is pixels."""

    image_size: Size = 28
    """Pixels along each side."""
    rotations: Literal["classes", "tasks", "none"] = "classes"
    """Turns by 90 degrees in training: new classes, random per class and task, or none."""
    test_rotations: Literal["tasks", "none"] = "none"
    """Turns by 90 degrees at validation and test: none, or random per class and task, as in MAML's code."""


@dataclass(frozen=True)
class FormSettings:
    """The flag of what may be drawings."""

    form: Literal["as_is", "drawing"] = "as_is"
    """As they are, or as drawings: their ink in the middle and of one size, as learners for people's own drawings want
    them; of glyphs, the ink of many pens."""


@dataclass(frozen=True)
class ImageSettings(PixelSettings, FormSettings):
    """Flags of every problem of images sorted by class, as many of each."""

    ink: Literal[1, 0] = 1
    """Value of a pixel with ink; paper has the other. Reptile's code has 0."""


class ImageProblem(ClassProblem):
    """N-way K-shot classification of images. A subclass says which classes there are, how they are split, and loads
    them."""

    has: ClassVar[frozenset[str]] = frozenset({"classes", "images"})

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
        return self.settings(**looks_of(other, self.settings))


def looks_of(settings: Any, other: type) -> dict[str, Any]:
    """Those of ``settings`` that say how an example looks and are settings of ``other`` as well.

    >>> looks_of(ImageSettings(image_size=84), PixelSettings)
    {'image_size': 84}
    """
    names = {field.name for field in dataclasses.fields(other)} & {"image_size", "form", "ink", "colour", "polarity"}
    return {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings) if field.name in names}


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
