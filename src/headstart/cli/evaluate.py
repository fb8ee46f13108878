"""``headstart evaluate``: a trained run on test tasks, of its own problem or of another one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from headstart.cli.imports import Imports
from headstart.cli.output import keep_and_report
from headstart.cli.workers import in_processes
from headstart.errors import BadInputError, RunStoppedError
from headstart.experiments.settings import Settings, choices_of, default_settings
from headstart.problems.settings import Count, Natural, Processes, Rate, Seed, Several

if TYPE_CHECKING:
    from headstart.experiments.experiment import Experiment

LABELS = {
    "problem": "{}",
    "path": "{}",
    "polarity": "{}",
    "split": "{}",
    "ways": "{}ways",
    "shots": "{}shots",
    "test_queries": "{}queries",
    "test_tasks": "{}tasks",
    "test_interval": "{}interval",
    "test_inner_steps": "{}steps",
}
"""What can be changed of a run's settings, and how the name of the result says so."""
PLACES = ("device", "workers")
"""What can be changed of where it is worked on."""
DATA = ("data_root", "path")
"""What says where the data are: those of training, if they have been moved, or those of the --problem that is named."""


@dataclass(frozen=True)
class Evaluate:
    """Evaluate a trained run on test tasks: of its own problem, or of another one."""

    run: tyro.conf.Positional[Path]
    """Run folder."""
    problem: Annotated[str | None, choices_of("problem")] = None
    """Problem of the test tasks; the run's own if None."""
    data_root: Path | None = None
    """Folder of the Omniglot zips, if not where it was."""
    path: Path | None = None
    """Folder or table of your own: with --problem other data, without it those of the run, if not where they were."""
    polarity: Literal["as_is", "inverted"] | None = None
    """inverted makes a folder's dark drawings bright, as glyphs and Omniglot are; as_is or as trained if None."""
    device: str | None = None
    """Where: cpu, cuda or auto, if not where it was."""
    workers: Processes | None = None
    """Processes that share the tasks; if None as many as --workers said in training, or one."""
    split: str | None = None
    """Split that the test classes come from: random, lake, all, new or a JSON file; the run's own if None."""
    ways: Count | None = None
    """Classes per task; as trained if None. Other ones need a method that makes its head for the task."""
    shots: Count | None = None
    """Support examples per class; as trained if None."""
    test_queries: Count | None = None
    """Query examples per class; as trained if None."""
    test_tasks: Several | None = None
    """Number of test tasks, at most; as trained if None."""
    test_interval: Rate | None = None
    """Half the 95 % interval at which the test ends, looked at after every hundred tasks; as trained if None."""
    test_inner_steps: Natural | None = None
    """Inner updates; as trained if None."""
    test_seed: Seed = 0
    """Of the test tasks; the same seed draws the same tasks."""
    inductive: bool = False
    """Predict each query example in a batch of the support set and itself, not together with the other queries."""
    imports: Imports = ()
    """Module that registers a problem or a method of yours; may be given again."""

    def run_command(self, argv: list[str]) -> int:
        """Evaluates, in this process or in several."""
        from headstart.experiments.experiment import Experiment

        return in_processes(
            resolve=lambda: Experiment(*self.settings()),
            work=self.evaluate,
            workers=lambda experiment: experiment.settings.engine.workers or 1,
            tasks=lambda experiment: experiment.settings.run.test_tasks,
            start=lambda _, workers: start_evaluation(argv, workers),
        )

    def settings(self) -> tuple[Settings, Settings]:
        """What is evaluated: what the run was trained with, but for what this evaluation changes. And what it was
        trained with.

        Raises:
            BadInputError: it is no run, or was trained on tasks of another kind.
        """
        from headstart.experiments.run import settings_of_run

        trained = settings_of_run(self.run)
        given = {name: getattr(self, name) for name in (*LABELS, *PLACES, *DATA) if name != "problem"}
        changed = {name: value for name, value in given.items() if value is not None}
        moved = {*PLACES} if self.of_other_data(trained) else {*PLACES, *DATA}
        places = {name: changed[name] for name in changed.keys() & trained.record().keys() & moved}
        settings = self.unchanged(trained).replace(**trained.task.sizes_in_training, **changed)
        return settings, trained.replace(**places)

    def of_other_data(self, trained: Settings) -> bool:
        """Whether the test tasks are of other data than those that the run was trained on."""
        return self.problem is not None and (self.problem != trained.names()["problem"] or self.path is not None)

    def unchanged(self, trained: Settings) -> Settings:
        """What the run is evaluated with where this evaluation changes nothing."""
        return on_problem(trained, str(self.problem)) if self.of_other_data(trained) else trained

    def evaluate(self, experiment: Experiment) -> int:
        """Evaluates the run, and keeps the result beside it, named by what was changed."""
        from headstart.experiments.run import best_learner, read_run

        run = read_run(self.run)
        learner = best_learner(experiment, run)
        result = experiment.test(learner, seed=self.test_seed, transductive=not self.inductive)
        trained, evaluated = experiment.as_trained.record(), experiment.settings.record()
        trained = {**self.unchanged(experiment.as_trained).record(), "problem": trained["problem"]}
        changed = {name: value for name, value in evaluated.items() if value != trained.get(name) and name in LABELS}
        labels = [LABELS[name].format(in_words(changed[name])) for name in LABELS if name in changed]
        labels += ["inductive"] * self.inductive + [f"seed{self.test_seed}"] * (self.test_seed != 0)
        if run:
            keep_and_report(run, "-".join(["test", *labels]), result, changed)
        return 0


def in_words(value: object) -> str:
    """A changed setting as a part of a file's name: a path by its last part alone.

    >>> in_words("drawings/mine.csv"), in_words(0.005)
    ('mine', '0.005')
    """
    return f"{value:g}" if isinstance(value, float) else Path(str(value)).stem


def on_problem(trained: Settings, name: str) -> Settings:
    """The settings of a run with another problem for its test tasks.

    Raises:
        BadInputError: the run was trained on tasks of another kind.
    """
    other = default_settings(name, trained.method.method)
    if type(other.task) is not type(trained.task):
        raise BadInputError(
            f"a run that was trained on {trained.problem.problem} cannot be evaluated on {name}, whose tasks are of "
            "another kind; name another --problem."
        )
    settings = other.chosen_problem.settings_like(trained.problem)
    return trained.with_problem(name, settings)


def start_evaluation(argv: list[str], workers: Processes) -> int:
    """Runs the command in several processes."""
    from headstart.distributed.launch import launch

    try:
        return launch(argv, workers)
    except RunStoppedError as error:
        raise RunStoppedError(f"{error}; evaluate the run again") from error
