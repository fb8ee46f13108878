"""What is measured of trained runs that are to be compared."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.errors import BadInputError
from headstart.evaluation.evaluate import evaluate
from headstart.evaluation.fixed_tasks import fixed_tasks
from headstart.evaluation.paired import paired_difference
from headstart.evaluation.result import Evaluation
from headstart.experiments.run import best_learner
from headstart.reports.comparison_record import ComparedRun, Comparison, Difference
from headstart.reports.fits import fits_of
from headstart.reports.learning_curves import training_curve, validation_curve
from headstart.reports.movement import movement
from headstart.reports.reading import ReadRun, experiment_of, metric_of
from headstart.runs.config import PLACES
from headstart.runs.folder import RunFolder
from headstart.runs.results import read_log, read_result

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class FinishedRun(ReadRun):
    """A run that was tested, and what it reached."""

    test: Evaluation


def finished_run(folder: Path, /, **places: Any) -> FinishedRun:
    """The run in ``folder``, with its settings in other ``places``.

    Raises:
        BadInputError: there is none, or it was not tested, or what it left cannot be read.
    """
    run, experiment = RunFolder(folder), experiment_of(folder, **places)
    return FinishedRun(run, experiment, read_log(run), read_result(run, "test", metric_of(experiment)))


def compared(runs: Sequence[FinishedRun], tasks: int, inner_steps: int, command: str) -> Comparison:
    """The runs side by side, each evaluated anew on ``tasks`` of its test tasks after 0 to ``inner_steps`` inner
    updates, by the ``command`` that asked for it.

    Raises:
        BadInputError: a run's meta-parameters or its data cannot be used, or a number is out of its range.
    """
    labels = labels_of(runs)
    found = [measured(*run, tasks, inner_steps) for run in zip(labels, runs, strict=True)]
    tests = dict(zip(labels, (run.test for run in runs), strict=True))
    return Comparison(command, found, differences_of(tests))


def measured(label: str, of: FinishedRun, tasks: int, inner_steps: int) -> ComparedRun:
    """What the run reached, how it learned, and how it adapts, which is measured now."""
    logger.info("%s: %d test tasks after 0 to %d inner steps", of.run.path, tasks, inner_steps)
    learner, test_tasks = best_learner(of.experiment, of.run), of.experiment.task_sets.test
    steps = inner_steps if learner.adapted_names else 0
    by_inner_step = evaluate(learner, test_tasks, count=tasks, inner_steps=steps)
    episodes = fixed_tasks(test_tasks, 0, "test", range(tasks)).to(of.experiment.device)
    last = [record for record in of.log if "seconds" in record][-1]
    return ComparedRun(
        label,
        {name: value for name, value in of.settings.record().items() if name not in PLACES},
        last["meta_step"],
        last["seconds"] / 60,
        of.test.summary,
        by_inner_step.summary,
        validation_curve(of.log, of.test.metric.name),
        training_curve(of.log, of.test.metric.name),
        movement(learner, episodes, of.test.inner_steps),
        fits_of(learner, of.settings.chosen_problem, episodes),
    )


def differences_of(tests: dict[str, Evaluation]) -> list[Difference]:
    """Every run's score minus that of each before it, on the tasks that they share; none if these are not the same."""
    found = []
    if len({test.task_hash for test in tests.values()}) == 1:
        for (right, earlier), (left, later) in itertools.combinations(tests.items(), 2):
            if (later.scores[:, -1].isfinite() & earlier.scores[:, -1].isfinite()).sum() >= 2:
                found.append(Difference(left, right, *paired_difference(later, earlier)))
    return found


def check_comparable(runs: Sequence[FinishedRun]) -> None:
    """Refuses what cannot be compared.

    Raises:
        BadInputError: there are fewer than two runs, one of them twice, or runs of different problems.
    """
    if len(runs) < 2:
        raise BadInputError("a comparison needs two run folders or more: headstart compare RUN RUN.")
    paths = [run.run.path.resolve() for run in runs]
    if twice := [str(path) for path in paths if paths.count(path) > 1]:
        raise BadInputError(f"{twice[0]} is named twice; compare it with another run.")
    problems = [run.settings.names()["problem"] for run in runs]
    for problem, run in zip(problems, runs, strict=True):
        if problem != problems[0]:
            raise BadInputError(
                f"runs of different problems cannot be compared: {runs[0].run.path} is of {problems[0]}, "
                f"{run.run.path} of {problem}; compare runs of one problem."
            )


def labels_of(runs: Sequence[FinishedRun]) -> list[str]:
    """How the runs are told apart: by their methods, or else by the names of their folders, or else by their paths."""
    candidates = (
        [run.settings.names()["method"] for run in runs],
        [run.run.path.resolve().name for run in runs],
        [str(run.run.path) for run in runs],
    )
    return next(labels for labels in candidates if len({*labels}) == len(labels) or labels is candidates[-1])
