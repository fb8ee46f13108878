"""What is measured anew of one run: how it adapts to some tasks, and what it predicts for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from headstart.evaluation.evaluate import evaluate
from headstart.evaluation.fixed_tasks import fixed_tasks
from headstart.evaluation.result import Evaluation
from headstart.experiments.experiment import Experiment
from headstart.experiments.run import best_learner
from headstart.learners.checks import are_classes
from headstart.reports.fits import FittedTask, fits_of
from headstart.reports.predictions import PredictedTasks, class_names, predicted_classes
from headstart.reports.reading import ReadRun, metric_of
from headstart.runs.folder import RunFolder
from headstart.runs.results import read_log, read_result


@dataclass(frozen=True, eq=False)
class ReportedRun(ReadRun):
    """A run in any state, and what it reached on the test tasks, once it was tested."""

    test: Evaluation | None

    @property
    def purpose(self) -> str:
        """Which tasks a report may look at: the test tasks once the run was tested on them, and until then those of
        validation."""
        return "test" if self.test else "validation"

    @property
    def meta_step(self) -> int:
        """Meta-steps that are known to be done."""
        return max((record["meta_step"] for record in self.log), default=0)

    @property
    def log_seconds(self) -> float:
        """How long training took until then."""
        return max((record["seconds"] for record in self.log if "seconds" in record), default=0.0)

    @property
    def stopped(self) -> bool:
        """Whether training has stopped early: a log ends between two checkpoints only then."""
        return self.test is None and self.meta_step % self.settings.run.checkpoint_every > 0 and not self.trained

    @property
    def trained(self) -> bool:
        """Whether all meta-steps are done."""
        return self.meta_step >= self.settings.outer_loop.meta_steps


@dataclass(frozen=True, eq=False)
class Sample:
    """Some tasks of one purpose, and what the run makes of them.

    Attributes:
        by_inner_step: an evaluation on them over several inner steps; none of these where nothing adapts.
        fits: the curves of the first tasks, where they can be drawn.
        classes: what was predicted, in tasks of classes.
    """

    by_inner_step: Evaluation
    fits: list[FittedTask]
    classes: PredictedTasks | None


def reported_run(path: Path, experiment: Experiment) -> ReportedRun:
    """The run of an experiment in the folder ``path``, as it now stands.

    Raises:
        BadInputError: what it left cannot be read.
    """
    run = RunFolder(path)
    log = read_log(run) if (path / "metrics.jsonl").exists() else []
    test = read_result(run, "test", metric_of(experiment)) if (path / "test.json").exists() else None
    return ReportedRun(run, experiment, log, test)


def sampled(of: ReportedRun, tasks: int, inner_steps: int) -> Sample | None:
    """What the best meta-parameters so far make of ``tasks`` tasks after 0 to ``inner_steps`` inner updates, or as many
    as the test makes, if these are more; ``None`` if there are no meta-parameters yet.

    Raises:
        BadInputError: the run's meta-parameters or its data cannot be used.
    """
    if not (of.run.path / "best.safetensors").exists() and of.run.latest_checkpoint() is None:
        return None
    learner, settings, purpose = best_learner(of.experiment, of.run), of.settings, of.purpose
    unseen = getattr(of.experiment.task_sets, purpose)
    seed = 0 if of.test else settings.run.seed  # as in training and in the test
    own = settings.method.inner_steps_in_test
    steps = max(inner_steps, own) if learner.adapted_names else 0
    by_inner_step = evaluate(learner, unseen, count=tasks, seed=seed, purpose=purpose, inner_steps=steps)
    episodes = fixed_tasks(unseen, seed, purpose, range(tasks)).to(of.experiment.device)
    classes = None
    if are_classes(episodes.query.targets):
        names = class_names(unseen, seed, purpose, range(tasks), 1 + int(episodes.query.targets.max()))
        classes = PredictedTasks(
            episodes.to(torch.device("cpu")), names, predicted_classes(learner, episodes, own).cpu()
        )
    return Sample(by_inner_step, fits_of(learner, settings.chosen_problem, episodes), classes)
