"""What lies in a run folder, read and checked before it is used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from torch import Tensor

from headstart.errors import BadInputError
from headstart.params import Params

PLACES = ("out", "data_root", "path", "device", "workers")
"""Entries of a configuration that say where, not what: a run may go on in another place."""


def read_config(path: Path) -> dict[str, Any]:
    """The configuration of the run in the folder ``path``.

    Raises:
        BadInputError: the folder holds no run, or its configuration cannot be read.
    """
    if not (path / "config.json").exists():
        raise BadInputError(f"{path} is not a run folder: it holds no config.json.")
    return read_json(path / "config.json")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file of a run.

    Raises:
        BadInputError: it cannot be read, or holds something else.
    """
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BadInputError(f"{path} is not readable JSON; the run cannot be used.") from error
    if not isinstance(content, dict):
        raise BadInputError(f"{path} holds no configuration; the run cannot be used.")
    return content


def load_meta_params(path: Path, way_out: str) -> Params:
    """Meta-parameters from a safetensors file.

    Raises:
        BadInputError: the file is missing or not safetensors; ``way_out`` ends the sentence.
    """
    try:
        return tensors_from_bytes(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise BadInputError(f"{path} is not a readable safetensors file; {way_out}.") from error


def check_fits(found: Params, expected: Mapping[str, Tensor], source: Path) -> None:
    """Checks that checkpointed tensors have the names and shapes of the learner's.

    Raises:
        BadInputError: they do not; the sentence names the first that differs.
    """
    names = sorted(found.keys() ^ expected.keys())
    if names:
        place = "the checkpoint" if names[0] in found else "the learner"
        raise BadInputError(f"the checkpoint in {source} is of another learner: only {place} has {names[0]!r}.")
    for name, value in expected.items():
        if found[name].shape != value.shape:
            raise BadInputError(
                f"the checkpoint in {source} is of another learner: its {name!r} has shape {tuple(found[name].shape)}, "
                f"this learner's {tuple(value.shape)}."
            )


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
