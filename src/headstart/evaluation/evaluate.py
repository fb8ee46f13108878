"""Evaluating a learner on fixed tasks: its metric on each of them after every inner step."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from headstart.distributed.processes import gather_in_order, own, part_of, world_size
from headstart.engine.meta_gradient import check_targets
from headstart.engine.planning import Execution, tasks_per_chunk
from headstart.episodes import Episodes, first_of, slice_tasks
from headstart.errors import BadInputError
from headstart.evaluation.fixed_tasks import fixed_tasks, update_digest
from headstart.evaluation.one_by_one import one_by_one, sees_only_itself
from headstart.evaluation.result import Evaluation
from headstart.evaluation.scores import Predict, over_first_axis, scores_by_inner_step
from headstart.learners.base import Learner
from headstart.learners.heads import set_to
from headstart.params import Params
from headstart.randomness import derive_seed
from headstart.tasks.distribution import TaskDistribution

BLOCK = 100
"""Tasks of a round: they are drawn at a time."""


@torch.no_grad()
def evaluate(
    learner: Learner,
    tasks: TaskDistribution,
    *,
    meta_params: Params | None = None,
    count: int = 1000,
    seed: int = 0,
    purpose: str = "test",
    inner_steps: int | None = None,
    transductive: bool = True,
    execution: Execution = "auto",
    interval: float | None = None,
) -> Evaluation:
    """Adapts to ``count`` fixed tasks and takes the learner's metric on their query sets, with dropout off; the
    meta-parameters, the module's mode and the global random generator stay as they are.

    Task ``i`` is drawn from a generator derived from ``(seed, purpose, i)`` alone. A task whose inner loop diverges is
    no error: the result counts these tasks and has the median over all of them beside the mean.

    Where ``torch.distributed`` has a process group, each rank evaluates its part of the tasks, and all return the same.

    Args:
        learner: what is evaluated. If it makes its head for the task, then for as many classes as these tasks have.
        tasks: where the tasks come from.
        meta_params: the learner's own parameters if ``None``.
        count: number of tasks.
        seed: of the tasks.
        purpose: part of the seed, so that validation and test tasks differ where they share a distribution.
        inner_steps: the learner's own if ``None``.
        transductive: whether the query examples of a task are predicted together. Otherwise each is predicted in a
            batch of the support set and itself; where a prediction does not depend on the rest of its batch that is the
            same, and is found out.
        execution: ``"loop"`` takes one task after the other without ``vmap``, for models that it cannot run; all other
            forms are the same here, chunks.
        interval: ends the evaluation before ``count`` tasks, as soon as half the width of the 95 % interval of the
            result is at most this; it is looked at after every hundred tasks.

    Raises:
        BadInputError: a number is out of its range, or the model has too few outputs for the tasks.
        RankLostError: another rank is gone.

    >>> import headstart as hs
    >>> learner = hs.MAML(hs.MLP(), inner_lr=0.01)
    >>> result = evaluate(learner, hs.SinusoidTasks(shots=10, queries=10), count=20)
    >>> result.metric.name, result.inner_steps, result.scores.shape
    ('mse', 1, torch.Size([20, 2]))
    """
    steps = learner.inner_steps if inner_steps is None else inner_steps
    if count < 2 or steps < 0:
        raise BadInputError(
            f"an evaluation needs two or more tasks and no negative inner steps, not {count=}, {steps=}."
        )
    if interval is not None and not 0 < interval < math.inf:
        raise BadInputError(f"interval={interval} must be positive and finite, or None for all {count} tasks.")
    started, digest = time.perf_counter(), hashlib.sha256()
    params = learner.meta_params if meta_params is None else meta_params
    device = next(iter(params.values())).device
    rounds: Rounds | None = None
    found: list[Tensor] = []
    with evaluating(learner, device, derive_seed(seed, own(purpose), -1)):
        for start in range(0, count, BLOCK):
            episodes = fixed_tasks(tasks, seed, purpose, range(start, min(start + BLOCK, count))).to(device)
            update_digest(digest, episodes)
            if rounds is None:
                learner = set_to(learner, episodes)
                check_targets(learner, params, episodes)
                rounds = Rounds(learner, params, steps, execution, episodes, transductive, count)
            found.append(gather_in_order(rounds.scores(episodes).cpu().double()))
            result = Evaluation(
                metric=learner.metric_for(episodes.query.targets),
                scores=torch.cat(found),
                task_hash=digest.hexdigest(),
                transductive=transductive,
                seconds=time.perf_counter() - started,
            )
            if interval is not None and result.interval <= interval:
                break
    return result


class Rounds:
    """How the tasks of an evaluation are scored, round by round: chosen by those of the first."""

    def __init__(
        self,
        learner: Learner,
        params: Params,
        steps: int,
        execution: Execution,
        first: Episodes,
        transductive: bool,
        count: int,
    ) -> None:
        self.learner, self.params, self.steps = learner, params, steps
        self.predict: Predict = lambda task_params, _, query: learner.predict(task_params, query.inputs)
        self.execution: Execution = execution
        if transductive or sees_only_itself(learner, params, first):
            self.chunk = tasks_per_chunk(learner, params, first)
        else:
            passes = (steps + 1) * count // world_size()
            self.predict = one_by_one(learner, params, first, passes, execution)
            self.chunk, self.execution = BLOCK, "loop"

    def scores(self, episodes: Episodes) -> Tensor:
        """Those of this rank's part of a round, ``[task, inner step]``."""

        def task_scores(episode: Episodes) -> Tensor:
            return scores_by_inner_step(self.learner, self.params, episode, self.steps, self.predict)

        mine = part_of(len(first_of(episodes.query.targets)))
        starts = range(mine.start, mine.stop, self.chunk)
        chunks = [slice_tasks(episodes, start, min(start + self.chunk, mine.stop)) for start in starts]
        scored = [over_first_axis(task_scores, self.execution)(chunk) for chunk in chunks]
        return torch.cat([torch.empty(0, self.steps + 1, device=first_of(episodes.query.targets).device), *scored])


@contextmanager
def evaluating(learner: Learner, device: torch.device, seed: int) -> Iterator[None]:
    """A context in which dropout is off, and a random model draws from ``seed`` and not from the global generator."""
    modes = {module: module.training for module in learner.modules()}
    learner.eval()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
