"""Evaluating a learner on fixed tasks: accuracy or error after every inner step, with its interval over the tasks."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap
from torch.utils._pytree import tree_leaves, tree_map

from headstart.distributed.processes import gather_in_order, own, part_of
from headstart.engine.meta_gradient import check_targets
from headstart.engine.planning import Execution, tasks_per_chunk
from headstart.episodes import Episodes, Examples, slice_tasks
from headstart.errors import BadInputError
from headstart.learners.base import Learner
from headstart.params import Params
from headstart.randomness import derive_generator, derive_seed
from headstart.tasks.distribution import TaskDistribution

BLOCK = 100
"""Tasks that are drawn at a time."""
AT_ONCE = 16
"""What ``vmap`` takes at once: tasks of a chunk, or, in the inductive mode, query examples with their support sets."""
NORMAL_QUANTILE = 1.96
"""Half the width of a 95 % interval, in standard errors of the mean."""


@dataclass(frozen=True)
class Evaluation:
    """What a learner reached on ``tasks`` tasks.

    Attributes:
        metric: ``"accuracy"``, a fraction of the query examples, or ``"mse"``, the mean squared error.
        by_inner_step: the metric's mean over the tasks after 0, 1, ..., ``inner_steps`` inner updates.
        interval_by_inner_step: half the width of its 95 % interval over the tasks.
        tasks: number of tasks.
        task_hash: SHA-256 of every input and target of the tasks; equal hashes mean equal tasks.
        transductive: whether a query example was predicted together with the others of its task, which batch norm uses;
            otherwise each was predicted together with the support set alone (inductive).
        seconds: wall-clock time of the evaluation.
    """

    metric: str
    by_inner_step: tuple[float, ...]
    interval_by_inner_step: tuple[float, ...]
    tasks: int
    task_hash: str
    transductive: bool
    seconds: float

    @property
    def value(self) -> float:
        """The metric after the last inner step."""
        return self.by_inner_step[-1]

    @property
    def interval(self) -> float:
        """Half the width of the 95 % interval of ``value``."""
        return self.interval_by_inner_step[-1]

    @property
    def inner_steps(self) -> int:
        """Inner updates made before the last evaluation."""
        return len(self.by_inner_step) - 1

    def record(self) -> dict[str, object]:
        """What ``test.json`` holds of it."""
        return {
            self.metric: self.value,
            "interval": self.interval,
            "tasks": self.tasks,
            "task_hash": self.task_hash,
            "inner_steps": self.inner_steps,
            "transductive": self.transductive,
            "seconds": round(self.seconds, 3),
            f"{self.metric}_by_inner_step": self.by_inner_step,
            "interval_by_inner_step": self.interval_by_inner_step,
        }

    def __str__(self) -> str:
        """One line, for people."""
        unit = 100 if self.metric == "accuracy" else 1
        value, interval = (
            f"{unit * figure:.{'2f' if unit == 100 else '4g'}}" for figure in (self.value, self.interval)
        )
        value += " %" * (unit == 100)
        mode = "transductive" if self.transductive else "inductive"
        steps = f"{self.inner_steps} inner step{'s' * (self.inner_steps != 1)}"
        return (
            f"{self.metric} {value} ± {interval} "
            f"({mode}, {steps}, {self.tasks:,} tasks, task hash {self.task_hash[:12]})"
        )


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
) -> Evaluation:
    """Adapts to ``count`` fixed tasks and averages the metric on their query sets, with dropout off; the
    meta-parameters, the module's mode and the global random generator stay as they are.

    Task ``i`` is drawn from a generator derived from ``(seed, purpose, i)`` alone. Where ``torch.distributed`` has a
    process group, each rank evaluates its part of the tasks, and all return the same.

    Args:
        learner: what is evaluated.
        tasks: where the tasks come from.
        meta_params: the learner's own parameters if ``None``.
        count: number of tasks.
        seed: of the tasks.
        purpose: part of the seed, so that validation and test tasks differ where they share a distribution.
        inner_steps: the learner's own if ``None``.
        transductive: whether the query examples of a task are predicted together.
        execution: ``"loop"`` takes one task after the other without ``vmap``, for models that it cannot run; all other
            forms are the same here, chunks.

    Raises:
        BadInputError: a number is out of its range, or the model has too few outputs for the tasks.
        RankLostError: another rank is gone.

    >>> import headstart as hs
    >>> learner = hs.MAML(hs.MLP(), inner_lr=0.01)
    >>> result = evaluate(learner, hs.SinusoidTasks(shots=10, queries=10), count=20)
    >>> result.metric, result.inner_steps, len(result.by_inner_step)
    ('mse', 1, 2)
    """
    steps = learner.inner_steps if inner_steps is None else inner_steps
    if count < 2 or steps < 0:
        raise BadInputError(
            f"an evaluation needs two or more tasks and no negative inner steps, not {count=}, {steps=}."
        )
    started = time.perf_counter()
    params = learner.meta_params if meta_params is None else meta_params
    device = next(iter(params.values())).device

    def task_scores(episode: Episodes) -> Tensor:
        return scores_by_inner_step(learner, params, episode, steps, transductive, execution)

    digest = hashlib.sha256()
    scores = [torch.empty(0, steps + 1, device=device)]
    chunk = 1
    mine = part_of(count)
    with evaluating(learner, device, derive_seed(seed, own(purpose), -1)):
        for start in range(0, count, BLOCK):
            blocks = [
                tasks.sample(1, derive_generator(seed, purpose, index)).to(device)
                for index in range(start, min(start + BLOCK, count))
            ]
            episodes = concatenate(blocks)
            update_digest(digest, episodes)
            if start == 0:
                check_targets(learner, params, episodes)
                chunk = tasks_per_chunk(learner, params, episodes) if transductive else 1
            first, stop = max(start, mine.start) - start, min(start + len(blocks), mine.stop) - start
            chunks = [slice_tasks(episodes, task, min(task + chunk, stop)) for task in range(first, stop, chunk)]
            scores += [over_first_axis(task_scores, execution)(part) for part in chunks]
    by_task = gather_in_order(torch.cat(scores).double())
    interval = NORMAL_QUANTILE * by_task.std(0) / math.sqrt(count)
    return Evaluation(
        metric="mse" if episodes.query.targets.is_floating_point() else "accuracy",
        by_inner_step=tuple(by_task.mean(0).tolist()),
        interval_by_inner_step=tuple(interval.tolist()),
        tasks=count,
        task_hash=digest.hexdigest(),
        transductive=transductive,
        seconds=time.perf_counter() - started,
    )


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


def scores_by_inner_step(
    learner: Learner, meta_params: Params, episode: Episodes, steps: int, transductive: bool, execution: Execution
) -> Tensor:
    """One task's accuracy or mean squared error after 0, 1, ..., ``steps`` inner updates, ``[steps + 1]``."""
    support, query = episode
    scores = []
    for task_params in learner.adaptation(meta_params, support, steps):
        if transductive:
            predictions = learner.predict(task_params, query.inputs)
        else:
            predictions = predict_one_by_one(learner, task_params, support, query, execution)
        scores.append(score(predictions, query.targets))
    return torch.stack(scores)


def over_first_axis(function: Callable[[Any], Tensor], execution: Execution) -> Callable[[Any], Tensor]:
    """``function`` of every task or example of a batch, by ``vmap`` or, for ``"loop"``, one after the other."""
    if execution != "loop":
        return vmap(function, randomness="different", chunk_size=AT_ONCE)

    def loop(batch: Any) -> Tensor:
        count = len(tree_leaves(batch)[0])
        return torch.stack([function(tree_map(lambda values, i=i: values[i], batch)) for i in range(count)])

    return loop


def predict_one_by_one(
    learner: Learner, task_params: Params, support: Examples, query: Examples, execution: Execution
) -> Tensor:
    """Predictions of the query examples, each made in a batch of the support set and that one example.

    Source: Nichol, Achiam and Schulman (2018), section 6.1, on transduction.
    """

    def predict_one(example: Tensor) -> Tensor:
        return learner.predict(task_params, torch.cat([support.inputs, example[None]]))[-1]

    return over_first_axis(predict_one, execution)(query.inputs)


def score(predictions: Tensor, targets: Tensor) -> Tensor:
    """Accuracy for class targets, mean squared error for regression targets.

    >>> score(torch.eye(2), torch.tensor([0, 0])), score(torch.ones(2, 1), torch.zeros(2, 1))
    (tensor(0.5000), tensor(1.))
    """
    if targets.is_floating_point():
        return (predictions - targets).square().mean()
    return (predictions.argmax(-1) == targets).float().mean()


def concatenate(parts: list[Episodes]) -> Episodes:
    """One batch from several."""
    support, query = (
        Examples(torch.cat([side.inputs for side in sides]), torch.cat([side.targets for side in sides]))
        for sides in zip(*parts, strict=True)
    )
    return Episodes(support, query)


def update_digest(digest: hashlib._Hash, episodes: Episodes) -> None:
    """Feeds the tasks, one after the other, to ``digest``."""
    tensors = [tensor.cpu().contiguous().numpy() for examples in episodes for tensor in examples]
    for task in zip(*tensors, strict=True):
        for array in task:
            digest.update(array.tobytes())
