"""``headstart train`` and ``headstart resume``: train to the last meta-step, and test."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from headstart.cli.imports import Imports
from headstart.cli.output import keep_and_report, tell
from headstart.cli.workers import in_processes
from headstart.experiments.models import MODELS
from headstart.experiments.settings import Settings
from headstart.problems.settings import Processes
from headstart.system.process import speaks

if TYPE_CHECKING:
    from headstart.experiments.experiment import Experiment

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Train(Settings):
    """Meta-train a learner, evaluate it on test tasks and leave a run folder.

    The flags and defaults shown are those of --problem, --model and --method as given; try
    `headstart train --method reptile --help`.
    """

    tensorboard: bool = False
    """Whether the metrics are also written for TensorBoard, into the run folder."""
    imports: Imports = ()
    """Module that registers a problem or a method of yours; may be given again."""

    def run_command(self, argv: list[str]) -> int:
        """Trains and tests."""
        from headstart.distributed.processes import together
        from headstart.experiments.experiment import Experiment
        from headstart.experiments.run import path_of_run

        def start(experiment: Experiment, workers: Processes) -> int:
            settings = experiment.settings.replace(out=path_of_run(experiment.settings))
            return start_training(settings, [*argv, "--out", str(settings.run.out)], workers)

        work = partial(train, tensorboard=self.tensorboard)
        return in_processes(lambda: Experiment(together(self.resolved)), work, workers_of, meta_batch_of, start)


@dataclass(frozen=True)
class Resume:
    """Go on with a run that was stopped, and test it."""

    run: tyro.conf.Positional[Path]
    """Run folder."""
    data_root: Path | None = None
    """Folder of the Omniglot zips, if not where it was."""
    path: Path | None = None
    """Folder or table of your own data, if not where it was."""
    device: str | None = None
    """Where: cpu, cuda or auto, if not where it was."""
    workers: Processes | None = None
    """Processes that share the tasks; as in training if None."""
    tensorboard: bool = False
    """Whether the metrics are also written for TensorBoard, into the run folder."""
    imports: Imports = ()
    """Module that registers a problem or a method of yours; may be given again."""

    def run_command(self, argv: list[str]) -> int:
        """Goes on, and tests."""
        from headstart.experiments.experiment import Experiment
        from headstart.experiments.run import settings_of_run

        moved = {name: getattr(self, name) for name in ("data_root", "path", "device", "workers")}

        def resolve() -> Experiment:
            return Experiment(settings_of_run(self.run).replace(**{k: v for k, v in moved.items() if v is not None}))

        def start(experiment: Experiment, workers: Processes) -> int:
            return start_training(experiment.settings, argv, workers)

        work = partial(train, tensorboard=self.tensorboard)
        return in_processes(resolve, work, workers_of, meta_batch_of, start)


def workers_of(experiment: Experiment) -> int:
    """How many processes share the tasks of a meta-step."""
    return experiment.workers


def meta_batch_of(experiment: Experiment) -> int:
    """Tasks of a meta-step."""
    return experiment.settings.outer_loop.meta_batch


def train(experiment: Experiment, tensorboard: bool) -> int:
    """Trains to the last meta-step and tests, or says how to go on if a signal came first."""
    from headstart.distributed.processes import from_first
    from headstart.experiments.run import open_run, path_of_run
    from headstart.training.callbacks import tensorboard as board_in
    from headstart.training.holding import held

    assert experiment.task_sets  # what is wrong with the data shows before there is a run folder
    path = from_first(lambda: path_of_run(experiment.settings))
    with ExitStack() as held_open:
        board = held_open.enter_context(board_in(path)) if tensorboard else None
        run = open_run(experiment.settings.replace(out=path))
        held_open.enter_context(held(run))
        logger.info("run folder %s", path)
        state = experiment.train(run, [board] if board else [])
        meta_steps = experiment.settings.outer_loop.meta_steps
        if state.stopped_by is not None:
            tell(f"stopped at meta-step {state.meta_step} of {meta_steps}; go on: headstart resume {path}")
            return 128 + state.stopped_by if speaks() else 0
        tell(f"trained {state.meta_step:,} meta-steps in {state.seconds:.0f} s, best at meta-step {state.best_step:,}")
        tell_found(experiment)
        result = experiment.test(experiment.learner)
        if run:
            keep_and_report(run, "test", result)
    return 0


def tell_found(experiment: Experiment) -> None:
    """Says what the model has chosen, if it had a choice."""
    if found := MODELS[experiment.settings.model.model].found(experiment.settings.model, experiment.learner.model):
        tell(found)


def start_training(settings: Settings, argv: list[str], workers: Processes) -> int:
    """Runs the command in several processes; of a run that they cannot finish, says what is kept of it."""
    from headstart.distributed.launch import launch
    from headstart.errors import RunStoppedError
    from headstart.runs.folder import RunFolder
    from headstart.training.stopping import what_is_kept

    path = Path(str(settings.run.out))
    try:
        return launch(argv, workers)
    except RunStoppedError as error:
        run = RunFolder(path) if path.exists() else None
        way_out = f"; go on: headstart resume {path}" if run else ""
        raise RunStoppedError(f"{error} ({what_is_kept(run)}){way_out}") from error
