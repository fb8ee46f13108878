"""The engine: how to run a learner over a batch of tasks fastest, with the same result in every form."""

from __future__ import annotations

import logging
from collections.abc import Hashable
from typing import Literal

import torch
from torch.utils._pytree import tree_leaves

from headstart.distributed.processes import from_first, share, sum_over_ranks, world_size
from headstart.engine.compilation import Programs
from headstart.engine.over_tasks import OverTasks
from headstart.engine.planning import Choices, Execution, Plan, choose_plan
from headstart.engine.settings import settings_of
from headstart.engine.work import undrawn
from headstart.episodes import Episodes, first_of, slice_tasks
from headstart.errors import BadInputError
from headstart.learners.base import Learner, Metrics
from headstart.learners.checkpointing import Checkpointing, checkpointing
from headstart.learners.checks import are_classes, check_classes
from headstart.learners.heads import AnyWays
from headstart.params import Params, add, scale

MOST_KINDS = 8
"""Different computations that are planned and compiled: a learner or a model that changes at every meta-step, in what
is no tensor, is left as it is from then on."""
logger = logging.getLogger(__name__)


class MetaGradient:
    """``learner.meta_gradient`` over the batch of tasks, in the form that this machine runs fastest.

    It chooses by itself, logs what and why, and every choice can be forced: the tasks of a batch go one after the other
    (``loop``, without ``vmap``), all at once (``vmap``) or so many at a time (``chunks``); a chunk is run eagerly,
    compiled whole or compiled update by update; and exact inner loops may be recomputed instead of kept. Where the
    program runs in several processes (``torchrun``, or ``headstart train --workers``), each of them takes its part of
    the tasks, and one all-reduce adds up their meta-gradients. All forms give the mean over the tasks and differ by
    rounding only, and by the random numbers that a model with dropout draws.

    Attributes of the learner and of its model may change between calls: numbers and the like are compiled anew (buffers
    are not, which is faster). Tensors that are neither parameters nor buffers count as constants.

    Args:
        learner: what is run.
        execution: ``"auto"``, ``"loop"``, ``"vmap"`` or ``"chunks"``.
        chunk_size: tasks per chunk; goes with ``"chunks"`` only, which without it chooses the size as ``auto`` does.
        compile: ``"whole"`` compiles the meta-gradient of a chunk in one piece; ``"updates"`` compiles one inner update
            and its derivative, however many there are; ``True`` chooses between the two by the number of operations,
            ``False`` does neither, and ``None`` compiles if ``meta_steps`` are so many that it pays.
        recompute: whether to recompute inner loops; ``None`` does it if one task would not fit in ``memory``, but not
            for ``loop``, nor if all is compiled ``"whole"``.
        memory: bytes that this process may hold; half of the machine's if ``None``.
        meta_steps: how many calls are to come; ``None`` if that is not known.

    Raises:
        BadInputError: an argument is out of its range, or two contradict each other.

    >>> import headstart as hs
    >>> learner = hs.MAML(torch.nn.Linear(2, 3))
    >>> examples = hs.Examples(torch.randn(4, 6, 2), torch.arange(3).repeat(4, 2))
    >>> run = MetaGradient(learner, execution="chunks", chunk_size=2)
    >>> gradient, metrics = run(dict(learner.named_parameters()), hs.Episodes(examples, examples))
    >>> sorted(metrics)
    ['accuracy', 'loss']
    """

    def __init__(
        self,
        learner: Learner,
        execution: Execution = "auto",
        *,
        chunk_size: int | None = None,
        compile: bool | Literal["whole", "updates"] | None = None,
        recompute: bool | None = None,
        memory: int | None = None,
        meta_steps: int | None = None,
    ) -> None:
        self.learner = learner
        self.choices = Choices(execution, chunk_size, compile, recompute, memory, meta_steps)
        self._plans: dict[Hashable, dict[Hashable, Plan]] = {}
        self._programs: dict[Hashable, Programs | Checkpointing] = {}
        self._begun: set[int] = set()
        self._settled = True

    @torch.no_grad()
    def __call__(self, meta_params: Params, episodes: Episodes) -> tuple[Params, Metrics]:
        """The meta-gradient of what this meta-step updates, and the metrics: means over the tasks of ``episodes``, the
        same on every rank.

        Raises:
            BadInputError: there are no tasks, or fewer than processes, or their targets do not fit the model's outputs.
            RunStoppedError: another process of the run is gone.
        """
        tasks = len(first_of(episodes.query.targets))
        if tasks == 0:
            raise BadInputError("a meta-gradient needs at least one task, and the batch is empty.")
        part = share(episodes)
        plan = self.plan(meta_params, episodes)
        if id(plan) not in self._begun:
            self._begin(meta_params, part, plan)
        program = self._program(plan)
        total: tuple[Params, Metrics] | None = None
        mine = len(first_of(part.query.targets))
        for start in range(0, mine, plan.chunk_size):
            stop = min(start + plan.chunk_size, mine)
            chunk, weight = slice_tasks(part, start, stop), (stop - start) / tasks
            gradient, metrics = self._chunk(meta_params, chunk, plan, program)
            found = scale(gradient, weight), scale(metrics, weight)
            total = (add(total[0], found[0]), add(total[1], found[1])) if total else found
        assert total is not None
        return sum_over_ranks(*total)

    def plan(self, meta_params: Params, episodes: Episodes) -> Plan:
        """How a batch of tasks is run, chosen once for every shape of it and all settings of the learner; rank 0
        chooses for all. For a learner that changes all the time the last choice stays.

        Raises:
            BadInputError: their targets do not fit the model's outputs.
        """
        shapes = tuple((tensor.shape, tensor.dtype, tensor.device) for tensor in tree_leaves(episodes))
        plans, kind = self._plans.setdefault(shapes, {}), settings_of(self.learner)
        if kind not in plans and len(plans) < MOST_KINDS:
            check_targets(self.learner, meta_params, episodes)
            part = share(episodes)
            chosen = from_first(lambda: choose_plan(self.learner, meta_params, part, self.choices))
            plans[kind] = chosen
        return plans.get(kind) or next(reversed(plans.values()))

    def _begin(self, meta_params: Params, part: Episodes, plan: Plan) -> None:
        """Says what was planned, and has rank 0 compile what the others then find on the disk."""
        self._begun.add(id(plan))
        processes = f" in each of {world_size()} processes" if world_size() > 1 else ""
        logger.info("meta-gradient of %d tasks%s: %s", len(first_of(part.query.targets)), processes, plan)
        if plan.compile != "no" and world_size() > 1:
            first = slice_tasks(part, 0, plan.chunk_size)
            with undrawn(part):
                from_first(lambda: bool(self._chunk(meta_params, first, plan, self._program(plan))))

    @property
    def kind_of_meta_step(self) -> Hashable:
        """What a program is of, apart from shapes: what of the learner and its model may change from one meta-step to
        the next and is no tensor."""
        trained = tuple(parameter.requires_grad for parameter in self.learner.parameters())
        return trained, *map(settings_of, self.learner.modules())

    @property
    def recomputes(self) -> bool:
        """Whether a batch was run with its inner updates recomputed, for which generators of random numbers are set
        back: nothing that a CUDA graph can do."""
        plans = [plan for plans in self._plans.values() for plan in plans.values()]
        return any(plan.recompute or plan.compile == "updates" for plan in plans)

    def _program(self, plan: Plan) -> Programs | Checkpointing | None:
        """What chunks are run by, one for every kind of meta-step that is compiled; ``None`` is the learner itself."""
        if plan.compile == "no" or not self._settled:
            return Checkpointing() if plan.recompute else None
        kind = self.kind_of_meta_step, plan.compile, plan.recompute
        if kind not in self._programs and len(self._programs) == MOST_KINDS:
            self._settled = False
            logger.info("not compiled any more: the learner or its model has changed %d times", MOST_KINDS)
            return self._program(plan)
        if kind not in self._programs:
            self._programs[kind] = Programs() if plan.compile == "whole" else Checkpointing(plan.recompute, OverTasks())
        return self._programs[kind]

    def _chunk(
        self, meta_params: Params, episodes: Episodes, plan: Plan, program: Programs | Checkpointing | None
    ) -> tuple[Params, Metrics]:
        """Buffers are arguments of programs too: as constants they could never change."""
        run = self._one_task if plan.loop else self.learner.meta_gradient
        values = {**dict(self.learner.named_buffers()), **meta_params} if program else meta_params
        if isinstance(program, Programs):
            result: tuple[Params, Metrics] = program("meta-gradient", run, values, episodes)
            return result
        with checkpointing(program):
            return run(values, episodes)

    def _one_task(self, meta_params: Params, episodes: Episodes) -> tuple[Params, Metrics]:
        """``learner.meta_gradient`` of one task, without ``vmap``."""
        episode = episodes.task(0)
        gradient, loss, predictions = self.learner.task_gradient(meta_params, episode)
        return gradient, self.learner.metrics(loss, predictions, episode.query.targets)


@torch.no_grad()
def check_targets(learner: Learner, meta_params: Params, episodes: Episodes) -> None:
    """Checks that there is an output for every class target of the tasks; on the first task, how many outputs the model
    has. A learner that makes its head for the task must be set to as many ways as there are classes.

    Raises:
        BadInputError: there is not, or it is not; the sentence names both numbers.

    >>> import headstart as hs
    >>> learner = hs.MAML(torch.nn.Linear(2, 3))
    >>> examples = hs.Examples(torch.randn(4, 6, 2), torch.arange(6).repeat(4, 1))
    >>> check_targets(learner, dict(learner.named_parameters()), hs.Episodes(examples, examples))
    Traceback (most recent call last):
    headstart.errors.BadInputError: a model with 3 outputs does not fit tasks with 6 classes; give it 6 outputs.
    """
    if not are_classes(episodes.query.targets):
        return
    classes = 1 + max(int(part.targets.max()) for part in episodes if part.targets.numel())
    if isinstance(learner, AnyWays) and episodes.support.targets.numel():
        if classes != learner.ways:
            raise BadInputError(
                f"a learner set to {learner.ways} ways does not fit tasks with {classes} classes; "
                f"set its attribute ways to {classes}."
            )
        check_classes(episodes.support.targets, learner.ways, every=learner.needs_every_class)
        return
    with undrawn(episodes):
        outputs = learner.predict(meta_params, episodes.task(0).query.inputs).shape[-1]
    if classes > outputs:
        raise BadInputError(
            f"a model with {outputs} outputs does not fit tasks with {classes} classes; give it {classes} outputs."
        )
