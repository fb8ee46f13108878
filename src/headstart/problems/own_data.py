"""What problems of own data share: where the data are, how their classes are split, and that all may be new."""

from __future__ import annotations

import dataclasses
import logging
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import headstart as hs
from headstart.errors import BadInputError
from headstart.problems.classes import ClassProblem, split_in_file
from headstart.problems.problem import ClassificationTask, TaskSets
from headstart.problems.settings import Natural

ALL = "all"
"""The split of data that a run was not trained on: every class is a test class."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class OwnSettings:
    """Flags of every problem of own data."""

    path: Path | None = None
    """Where the data are."""
    split: str = "auto"
    """Split of the classes: random (60, 20 and 20 % of them), random:60,20,20 (so many), own (train, val and test of a
    folder), a JSON file, or all (only to evaluate: test on every class). auto is own if there is one, or random."""
    split_seed: Natural = 0
    """Which random split."""


class OwnData(ClassProblem):
    """Classes of the user's own. A subclass lists what there is, and loads it."""

    @abstractmethod
    def blank(self, settings: Any) -> tuple[hs.LabelledExamples, hs.Split | None]:
        """The data, with inputs of the right shape but perhaps without their content, and the split that they bring.

        Raises:
            BadInputError: they cannot be used.
        """

    @abstractmethod
    def load(self, settings: Any) -> hs.LabelledExamples:
        """All examples.

        Raises:
            BadInputError: they cannot be used.
        """

    def rotations(self, settings: Any) -> dict[str, Any]:
        """How each of the three parts is turned, if it is."""
        return {}

    def split(self, settings: Any) -> hs.Split:
        """The split that ``--split`` means for the data."""
        return self._split(settings, *self._listed(settings))

    def _listed(self, settings: Any) -> tuple[tuple[str, ...], hs.Split | None]:
        data, ready = self.blank(settings)
        return data.names, ready

    def _split(self, settings: Any, names: tuple[str, ...], ready: hs.Split | None) -> hs.Split:
        kind, _, counts = settings.split.partition(":")
        if kind in ("auto", "own") and ready:
            return ready
        if kind in ("auto", "random"):
            return hs.random_split(names, numbers(counts) if counts else None, settings.split_seed)
        if settings.split == ALL:
            raise BadInputError("--split all leaves no class to train on: it is for headstart evaluate.")
        if settings.split == "own":
            raise BadInputError(f"--split own: {settings.path} has no train, val and test; choose random.")
        return split_in_file(settings.split, "auto", "random", "own", ALL)

    def tested(self, settings: Any) -> tuple[str, ...]:
        """The names of the classes that are tested on."""
        return self._listed(settings)[0] if settings.split == ALL else self.split(settings).test

    def resolved(self, settings: Any) -> Any:
        """The settings with the whole path, and the number of classes of each part."""
        names, ready = self._listed(settings)
        kind = "own" if settings.split == "auto" and ready else settings.split
        if kind in ("auto", "random"):
            counts = map(len, self._split(settings, names, None))
            kind = f"random:{','.join(map(str, counts))}"
        return dataclasses.replace(settings, path=settings.path.expanduser().resolve(), split=kind)

    def task_sets(self, settings: Any, task: ClassificationTask) -> TaskSets:
        """Tasks of the three parts of the split; of all classes in each, if ``--split all`` says so."""
        from headstart.distributed.processes import rank, together

        mine = together(lambda: self.load(settings) if rank() == 0 else None)  # who fills the cache for the others
        data = together(lambda: mine or self.load(settings))
        if settings.split == ALL:
            logger.info("%s: all %d classes to test", settings.path, len(data.names))
            test = self._tasks(data, settings, task, "test")
            return TaskSets(test, test, test)
        split = self.split(settings)
        sizes = (
            f"{len(split.train)} classes to train on, {len(split.validation)} to validate, {len(split.test)} to test"
        )
        logger.info("%s, split %s: %s", settings.path, settings.split, sizes)
        return self._sets(data, split, settings, task)

    def blank_tasks(self, settings: Any, task: ClassificationTask) -> hs.ClassificationTasks:
        """Training tasks of the right shapes; what cannot be done with the number of examples shows here."""
        data, ready = self.blank(settings)
        training: hs.ClassificationTasks = self._sets(
            data, self._split(settings, data.names, ready), settings, task
        ).training  # type: ignore[assignment]
        return training

    def _sets(self, data: hs.LabelledExamples, split: hs.Split, settings: Any, task: ClassificationTask) -> TaskSets:
        return TaskSets(
            *(self._tasks(data.choose(names), settings, task, part) for part, names in split._asdict().items())
        )

    def _tasks(
        self, data: hs.LabelledExamples, settings: Any, task: ClassificationTask, part: str
    ) -> hs.ClassificationTasks:
        sizes = (
            {"ways": task.ways_in_training, "shots": task.shots_in_training, "queries": task.queries}
            if part == "train"
            else {"ways": task.ways, "shots": task.shots, "queries": task.test_queries}
        )
        try:
            return hs.ClassificationTasks(data, rotations=self.rotations(settings).get(part), **sizes)
        except BadInputError as error:
            raise BadInputError(f"{part} classes of {settings.path}: {error}") from error

    def settings_like(self, other: Any) -> Any:
        """The default settings; every class is new to a run that was trained on ``other``."""
        return self.settings(split=ALL)

    def check_unseen(self, trained: Any, evaluated: Any) -> None:
        """Refuses classes that were trained or validated on, if the data are the same."""
        if trained.path == evaluated.path:
            super().check_unseen(trained, evaluated)


def numbers(counts: str) -> tuple[int, int, int]:
    """The three numbers of ``--split random:60,20,20``.

    Raises:
        BadInputError: they are none.

    >>> numbers("60,20,20")
    (60, 20, 20)
    """
    try:
        train, validation, test = (int(count) for count in counts.split(","))
    except ValueError as error:
        raise BadInputError(
            f"--split random:{counts} has no three numbers; write one such as random:60,20,20."
        ) from error
    return train, validation, test


def path_of(settings: Any, what: str) -> Path:
    """Where the data are.

    Raises:
        BadInputError: nobody said.
    """
    if settings.path is None:
        raise BadInputError(f"--path is missing: name {what}.")
    path: Path = settings.path.expanduser()
    return path
