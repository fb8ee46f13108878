"""The problems that ``headstart train --problem`` knows, by name."""

from __future__ import annotations

from headstart.problems.folder import Folder
from headstart.problems.glyphs import Glyphs
from headstart.problems.omniglot import Omniglot
from headstart.problems.problem import Problem
from headstart.problems.sinusoid import Sinusoid
from headstart.problems.table import Table

PROBLEMS: dict[str, Problem] = {
    "glyphs": Glyphs(),
    "omniglot": Omniglot(),
    "sinusoid": Sinusoid(),
    "folder": Folder(),
    "table": Table(),
}


def register_problem(name: str, problem: Problem) -> None:
    """Lets the command line know a problem by its name, in the place of one that was called so before.

    >>> from headstart.problems.sinusoid import Sinusoid
    >>> register_problem("waves", Sinusoid())
    >>> sorted(PROBLEMS.pop("waves").has)
    ['vectors']
    """
    PROBLEMS[name] = problem
