"""A run folder: everything that was set, what was measured, and the checkpoints to go on from.

    config.json                     everything that was set
    metrics.jsonl                   one record per meta-step and per validation
    checkpoints/step-0000500/       the latest two: meta_params.safetensors and state.pt (optimizer, scheduler)
    best.safetensors                the meta-parameters that did best on the validation tasks
    test.json                       what the run reached on the test tasks, once evaluated
    test.safetensors                every test task's score after every inner step

Every file but the log is either as it was or complete, whenever the process is killed; the log is cut back to the
checkpoint when a run goes on. No file is read in a way that could run code.
"""

from __future__ import annotations

import io
import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor
from torch.utils._pytree import tree_map

from headstart.errors import BadInputError
from headstart.params import Params
from headstart.runs.reading import check_same, load_meta_params, read_config
from headstart.system.files import disk_errors, write_bytes

KEPT_CHECKPOINTS = 2


class Checkpoint(NamedTuple):
    """The state of a run after ``meta_step`` meta-steps."""

    meta_step: int
    meta_params: Params
    state: dict[str, Any]


class RunFolder:
    """The folder of one run, made on first use or opened again for the same configuration.

    Args:
        path: the folder.
        config: everything that was set, as JSON values; ``None`` opens the run that is there.

    Raises:
        BadInputError: the folder holds a run of another configuration, or something that is not a run.
        RunStoppedError: the folder cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = RunFolder(Path(folder, "first"), {"ways": 5})
    ...     run.save_checkpoint(Checkpoint(10, {"w": torch.tensor([1.5])}, {"seconds": 2.0}))
    ...     RunFolder(Path(folder, "first"), {"ways": 5}).latest_checkpoint()
    Checkpoint(meta_step=10, meta_params={'w': tensor([1.5000])}, state={'seconds': 2.0})
    """

    def __init__(self, path: str | Path, config: Mapping[str, Any] | None = None) -> None:
        self.path = Path(path)
        self.config = read_config(self.path) if config is None else json.loads(json.dumps(config))
        if (self.path / "config.json").exists():
            check_same(self.path, read_config(self.path), self.config)
        elif self.path.exists() and (not self.path.is_dir() or _foreign(self.path)):
            raise BadInputError(f"{self.path} exists and is not a run folder; choose another --out or empty it.")
        else:
            with disk_errors(self.path):
                self.path.mkdir(parents=True, exist_ok=True)
            write_bytes(self.path / "config.json", (json.dumps(self.config, indent=2) + "\n").encode())

    # checkpoints

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Writes the checkpoint as a folder that appears complete or not at all, and removes all but the latest two."""
        folder = self.path / "checkpoints" / f"step-{checkpoint.meta_step:07d}"
        unfinished = folder.with_name(".unfinished")
        buffer = io.BytesIO()
        torch.save(checkpoint.state, buffer)
        with disk_errors(folder):
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            write_bytes(unfinished / "meta_params.safetensors", _to_safetensors(checkpoint.meta_params, {}))
            write_bytes(unfinished / "state.pt", buffer.getvalue())
            if not folder.exists():
                unfinished.replace(folder)
            for old in self._checkpoints()[:-KEPT_CHECKPOINTS]:
                shutil.rmtree(old, ignore_errors=True)

    def latest_checkpoint(self) -> Checkpoint | None:
        """The checkpoint of the most meta-steps, or ``None`` if there is none yet.

        Raises:
            BadInputError: it cannot be read.
        """
        folders = self._checkpoints()
        if not folders:
            return None
        folder = folders[-1]
        way_out = f"delete {folder} to go on from the checkpoint before it, or start a new run"
        meta_params = load_meta_params(folder / "meta_params.safetensors", way_out)
        try:
            state = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
        except Exception as error:  # torch.load documents no closed set of exceptions for what is not its own
            raise BadInputError(f"{folder / 'state.pt'} is not a readable checkpoint; {way_out}.") from error
        if not isinstance(state, dict):
            raise BadInputError(f"{folder / 'state.pt'} is not a headstart checkpoint; {way_out}.")
        return Checkpoint(int(folder.name.removeprefix("step-")), meta_params, state)

    def _checkpoints(self) -> list[Path]:
        return sorted((self.path / "checkpoints").glob("step-*"))

    def save_best(self, meta_params: Params, notes: Mapping[str, str]) -> None:
        """Writes the best meta-parameters so far, with ``notes`` on where they come from."""
        write_bytes(self.path / "best.safetensors", _to_safetensors(meta_params, notes))

    def best_meta_params(self) -> Params:
        """What a run is evaluated by: the best meta-parameters, or the latest where nothing was validated.

        Raises:
            BadInputError: there are none yet, or they cannot be read.
        """
        if (self.path / "best.safetensors").exists():
            return load_meta_params(self.path / "best.safetensors", "train the run anew")
        if (checkpoint := self.latest_checkpoint()) is None:
            raise BadInputError(f"{self.path} holds no checkpoint yet; train it first with `headstart resume`.")
        return checkpoint.meta_params

    # the log and the results

    def append_metrics(self, records: list[dict[str, Any]]) -> None:
        """Adds one line per record to ``metrics.jsonl``; scalar tensors are written as numbers."""
        with disk_errors(self.path / "metrics.jsonl"), (self.path / "metrics.jsonl").open("a") as log:
            log.writelines(_to_json(record) + "\n" for record in records)

    def cut_metrics(self, meta_step: int) -> None:
        """Drops what was logged after ``meta_step``, a line that a kill cut short included.

        Raises:
            BadInputError: the log cannot be read.
        """
        path = self.path / "metrics.jsonl"
        if not path.exists():
            return
        try:
            lines = path.read_text().split("\n")[:-1]
            kept = [line for line in lines if json.loads(line)["meta_step"] <= meta_step]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInputError(f"{path} is not a readable log; delete it to go on without it.") from error
        write_bytes(path, "".join(line + "\n" for line in kept).encode())

    def write_json(self, name: str, content: Mapping[str, Any]) -> Path:
        """Writes a result such as ``test.json`` and returns its path."""
        path = self.path / name
        write_bytes(path, (_to_json(content, indent=2) + "\n").encode())
        return path


def _foreign(path: Path) -> bool:
    """Whether the folder holds more than what a kill while writing ``config.json`` leaves behind."""
    return any(entry.suffix != ".part" for entry in path.iterdir())


def _to_json(content: Mapping[str, Any], indent: int | None = None) -> str:
    """Scalar tensors become numbers, and what is not finite ``null``, since JSON knows no other word for it."""

    def known(value: Any) -> Any:
        number = value.item() if isinstance(value, Tensor) else value
        return None if isinstance(number, float) and not math.isfinite(number) else number

    return json.dumps(tree_map(known, dict(content)), indent=indent)


def _to_safetensors(params: Params, notes: Mapping[str, str]) -> bytes:
    tensors = {name: value.detach().cpu().contiguous() for name, value in params.items()}
    return tensors_to_bytes(tensors, metadata={**notes})
