"""What problems of own data share: where the data are, how their classes are split, and that all may be new."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import headstart as hs
from headstart.errors import BadInputError
from headstart.problems.classes import ClassProblem, split_in_file
from headstart.problems.problem import ClassificationTask, TaskSets
from headstart.problems.settings import Seed

ALL, NEW = "all", "new"
"""The splits of data that a run was not trained on: every class is a test class. ``new`` says that the run has seen
none of them, whatever they are called."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class OwnSettings:
    """Flags of every problem of own data."""

    path: Path | None = None
    """Where the data are."""
    split: str = "auto"
    """Split of the classes: random (60, 20 and 20 % of them), random:60,20,20 (so many), own (train, val and test of a
    folder), or a JSON file; only to evaluate, all (test on every class), or new (the same, though the run has seen some
    of their names). auto is own if there is one, or random."""
    split_seed: Seed = 0
    """Which random split."""

    @property
    def split_parts(self) -> tuple[str, tuple[int, ...], str]:
        """Of ``random:60,20,20@1f0c``: the kind of split, its counts, and the classes' digest, which a run records.

        Raises:
            BadInputError: the counts are no numbers.
        """
        kind, colon, rest = self.split.partition(":")
        counts, _, digest = rest.partition("@")
        if not colon or kind not in ("random", "own"):
            return self.split, (), ""
        try:
            train, validation, test = (int(count) for count in counts.split(","))
        except ValueError as error:
            raise BadInputError(f"--split {self.split} has no three numbers; write it as random:60,20,20.") from error
        return kind, (train, validation, test), digest

    @property
    def whole(self) -> bool:
        """Whether every class is a test class."""
        return self.split in (ALL, NEW)


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
        """How the examples of each part of the split are turned, if they are."""
        return {}

    def split(self, settings: Any) -> hs.Split:
        """The split that ``--split`` means for the data."""
        kind, counts, digest = settings.split_parts
        if settings.whole:
            raise BadInputError(f"--split {kind} leaves no class to train on: it is for headstart evaluate.")
        if kind not in ("auto", "own", "random"):
            return split_in_file(kind, "auto", "random", "own", ALL, NEW)
        data, ready = self.blank(settings)
        if kind in ("auto", "own") and ready:
            split = ready
        elif kind in ("auto", "random"):
            split = hs.random_split(data.names, counts or None, settings.split_seed)
        else:
            raise BadInputError(f"--split own: {settings.path} has no train, val and test; choose random.")
        if digest not in ("", digest_of(split)):
            raise BadInputError(
                f"the classes of {settings.path} are not those that the run was trained with: some have come, gone or "
                "been renamed since. Bring them back; or, if all are new to the run, name them with --problem as well."
            )
        return split

    def tested(self, settings: Any) -> tuple[str, ...]:
        """The names of the classes that are tested on."""
        return self.blank(settings)[0].names if settings.whole else self.split(settings).test

    def resolved(self, settings: Any) -> Any:
        """The settings with the whole path, and with how many classes each part of the split has, and which."""
        split, (kind, _, _) = self.split(settings), settings.split_parts
        if kind in ("auto", "random", "own"):
            kind = "own" if kind != "random" and self.blank(settings)[1] else "random"
            kind += f":{','.join(str(len(part)) for part in split)}@{digest_of(split)}"
        return dataclasses.replace(settings, path=settings.path.expanduser().resolve(), split=kind)

    def task_sets(self, settings: Any, task: ClassificationTask) -> TaskSets:
        """Tasks of the three parts of the split; of all classes in each, if ``--split all`` says so."""
        from headstart.distributed.processes import rank, together

        # What cannot be done shows before images are decoded.
        together(lambda: self._sets(self.blank(settings)[0], settings, task))
        mine = together(lambda: self.load(settings) if rank() == 0 else None)  # who fills the cache for the others
        sets = together(lambda: self._sets(mine or self.load(settings), settings, task))
        train, validation, test = (len(tasks.classes.names) for tasks in sets)
        parts = f"{train} classes to train on, {validation} to validate, {test} to test"
        logger.info("%s, split %s: %s", settings.path, settings.split, f"{test} classes" if settings.whole else parts)
        return TaskSets(*sets)

    def blank_tasks(self, settings: Any, task: ClassificationTask) -> hs.ClassificationTasks:
        """Training tasks of the right shapes, of as many classes as there will be."""
        data = self.blank(settings)[0]
        return self._tasks(data.choose(self.split(settings).train), settings, task, "train")

    def _sets(self, data: hs.LabelledExamples, settings: Any, task: ClassificationTask) -> list[hs.ClassificationTasks]:
        if settings.whole:
            return [self._tasks(data, settings, task, "test")] * 3
        split = self.split(settings)._asdict()
        return [self._tasks(data.choose(names), settings, task, part) for part, names in split.items()]

    def _tasks(
        self, data: hs.LabelledExamples, settings: Any, task: ClassificationTask, part: str
    ) -> hs.ClassificationTasks:
        sizes = {"ways": task.ways, "shots": task.shots, "queries": task.test_queries}
        if part == "train":
            sizes = {"ways": task.ways_in_training, "shots": task.shots_in_training, "queries": task.queries}
        try:
            return hs.ClassificationTasks(data, rotations=self.rotations(settings).get(part), **sizes)
        except BadInputError as error:
            raise BadInputError(f"{part} classes of {settings.path}: {error}") from error

    def settings_like(self, other: Any) -> Any:
        """The default settings; every class is new to a run that was trained on ``other``."""
        return self.settings(split=ALL)

    def kept_split(self, settings: Any) -> hs.Split | None:
        """The split: the settings alone do not name its classes."""
        return self.split(settings)

    def check_unseen(self, trained: Any, evaluated: Any) -> None:
        """Refuses classes that are called as some that were trained or validated on, wherever the data are now;
        unless ``--split new`` says of other data that these are others."""
        split = self.split(trained)
        elsewhere = trained.path.resolve() != path_of(evaluated, "the data").resolve()
        if elsewhere and evaluated.split == NEW:
            return
        known = {*split.train, *split.validation}
        beneath = {ending for name in known for ending in endings(name)}
        seen = [
            name
            for name in self.tested(evaluated)
            if name not in split.test and (name in beneath or not known.isdisjoint(endings(name)))
        ]
        if seen:
            way_out = f"; or, if they are others with the same names, say --split {NEW}" if elsewhere else ""
            raise BadInputError(
                f"{len(seen)} test classes of --split {evaluated.split} were trained or validated on, {min(seen)!r} "
                f"the first of them, as their names say: evaluate this run on its own split{way_out}."
            )


class OwnImages(OwnData):
    """Classes of the user's own images, turned as ``PixelSettings`` say."""

    has: ClassVar[frozenset[str]] = frozenset({"classes", "images"})

    def rotations(self, settings: Any) -> dict[str, Any]:
        """Those of the flags."""
        unseen = settings.test_rotations
        return {"train": settings.rotations, "validation": unseen, "test": unseen}


def endings(name: str) -> list[str]:
    """What a class may be called from any of the folders above it.

    >>> endings("birds/finches/zebra")
    ['birds/finches/zebra', 'finches/zebra', 'zebra']
    """
    parts = name.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]


def digest_of(split: hs.Split) -> str:
    """What the names of the classes of a split come to."""
    return hashlib.sha256(repr(tuple(split)).encode("utf-8", "surrogateescape")).hexdigest()[:8]


def path_of(settings: Any, what: str) -> Path:
    """Where the data are.

    Raises:
        BadInputError: nobody said.
    """
    if settings.path is None:
        raise BadInputError(f"--path is missing: name {what}.")
    path: Path = settings.path.expanduser()
    return path
