"""``config.json``: everything that a run was set to, and whether it is what is wanted now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headstart.errors import BadInputError
from headstart.runs.checksums import Checksums
from headstart.system.reading import parse_object

CONFIG = "config.json"
PLACES = ("out", "data_root", "path", "device", "workers")
"""Entries of a configuration that say where, not what: a run may go on in another place."""


def read_config(path: Path) -> dict[str, Any]:
    """The configuration of the run in the folder ``path``.

    Raises:
        BadInputError: the folder holds no run, or its configuration cannot be read, or is not as the run wrote it.
    """
    if not (path / CONFIG).exists():
        raise BadInputError(f"{path} is not a run folder: it holds no {CONFIG}.")
    checksums = Checksums(path)
    content = checksums.read(CONFIG, checksums.way_out)
    return parse_object(content, path / CONFIG, "the run cannot be used")


def check_same(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Checks that the run in ``path`` has the wanted configuration, wherever it is worked on.

    Raises:
        BadInputError: it has another one; the sentence names what differs.
    """
    names = [name for name in {**found, **wanted} if name not in PLACES and found.get(name) != wanted.get(name)]
    if names:
        differences = ", ".join(f"{name}: {found.get(name)} there, {wanted.get(name)} now" for name in names)
        raise BadInputError(
            f"{path} holds a run of another configuration ({differences}); "
            f"choose another --out, or go on with that run by `headstart resume {path}`."
        )
