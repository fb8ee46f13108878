"""One task's scores: adapt, predict its query set after every inner step, and measure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap
from torch.utils._pytree import tree_leaves, tree_map

from headstart.engine.planning import Execution
from headstart.episodes import Episodes, Examples, Tensors
from headstart.learners.base import Learner
from headstart.params import Params

AT_ONCE = 16
"""What ``vmap`` takes at once: tasks of a chunk, or, in the inductive mode, query examples with their support sets."""


def scores_by_inner_step(
    learner: Learner, meta_params: Params, episode: Episodes, steps: int, transductive: bool, execution: Execution
) -> Tensor:
    """One task's metric after 0, 1, ..., ``steps`` inner updates, ``[steps + 1]``."""
    support, query = episode
    metric = learner.metric_for(query.targets)
    scores = []
    for task_params in learner.adaptation(meta_params, support, steps):
        if transductive:
            predictions = learner.predict(task_params, query.inputs)
        else:
            predictions = predict_one_by_one(learner, task_params, support, query, execution)
        scores.append(metric.of(predictions, query.targets))
    return torch.stack(scores)


def predict_one_by_one(
    learner: Learner, task_params: Params, support: Examples, query: Examples, execution: Execution
) -> Tensors:
    """Predictions of the query examples, each made in a batch of the support set and that one example.

    Source: Nichol, Achiam and Schulman (2018), section 6.1, on transduction.
    """

    def predict_one(example: Tensors) -> Tensors:
        together = tree_map(lambda shown, one: torch.cat([shown, one[None]]), support.inputs, example)
        return tree_map(lambda predictions: predictions[-1], learner.predict(task_params, together))

    return over_first_axis(predict_one, execution)(query.inputs)


def over_first_axis(function: Callable[[Any], Any], execution: Execution) -> Callable[[Any], Any]:
    """``function`` of every task or example of a batch, by ``vmap`` or, for ``"loop"``, one after the other."""
    if execution != "loop":
        return vmap(function, randomness="different", chunk_size=AT_ONCE)

    def loop(batch: Any) -> Any:
        count = len(tree_leaves(batch)[0])
        results = [function(tree_map(lambda values, i=i: values[i], batch)) for i in range(count)]
        return tree_map(lambda *values: torch.stack(values), *results)

    return loop
