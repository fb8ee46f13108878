"""The run folder of an experiment: where it is, and the learner that was trained in it."""

from __future__ import annotations

import time
from pathlib import Path

from headstart.distributed.processes import from_first, rank, together
from headstart.experiments.experiment import Experiment
from headstart.experiments.records import settings_from_record
from headstart.experiments.settings import Settings
from headstart.learners.base import Learner
from headstart.runs.config import check_same, read_config
from headstart.runs.folder import RunFolder
from headstart.runs.tensor_files import check_fits


def settings_of_run(path: Path) -> Settings:
    """What the run in the folder ``path`` was trained with, its own place included; rank 0 reads it for all.

    Raises:
        BadInputError: it is no run of the command line, or of another version.
    """
    return settings_from_record(from_first(lambda: read_config(path))).replace(out=path)


def open_run(settings: Settings) -> RunFolder | None:
    """The run folder of the settings, made or opened again by rank 0, which alone has one.

    Raises:
        BadInputError: the folder holds a run of other settings, or something that is not a run.
        RunStoppedError: the folder cannot be written.
    """

    def made_or_opened() -> RunFolder | None:
        path = path_of_run(settings)
        if not (path / "config.json").exists():
            return RunFolder(path, settings.record())
        run = RunFolder(path)
        check_same(path, settings_from_record(run.config).record(), settings.record())
        return run

    return together(lambda: made_or_opened() if rank() == 0 else None)


def read_run(path: Path) -> RunFolder | None:
    """The run in the folder ``path``, opened by rank 0, which alone has one.

    Raises:
        BadInputError: there is none.
    """
    return together(lambda: RunFolder(path) if rank() == 0 else None)


def path_of_run(settings: Settings) -> Path:
    """``--out``, or a new folder under ``runs/`` that is named by the problem, the method, the task and the time."""
    if settings.run.out:
        return settings.run.out
    names = settings.names()
    ways = f"-{settings.task.ways}way" if hasattr(settings.task, "ways") else ""
    stem = f"{names['problem']}-{names['method']}{ways}-{settings.task.shots}shot-{time.strftime('%Y%m%d-%H%M%S')}"
    free = (Path("runs", name) for name in (stem, *(f"{stem}-{count}" for count in range(2, 100))))
    return next(path for path in free if not path.exists())


def best_learner(experiment: Experiment, run: RunFolder | None) -> Learner:
    """The learner of a trained run, with its best meta-parameters; only rank 0 needs the run's folder.

    Raises:
        BadInputError: there are none yet, or they cannot be read, or they are another learner's.
    """
    meta_params = from_first(lambda: run.best_meta_params() if run else {})
    learner = experiment.learner
    check_fits(meta_params, learner.meta_params, Path(str(experiment.settings.run.out)))
    learner.load_state_dict(meta_params, strict=False)
    return learner
