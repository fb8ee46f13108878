"""A run folder: everything that was set, what was measured, and the checkpoints to go on from.

    config.json                     everything that was set
    split.json                      of own data: the classes to train on, to validate and to test
    metrics.jsonl                   one record per meta-step and per validation
    checkpoints/step-0000500/       the latest two: meta_params.safetensors, and of the optimizer and the scheduler the
                                    tensors in state.safetensors and all else in state.json
    best.safetensors                the meta-parameters that did best on the validation tasks
    test.json                       what the run reached on the test tasks, once evaluated
    test.safetensors                every test task's score after every inner step
    checksums.json                  what each of these files is
    .lock                           who trains the run

Every file but the log is either as it was or complete, whenever the process is killed; the log is cut back to the
checkpoint when a run goes on. No file is read in a way that could run code, and none that is not as the run wrote it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from headstart.errors import BadInputError
from headstart.params import Params
from headstart.runs import checksums
from headstart.runs.checkpoints import (
    META_PARAMS,
    Checkpoint,
    checkpoint_folders,
    checkpoint_in,
    files_of,
    folder_name,
    mark_in,
)
from headstart.runs.checksums import Checksum, Checksums, checksum
from headstart.runs.config import CONFIG, check_same, read_config
from headstart.runs.lock import Lock
from headstart.runs.log import MetricsLog, to_json
from headstart.runs.tensor_files import tensors_from_bytes, tensors_to_bytes
from headstart.system.files import disk_errors, write_bytes
from headstart.system.reading import parse_object

BEST, LOG, CHECKPOINTS, UNFINISHED = "best.safetensors", "metrics.jsonl", "checkpoints", ".unfinished"
SPLIT_FILE = "split.json"
KEPT_CHECKPOINTS = 2
BEFORE_CONFIG = (checksums.NAME, checksums.LOCK)
"""What is written before ``config.json`` is."""


class RunFolder:
    """The folder of one run, made on first use or opened again for the same configuration.

    Args:
        path: the folder.
        config: everything that was set, as JSON values; ``None`` opens the run that is there.

    Raises:
        BadInputError: the folder holds a run of another configuration, or something that is not a run.
        RunStoppedError: the folder cannot be written.

    >>> import tempfile, torch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = RunFolder(Path(folder, "first"), {"ways": 5})
    ...     run.save_checkpoint(Checkpoint(10, {"w": torch.tensor([1.5])}, {"seconds": 2.0}))
    ...     RunFolder(Path(folder, "first"), {"ways": 5}).latest_checkpoint()
    Checkpoint(meta_step=10, meta_params={'w': tensor([1.5000])}, state={'seconds': 2.0})
    """

    def __init__(self, path: str | Path, config: Mapping[str, Any] | None = None) -> None:
        self.path = Path(path)
        self._checksums, self._lock, self._log = Checksums(self.path), Lock(self.path), MetricsLog(self.path / LOG)
        if config is None:
            self.config = read_config(self.path)
            return
        self.config = json.loads(json.dumps(config))
        if not (self.path / CONFIG).exists():
            self._make()
        check_same(self.path, read_config(self.path), self.config)

    def _make(self) -> None:
        if self.path.exists() and (not self.path.is_dir() or _foreign(self.path)):
            raise BadInputError(f"{self.path} exists and is not a run folder; choose another --out or empty it.")
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        with self._checksums.held():
            if not (self.path / CONFIG).exists():  # no other process has been faster
                self._write(CONFIG, (json.dumps(self.config, indent=2) + "\n").encode())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """A context in which no other process trains this run. What a kill has left behind is removed first.

        Raises:
            BadInputError: another process trains it.
            RunStoppedError: the folder cannot be written.
        """
        with self._lock.held():
            with self._checksums.held(), disk_errors(self.path):  # whoever evaluates the run may write meanwhile
                for part in [*self.path.glob(".*.part"), *self._checkpoints_in.glob(".*.part")]:
                    part.unlink(missing_ok=True)
                shutil.rmtree(self._checkpoints_in / UNFINISHED, ignore_errors=True)
                self._keep_latest()
            yield

    # checkpoints

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Writes the checkpoint as a folder that appears complete or not at all, and removes all but the latest two."""
        folder, unfinished = (self._checkpoints_in / name for name in (folder_name(checkpoint.meta_step), UNFINISHED))
        if folder.exists():
            return
        contents = files_of(checkpoint, self._log.mark())
        with disk_errors(folder):
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            for name, content in contents.items():
                write_bytes(unfinished / name, content)
        new = {self._name_of(folder / name): checksum(content) for name, content in contents.items()}
        with self._checksums.changing(new, self._keeps), disk_errors(folder):
            unfinished.replace(folder)
            self._keep_latest()

    def latest_step(self) -> int | None:
        """The meta-step of the latest checkpoint, or ``None`` if there is none yet."""
        return max(checkpoint_folders(self._checkpoints_in), default=None)

    def latest_checkpoint(self) -> Checkpoint | None:
        """The checkpoint of the most meta-steps, or ``None`` if there is none yet.

        Raises:
            BadInputError: it cannot be read, or is not as the run wrote it.
        """
        step = self.latest_step()
        return None if step is None else checkpoint_in(*self._reading(step))

    def save_best(self, meta_params: Params, notes: Mapping[str, str]) -> None:
        """Writes the best meta-parameters so far, with ``notes`` on where they come from."""
        self._write(BEST, tensors_to_bytes(meta_params, notes))

    def best_meta_params(self) -> Params:
        """What a run is evaluated by: the best meta-parameters, or the latest where nothing was validated.

        Raises:
            BadInputError: there are none yet, or they cannot be read, or are not as the run wrote them.
        """
        if self._checksums.has(BEST):
            return self.read_tensors(BEST, "put the right one back, or train the run anew")
        if (step := self.latest_step()) is None:
            raise BadInputError(f"{self.path} holds no checkpoint yet; train it first with `headstart resume`.")
        folder, read, way_out = self._reading(step)
        return tensors_from_bytes(read(META_PARAMS), folder / META_PARAMS, way_out)

    # the log and the results

    def append_metrics(self, records: list[dict[str, Any]]) -> None:
        """Adds one line per record to ``metrics.jsonl``; scalar tensors are written as numbers."""
        self._log.append(records)

    def cut_metrics(self, meta_step: int) -> None:
        """Drops what was logged after ``meta_step``, that of a checkpoint or 0.

        Raises:
            BadInputError: the log is not as the run wrote it.
        """
        self._log.cut(self._mark(meta_step) if meta_step else None)

    def read_metrics(self, way_out: str) -> list[dict[str, Any]]:
        """The records of the log, without a line that a kill cut short.

        Raises:
            BadInputError: there is none, or it is not as the run wrote it; ``way_out`` ends the sentence.
        """
        step = self.latest_step()
        return self._log.read(self._mark(step) if step else None, way_out)

    def write_json(self, name: str, content: Mapping[str, Any]) -> Path:
        """Writes a result such as ``test.json`` and returns its path."""
        return self._write(name, (to_json(content, indent=2) + "\n").encode())

    def write_tensors(self, name: str, tensors: Mapping[str, Tensor]) -> Path:
        """Writes a result such as ``test.safetensors`` and returns its path."""
        return self._write(name, tensors_to_bytes(tensors))

    def read_json(self, name: str, way_out: str) -> dict[str, Any]:
        """The object in a result such as ``test.json``.

        Raises:
            BadInputError: it cannot be read, or is not as the run wrote it; ``way_out`` ends the sentence.
        """
        return parse_object(self._checksums.read(name, way_out), self.path / name, way_out)

    def read_tensors(self, name: str, way_out: str) -> Params:
        """The tensors in a file such as ``test.safetensors``.

        Raises:
            BadInputError: it cannot be read, or is not as the run wrote it; ``way_out`` ends the sentence.
        """
        return tensors_from_bytes(self._checksums.read(name, way_out), self.path / name, way_out)

    # where things are

    @property
    def _checkpoints_in(self) -> Path:
        return self.path / CHECKPOINTS

    def _name_of(self, path: Path) -> str:
        return path.relative_to(self.path).as_posix()

    def _keeps(self, name: str) -> bool:
        """Whether a file that has a checksum is still wanted."""
        return not name.startswith(CHECKPOINTS) or (self.path / name).exists()

    def _keep_latest(self) -> None:
        for old in [*checkpoint_folders(self._checkpoints_in).values()][:-KEPT_CHECKPOINTS]:
            shutil.rmtree(old, ignore_errors=True)

    def _write(self, name: str, content: bytes) -> Path:
        with self._checksums.changing({name: checksum(content)}):
            write_bytes(self.path / name, content)
        return self.path / name

    def _reading(self, step: int) -> tuple[Path, Callable[[str], bytes], str]:
        """The folder of a checkpoint, what reads its files, and what to do if that fails."""
        folder = self._checkpoints_in / folder_name(step)
        way_out = f"delete {folder} to go on from the checkpoint before it, or start a new run"
        return folder, lambda name: self._checksums.read(self._name_of(folder / name), way_out), way_out

    def _mark(self, step: int) -> Checksum | None:
        return mark_in(*self._reading(step))


def _foreign(path: Path) -> bool:
    """Whether the folder holds more than what a kill while writing ``config.json`` leaves behind."""
    return any(entry.suffix != ".part" and entry.name not in BEFORE_CONFIG for entry in path.iterdir())
