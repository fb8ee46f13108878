"""What a run folder holds: its settings and its log, and what becomes of both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from headstart.experiments.experiment import Experiment
from headstart.experiments.run import settings_of_run
from headstart.experiments.settings import Settings
from headstart.learners.scoring import Metric
from headstart.reports.learning_curves import Log
from headstart.runs.folder import RunFolder


@dataclass(frozen=True, eq=False)
class ReadRun:
    """A run folder, the experiment that its settings stand for, and its log."""

    run: RunFolder
    experiment: Experiment
    log: Log

    @property
    def settings(self) -> Settings:
        """What was set."""
        return self.experiment.settings


def experiment_of(run: Path, /, **places: Any) -> Experiment:
    """The experiment of the run in the folder ``run``, with its settings in other ``places``.

    Raises:
        BadInputError: there is none, or its settings cannot be worked with.
    """
    return Experiment(settings_of_run(run).replace(**places))


def metric_of(experiment: Experiment) -> Metric:
    """What the experiment reports."""
    targets = experiment.blank_tasks.sample(1, torch.Generator(experiment.device)).query.targets
    return experiment.learner.metric_for(targets)
