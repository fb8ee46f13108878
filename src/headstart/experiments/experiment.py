"""An experiment: settings, resolved once into a problem, its task sets, a learner, and the engine that runs it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

import headstart
from headstart.distributed.processes import together, world_size
from headstart.engine.meta_gradient import MetaGradient
from headstart.errors import BadInputError
from headstart.evaluation.evaluate import evaluate
from headstart.evaluation.result import Evaluation
from headstart.experiments.build import build_learner
from headstart.experiments.optimizers import build_optimizer, build_scheduler
from headstart.experiments.settings import Settings, check
from headstart.learners.base import Learner
from headstart.learners.heads import AnyWays
from headstart.problems.problem import TaskSets
from headstart.runs.folder import RunFolder
from headstart.system.process import local_rank
from headstart.tasks.distribution import TaskDistribution, example_of, moved, outputs_of
from headstart.training.callbacks import Callback
from headstart.training.loop import train
from headstart.training.state import TrainingState
from headstart.training.validation import Validation


@dataclass(frozen=True)
class Experiment:
    """What settings stand for. Its parts are made when they are first asked for, each of them once.

    What is wrong with the settings shows when it is made, before the data are loaded and before there is a run folder:
    the learner is built for blank tasks of the right shapes.

    Attributes:
        settings: what is trained or evaluated.
        trained: what the learner was trained with, where it is evaluated with other settings; ``None`` if with these.

    Raises:
        BadInputError: the settings cannot be worked with, or a learner that was trained with ``trained`` cannot be
            evaluated with them.
    """

    settings: Settings
    trained: Settings | None = None

    def __post_init__(self) -> None:
        for settings in filter(None, (self.trained, self.settings)):
            check(settings)
        together(lambda: self.device)
        together(lambda: self.optimizer)
        together(lambda: self.engine)  # and with it the learner
        self._check_ways()
        if self.trained and self.trained.names() == self.settings.names():
            self.settings.chosen_problem.check_unseen(self.trained.problem, self.settings.problem)

    @property
    def as_trained(self) -> Settings:
        """The settings that the learner is built by."""
        return self.trained or self.settings

    def _check_ways(self) -> None:
        """Refuses tasks that a head with a fixed number of outputs does not fit."""
        ways, trained = (getattr(of.task, "ways", 0) for of in (self.settings, self.as_trained))
        outputs = outputs_of(self.blank_tasks)
        if not isinstance(self.learner, AnyWays) and (ways > outputs or ways not in (trained, outputs)):
            raise BadInputError(
                f"--ways {ways} does not fit the head of {outputs} outputs that --method "
                f"{self.settings.names()['method']} trains; choose as many ways as outputs, or a method that makes its "
                "head for the task, such as proto_net."
            )

    @cached_property
    def device(self) -> torch.device:
        """The device of the settings; of several processes on one machine, each has a GPU of its own.

        Raises:
            BadInputError: there is no such device here.
        """
        return device_called(self.settings.engine.device)

    @cached_property
    def task_sets(self) -> TaskSets:
        """Training, validation and test tasks, with their data on the device.

        Raises:
            BadInputError: the data set or the split cannot be used.
            RunStoppedError: the data set has to be downloaded and cannot be.
        """
        sets = self.settings.chosen_problem.task_sets(self.settings.problem, self.settings.task)
        training, validation, test = (moved(tasks, self.device) for tasks in sets)
        if self.trained:
            together(lambda: self._check_shape(test))
        return TaskSets(training if self.trained else self._trained_on(training), validation, test)

    def _check_shape(self, test: TaskDistribution) -> None:
        """Refuses examples of another shape than those that the learner was trained on."""
        shown, learned = (example_of(tasks) for tasks in (test, self.blank_tasks))
        if shown.shape != learned.shape:
            raise BadInputError(
                f"the run was trained on examples of {'x'.join(map(str, learned.shape))}, and cannot be evaluated on "
                f"those of {'x'.join(map(str, shown.shape))}; choose other data."
            )

    @cached_property
    def blank_tasks(self) -> TaskDistribution:
        """Training tasks of the right shapes, on which nothing can be learned."""
        of = self.as_trained
        blank = of.chosen_problem.blank_tasks(of.problem, of.task)
        return self._trained_on(moved(blank, self.device))

    def _trained_on(self, tasks: TaskDistribution) -> TaskDistribution:
        """The problem's training tasks as the method wants them."""
        wanted = self.settings.chosen_method.tasks
        return getattr(headstart, wanted).of(tasks) if wanted else tasks

    @cached_property
    def learner(self) -> Learner:
        """The learner, its weights drawn from the seed without touching the global generator.

        Raises:
            BadInputError: an argument of the model or the learner is out of its range.
        """
        example = example_of(self.blank_tasks)
        return build_learner(self.settings, tuple(example.shape), outputs_of(self.blank_tasks)).to(self.device)

    @cached_property
    def optimizer(self) -> Callable[[Sequence[Tensor]], Optimizer]:
        """The outer optimizer, waiting for the meta-parameters."""
        return build_optimizer(self.settings.outer_loop)

    @cached_property
    def engine(self) -> MetaGradient:
        """How the meta-gradient is run.

        Raises:
            BadInputError: two of its settings contradict each other.
        """
        chosen: dict[str, Any] = {"auto": None, "yes": True, "no": False}
        of = self.settings.engine
        return MetaGradient(
            self.learner,
            of.execution,
            chunk_size=of.chunk_size,
            compile=chosen.get(of.compile, of.compile),
            recompute=chosen[of.recompute],
            memory=None if of.memory is None else math.ceil(of.memory * 2**30),
            meta_steps=self.settings.outer_loop.meta_steps,
        )

    @cached_property
    def workers(self) -> int:
        """How many processes are to share the tasks: on a CPU one for each thread if the run is long enough to be
        compiled, since a compiled chunk fits in the cache of one core; otherwise one, which uses all threads.

        >>> from headstart.experiments.settings import default_settings
        >>> Experiment(default_settings().replace(workers=2)).workers
        2
        """
        of, meta_batch = self.settings.engine, self.settings.outer_loop.meta_batch
        if of.workers is not None:
            return of.workers
        if self.device.type != "cpu" or of.compile == "no" or of.execution == "loop":
            return 1
        episodes = self.blank_tasks.sample(meta_batch, torch.Generator())
        plan = self.engine.plan(self.learner.meta_params, episodes)
        return min(torch.get_num_threads(), meta_batch) if plan.compile != "no" else 1

    def train(self, run: RunFolder | None, callbacks: Sequence[Callback] = ()) -> TrainingState:
        """Trains in the run folder, or goes on training there; what is validated is what will be tested."""
        outer, steps = self.settings.outer_loop, self.settings.method.inner_steps_in_test
        return train(
            self.learner,
            self.task_sets.training,
            meta_steps=outer.meta_steps,
            meta_batch=outer.meta_batch,
            optimizer=self.optimizer,
            scheduler=build_scheduler(outer),
            validation=Validation(self.task_sets.validation, outer.validation_every, outer.validation_tasks, steps),
            seed=self.settings.run.seed,
            engine=self.engine,
            run=run,
            checkpoint_every=self.settings.run.checkpoint_every,
            stop_on_signal=True,
            callbacks=callbacks,
        )

    def test(self, learner: Learner, *, seed: int = 0, transductive: bool = True) -> Evaluation:
        """Evaluates a learner on the test tasks."""
        return evaluate(
            learner,
            self.task_sets.test,
            count=self.settings.run.test_tasks,
            seed=seed,
            inner_steps=self.settings.method.inner_steps_in_test,
            transductive=transductive,
            interval=self.settings.run.test_interval,
        )


def device_called(name: str) -> torch.device:
    """The device that ``name`` means on this machine: ``"auto"`` is a GPU where there is one.

    Raises:
        BadInputError: there is no such device here.

    >>> device_called("cpu")
    device(type='cpu')
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and world_size() > 1:
        name = f"cuda:{local_rank()}"
    try:
        device = torch.empty(0, device=name).device
        torch.Generator(device)  # which is what the tasks are drawn with there
    except (RuntimeError, AssertionError) as error:
        raise BadInputError(f"--device {name} is not to be had here; use --device cpu.") from error
    return device
