"""A checkpoint as files: the meta-parameters and the state's tensors in safetensors, the rest in ``state.json``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from headstart.errors import BadInputError
from headstart.params import Params
from headstart.runs.checksums import Checksum
from headstart.runs.plain_data import from_plain, to_plain
from headstart.runs.tensor_files import tensors_from_bytes, tensors_to_bytes
from headstart.system.reading import parse_json

META_PARAMS, TENSORS, STATE = "meta_params.safetensors", "state.safetensors", "state.json"
PICKLE = "state.pt"
"""Where older versions kept the state."""


class Checkpoint(NamedTuple):
    """The state of a run after ``meta_step`` meta-steps; ``state`` is plain data and tensors."""

    meta_step: int
    meta_params: Params
    state: dict[str, Any]


def folder_name(meta_step: int) -> str:
    """The name of a checkpoint's folder.

    >>> folder_name(500)
    'step-0000500'
    """
    return f"step-{meta_step:07d}"


def checkpoint_folders(folder: Path) -> dict[int, Path]:
    """The folders of checkpoints in ``folder`` by their meta-steps, in order; what is called otherwise is none."""
    names = [path.name for path in folder.glob("step-*") if re.fullmatch(r"step-[0-9]{7,18}", path.name)]
    steps = sorted(int(name.removeprefix("step-")) for name in names)
    return {step: folder / folder_name(step) for step in steps if folder_name(step) in names}


def files_of(checkpoint: Checkpoint, log: Checksum) -> dict[str, bytes]:
    """The content of a checkpoint's files by their names.

    Args:
        checkpoint: what is saved.
        log: what ``metrics.jsonl`` is at this meta-step.

    Raises:
        BadInputError: the state holds something that is no data.
    """
    tensors: Params = {}
    state = to_plain(checkpoint.state, tensors)
    record = {"meta_step": checkpoint.meta_step, "log": log, "state": state}
    return {
        META_PARAMS: tensors_to_bytes(checkpoint.meta_params),
        TENSORS: tensors_to_bytes(tensors),
        STATE: (json.dumps(record, indent=1, allow_nan=False) + "\n").encode(),
    }


def checkpoint_in(folder: Path, read: Callable[[str], bytes], way_out: str) -> Checkpoint:
    """The checkpoint in ``folder``, whose files ``read`` reads by their names.

    Raises:
        BadInputError: there is none; ``way_out`` ends the sentence.
    """
    record = record_in(folder, read, way_out)
    tensors, meta_params = (tensors_from_bytes(read(name), folder / name, way_out) for name in (TENSORS, META_PARAMS))
    try:
        state = from_plain(record["state"], tensors)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise BadInputError(f"{folder / STATE} holds no state of headstart's; {way_out}.") from error
    if not isinstance(state, dict):
        raise BadInputError(f"{folder / STATE} holds no state of headstart's; {way_out}.")
    return Checkpoint(record["meta_step"], meta_params, state)


def mark_in(folder: Path, read: Callable[[str], bytes], way_out: str) -> Checksum | None:
    """What ``metrics.jsonl`` was when the checkpoint in ``folder`` was saved; ``None`` if an older version did not say.

    Raises:
        BadInputError: there is no checkpoint; ``way_out`` ends the sentence.
    """
    return None if is_older(folder) else Checksum(*record_in(folder, read, way_out)["log"])


def is_older(folder: Path) -> bool:
    """Whether the checkpoint in ``folder`` was saved by a version that pickled the state."""
    return (folder / PICKLE).exists() and not (folder / STATE).exists()


def record_in(folder: Path, read: Callable[[str], bytes], way_out: str) -> Mapping[str, Any]:
    """The content of ``state.json``.

    Raises:
        BadInputError: it is none of headstart's, or of another checkpoint, or of an older version.
    """
    path = folder / STATE
    if is_older(folder):
        raise BadInputError(
            f"{folder} was saved by an older version of headstart, whose {PICKLE} is a pickle and is read no more: "
            "evaluate the run as it is, or train it anew."
        )
    record = parse_json(read(STATE), path, way_out)
    match record:
        case {"meta_step": int(step), "log": [int(size), str()], "state": dict()} if size >= 0:
            if folder_name(step) != folder.name:
                raise BadInputError(f"{path} is of meta-step {step}; {way_out}.")
            return dict(record)
    raise BadInputError(f"{path} holds no state of headstart's; {way_out}.")
