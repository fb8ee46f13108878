"""The contract of a problem: its own settings, its three task sets, and its default recipe."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from headstart.problems.settings import Count

if TYPE_CHECKING:
    from headstart.datasets.splits import Split
    from headstart.learners.scoring import Metric
    from headstart.tasks.distribution import TaskDistribution


class TaskSets(NamedTuple):
    """What is trained on, chosen on and reported on."""

    training: TaskDistribution
    validation: TaskDistribution
    test: TaskDistribution


@dataclass(frozen=True)
class RegressionTask:
    """How large the tasks are."""

    shots: Count = 10
    """Support examples (K) at validation and test."""
    train_shots: Count | None = None
    """Support examples in training; as --shots if None."""
    queries: Count = 10
    """Query examples in training."""
    test_queries: Count = 100
    """Query examples at validation and test."""

    @property
    def shots_in_training(self) -> int:
        """Support examples in training."""
        return self.shots if self.train_shots is None else self.train_shots

    @property
    def sizes_in_training(self) -> dict[str, int]:
        """What training tasks keep when the others are changed."""
        return {"train_shots": self.shots_in_training}


@dataclass(frozen=True)
class ClassificationTask:
    """How large the tasks are."""

    ways: Count = 5
    """Classes per task (N)."""
    train_ways: Count | None = None
    """Classes per task in training; as --ways if None."""
    shots: Count = 1
    """Support examples per class (K) at validation and test."""
    train_shots: Count | None = None
    """Support examples per class in training; as --shots if None."""
    queries: Count = 3
    """Query examples per class in training."""
    test_queries: Count = 15
    """Query examples per class at validation and test."""

    @property
    def ways_in_training(self) -> int:
        """Classes per task in training."""
        return self.ways if self.train_ways is None else self.train_ways

    @property
    def shots_in_training(self) -> int:
        """Support examples per class in training."""
        return self.shots if self.train_shots is None else self.train_shots

    @property
    def sizes_in_training(self) -> dict[str, int]:
        """What training tasks keep when the others are changed."""
        return {"train_ways": self.ways_in_training, "train_shots": self.shots_in_training}


class Problem(ABC):
    """What *F* is learned on. A problem of one's own is one subclass, and ``hs.register_problem(name, Problem())``.

    Attributes:
        settings: a frozen dataclass: the flags that belong to this problem alone. Every field has a default.
        task: a frozen dataclass: the flags of a task's size, ``ClassificationTask`` or ``RegressionTask`` as a rule.
        has: what methods and models may ask for: ``"classes"``, ``"images"``, ``"vectors"``.
        recipe: departures from the default settings, by name, on top of those of the method.
        recipes: further ones for a method, by its name.
    """

    settings: ClassVar[type]
    task: ClassVar[type] = ClassificationTask
    has: ClassVar[frozenset[str]] = frozenset({"classes"})
    recipe: ClassVar[Mapping[str, Any]] = {}
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    @property
    def metric(self) -> Metric | None:
        """What is reported and chosen by; ``None`` for what the targets suggest."""
        return None

    @abstractmethod
    def task_sets(self, settings: Any, task: Any) -> TaskSets:
        """The three distributions of tasks, which share no class. Those of training have an attribute ``outputs``: how
        many numbers *f* predicts for an example.

        Raises:
            BadInputError: the settings cannot be worked with.
        """

    def blank_tasks(self, settings: Any, task: Any) -> TaskDistribution:
        """Training tasks of the same shapes, perhaps of blank examples: what a model is built and a run planned by
        before the data are there."""
        return self.task_sets(settings, task).training

    def resolved(self, settings: Any) -> Any:
        """The settings as a run records them: what depends on the data is said in full.

        Raises:
            BadInputError: the data cannot be used.
        """
        return settings

    def settings_like(self, other: Any) -> Any:
        """The default settings, in what decides the shape of an example those of ``other``, another problem's: what a
        learner that was trained there is evaluated with here."""
        return self.settings()

    def kept_split(self, settings: Any) -> Split | None:
        """What a run keeps beside its settings to know the classes that it was trained on; ``None`` if these say it."""
        return None

    def check_unseen(self, trained: Any, evaluated: Any) -> None:  # noqa: B027  (most have nothing to check)
        """Refuses to test, with the settings ``evaluated``, on what was trained or chosen on with ``trained``.

        Raises:
            BadInputError: the test tasks are not unseen.
        """
