"""What problems of classes share: their metric, their split by class, and that test classes are unseen."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import headstart as hs
from headstart.errors import BadInputError
from headstart.problems.problem import Problem


class ClassProblem(Problem):
    """N-way K-shot classification. A subclass says how its classes are split."""

    has: ClassVar[frozenset[str]] = frozenset({"classes"})

    @property
    def metric(self) -> hs.Metric:
        """The fraction of the query examples whose class is predicted."""
        return hs.ACCURACY

    @abstractmethod
    def split(self, settings: Any) -> hs.Split:
        """The names of the classes of the three task sets, known without loading an example.

        Raises:
            BadInputError: the split cannot be used.
        """

    def tested(self, settings: Any) -> tuple[str, ...]:
        """The names of the classes that are tested on."""
        return self.split(settings).test

    def check_unseen(self, trained: Any, evaluated: Any) -> None:
        """Refuses another split whose test classes were trained or validated on."""
        split = self.split(trained)
        seen = {*split.train, *split.validation} & {*self.tested(evaluated)}
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
