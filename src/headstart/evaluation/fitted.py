"""Evaluating what a user has: an *f* that was fitted to a support set, and predicts one query at a time."""

from __future__ import annotations

import hashlib
import time

import torch

from headstart.evaluation.fixed_tasks import fixed_tasks, update_digest
from headstart.evaluation.result import Evaluation
from headstart.learners.base import Learner
from headstart.tasks.distribution import TaskDistribution


@torch.no_grad()
def evaluate_fitted(learner: Learner, tasks: TaskDistribution, *, count: int = 1000, seed: int = 0) -> Evaluation:
    """The metric of ``learner.fit(support)`` on the query sets of ``count`` fixed tasks, those of :func:`evaluate`.

    It is inductive: batch norms go on with the statistics of the support set. ``evaluate(..., transductive=False)``,
    the mode of Reptile's paper, takes those of the support set and the one query instead.

    Args:
        learner: what is evaluated, at its own number of inner steps.
        tasks: where the tasks come from.
        count: number of tasks.
        seed: of the tasks.

    >>> import headstart as hs
    >>> learner = hs.MAML(hs.MLP(), inner_lr=0.01)
    >>> evaluate_fitted(learner, hs.SinusoidTasks(shots=10, queries=10), count=20).scores.shape
    torch.Size([20, 1])
    """
    started, digest, scores = time.perf_counter(), hashlib.sha256(), []
    for index in range(count):
        episodes = fixed_tasks(tasks, seed, "test", range(index, index + 1))
        update_digest(digest, episodes)
        support, query = episodes.task(0)
        metric = learner.metric_for(query.targets)
        scores.append(metric.of(learner.fit(support)(query.inputs), query.targets))
    return Evaluation(
        metric=metric,
        scores=torch.stack(scores)[:, None].double(),
        task_hash=digest.hexdigest(),
        transductive=False,
        seconds=time.perf_counter() - started,
    )
