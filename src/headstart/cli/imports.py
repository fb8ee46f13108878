"""Problems and methods from outside of the package: modules that register them, found before the flags are read."""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import tyro

from headstart.errors import BadInputError

GROUP = "headstart"
"""Of the entry points whose modules are imported whenever headstart runs."""

Imports = Annotated[tuple[str, ...], tyro.conf.arg(name="import", metavar="MODULE"), tyro.conf.UseAppendAction]
"""Flag of every command that problems or methods are named to."""


def import_extensions(names: list[str]) -> None:
    """Imports the modules of installed packages' entry points, and those called ``names``, which may lie in the folder
    that the command is given in.

    Raises:
        BadInputError: there is no such module, or it cannot be imported.
    """
    for extension in entry_points(group=GROUP):
        extension.load()
    if names and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever a module of the user's does
            raise BadInputError(f"--import {name} failed ({type(error).__name__}: {error}).") from error
