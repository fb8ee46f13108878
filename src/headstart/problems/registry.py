"""The problems that ``headstart train --problem`` knows, by name."""

from __future__ import annotations

from headstart.problems.folder import Folder
from headstart.problems.glyphs import Glyphs
from headstart.problems.omniglot import Omniglot
from headstart.problems.photographs import Photographs, PhotographSettings, SmallPhotographSettings
from headstart.problems.problem import Problem
from headstart.problems.sinusoid import Sinusoid
from headstart.problems.table import Table

PROBLEMS: dict[str, Problem] = {
    "glyphs": Glyphs(),
    "omniglot": Omniglot(),
    "sinusoid": Sinusoid(),
    "folder": Folder(),
    "table": Table(),
    "mini_imagenet": Photographs("mini_imagenet", PhotographSettings),
    "tiered_imagenet": Photographs("tiered_imagenet", PhotographSettings),
    "cifar_fs": Photographs("cifar_fs", SmallPhotographSettings),
    "fc100": Photographs("fc100", SmallPhotographSettings),
    "cub": Photographs("cub", PhotographSettings),
}


def register_problem(name: str, problem: Problem) -> None:
    """Lets the command line know a problem by its name, in the place of one that was called so before.

    >>> from headstart.problems.sinusoid import Sinusoid
    >>> register_problem("waves", Sinusoid())
    >>> sorted(PROBLEMS.pop("waves").has)
    ['vectors']
    """
    PROBLEMS[name] = problem
