"""Changing the files of a run as nobody should: what the tests of run folders share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from headstart.runs.plain_data import from_plain, to_plain
from headstart.runs.tensor_files import tensors_to_bytes


def take_as_it_is(run: Path) -> Path:
    """Lets the run do without checksums, so that a change of its files is not noticed as such."""
    (run / "checksums.json").unlink()
    return run


def latest(run: Path) -> Path:
    """The folder of the latest checkpoint."""
    return max((run / "checkpoints").glob("step-*"))


def state_in(checkpoint: Path) -> dict[str, Any]:
    """The state that is saved in a checkpoint."""
    tensors = load_file(checkpoint / "state.safetensors")
    state: dict[str, Any] = from_plain(json.loads((checkpoint / "state.json").read_text())["state"], tensors)
    return state


def rewrite_state(run: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Puts what ``change`` makes of the latest state in its place."""
    checkpoint, tensors = latest(run), {}  # type: ignore[var-annotated]
    record = json.loads((checkpoint / "state.json").read_text())
    record["state"] = to_plain(change(state_in(checkpoint)), tensors)
    (checkpoint / "state.json").write_text(json.dumps(record))
    (checkpoint / "state.safetensors").write_bytes(tensors_to_bytes(tensors))
    if (run / "checksums.json").exists():
        take_as_it_is(run)
