"""A whole experiment: train in a run folder, test, and test again later."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer

from headstart.datasets.image_classes import ImageClasses
from headstart.distributed.processes import from_first, rank, together
from headstart.engine.planning import choose_plan
from headstart.errors import BadInputError
from headstart.experiments.building import (
    build_engine,
    build_learner,
    build_optimizer,
    build_scheduler,
    build_training_tasks,
    build_unseen_tasks,
    device_of,
    load_classes,
)
from headstart.experiments.config import Config, check
from headstart.experiments.methods import METHODS
from headstart.learners.base import Learner
from headstart.runs.folder import RunFolder, check_fits
from headstart.tasks.distribution import TaskDistribution
from headstart.tasks.sinusoid import SinusoidTasks
from headstart.tasks.supervised import SupervisedTasks
from headstart.training.loop import train
from headstart.training.state import TrainingState
from headstart.training.validation import Validation


class Experiment(NamedTuple):
    """The three task sets, and who learns from the first."""

    train: TaskDistribution
    validation: TaskDistribution
    test: TaskDistribution
    learner: Learner
    optimizer: Callable[[Iterable[Tensor]], Optimizer]


def prepare(config: Config) -> Experiment:
    """Checks the configuration and makes its parts: whatever is wrong with it shows before there is a run folder.

    Raises:
        BadInputError: settings contradict each other, or the data set or the split cannot be used.
        RunStoppedError: the data set has to be downloaded and cannot be.
    """
    check(config)
    together(lambda: device_of(config))
    optimizer = build_optimizer(config)
    if config.data == "sinusoid":
        unseen = tasks_for_test(config)
        tasks = SinusoidTasks(shots=config.shots_in_training, queries=config.queries)
        return Experiment(tasks, unseen, unseen, build_learner(config, outputs=1), optimizer)
    classes = load_classes(config)
    training = build_training_tasks(config, classes.train)
    outputs = training.class_count if isinstance(training, SupervisedTasks) else config.ways
    validation, test = (build_unseen_tasks(config, part) for part in (classes.validation, classes.test))
    return Experiment(training, validation, test, build_learner(config, outputs), optimizer)


def check_unseen(trained: Config, evaluated: Config) -> None:
    """Checks that another split of the same data set does not test on what the run was trained or chosen on.

    Raises:
        BadInputError: it does; the sentence says on how many classes.
    """
    if trained.data != evaluated.data or trained.split == evaluated.split:
        return
    parts = load_classes(trained)
    seen = {*parts.train.names, *parts.validation.names} & {*load_classes(evaluated).test.names}
    if seen:
        raise BadInputError(
            f"{len(seen)} test classes of --split {evaluated.split} were trained or validated on, the first of them "
            f"{min(seen)!r}: evaluate this run on its own split, {trained.split}, or train one on that split."
        )


def tasks_for_test(config: Config) -> TaskDistribution:
    """The test tasks alone.

    Raises:
        BadInputError: the data set or the split cannot be used.
        RunStoppedError: the data set has to be downloaded and cannot be.
    """
    if config.data == "sinusoid":
        return SinusoidTasks(shots=config.shots, queries=config.test_queries)
    return build_unseen_tasks(config, load_classes(config).test)


def run_training(config: Config, run: RunFolder | None, experiment: Experiment) -> TrainingState:
    """Trains in the run folder, or goes on training there; what is validated is what will be tested."""
    return train(
        experiment.learner,
        experiment.train,
        meta_steps=config.meta_steps,
        meta_batch=config.meta_batch,
        optimizer=experiment.optimizer,
        scheduler=build_scheduler(config),
        validation=Validation(
            experiment.validation, config.validation_every, config.validation_tasks, config.inner_steps_in_test
        ),
        seed=config.seed,
        engine=build_engine(config, experiment.learner),
        run=run,
        checkpoint_every=config.checkpoint_every,
        stop_on_signal=True,
    )


def workers_to_use(config: Config) -> int:
    """How many processes are to share the tasks: on a CPU one for each thread if the run is long enough to be compiled,
    since a compiled chunk fits in the cache of one core; otherwise one, which uses all threads.

    >>> workers_to_use(Config(workers=2))
    2
    """
    if config.workers is not None:
        return config.workers
    if device_of(config).type != "cpu" or config.compile == "no" or config.execution == "loop":
        return 1
    tasks = tasks_like(config)
    classes = tasks.class_count if isinstance(tasks, SupervisedTasks) else config.ways
    learner = build_learner(config, outputs=1 if config.data == "sinusoid" else classes)
    episodes = tasks.sample(config.meta_batch, torch.Generator())
    plan = choose_plan(learner, learner.meta_params, episodes, build_engine(config, learner).choices)
    return min(torch.get_num_threads(), config.meta_batch) if plan.compile != "no" else 1


def tasks_like(config: Config) -> TaskDistribution:
    """Training tasks of the configuration's shapes, with nothing on the images."""
    if config.data == "sinusoid":
        return SinusoidTasks(shots=config.shots_in_training, queries=config.queries)
    classes = config.ways * (2 if METHODS[config.method].family == "structure" else 1)  # enough for two halves
    shape = (classes, config.shots_in_training + config.queries, 1, config.image_size, config.image_size)
    blank = ImageClasses(torch.zeros(shape, dtype=torch.uint8), tuple(map(str, range(classes))))
    return build_training_tasks(config, blank)


def load_learner(config: Config, run: RunFolder | None) -> Learner:
    """The learner of a trained run, with its best meta-parameters; only rank 0 needs the run's folder.

    Raises:
        BadInputError: there are none yet, or they cannot be read, or they are another learner's.
    """
    meta_params = from_first(lambda: run.best_meta_params() if run else {})
    head = meta_params.get("model.head.weight")
    learner = build_learner(config, outputs=config.ways if head is None else len(head))
    check_fits(meta_params, learner.meta_params, Path(str(config.out)))
    learner.load_state_dict(meta_params, strict=False)
    return learner


def open_run(config: Config) -> RunFolder | None:
    """The run folder of a configuration, made or opened again by rank 0, which alone has one.

    Raises:
        BadInputError: the folder holds a run of another configuration, or something that is not a run.
        RunStoppedError: the folder cannot be written.
    """
    return together(lambda: RunFolder(run_path(config), config.record()) if rank() == 0 else None)


def run_path(config: Config) -> Path:
    """``config.out``, or a new folder under ``runs/`` that is named by the data, the method and the time."""
    if config.out:
        return config.out
    size = "" if config.data == "sinusoid" else f"-{config.ways}way"
    stem = f"{config.data}-{config.method}{size}-{config.shots}shot-{time.strftime('%Y%m%d-%H%M%S')}"
    names = [stem, *(f"{stem}-{count}" for count in range(2, 100))]
    return next(Path("runs", name) for name in names if not Path("runs", name).exists())
