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
"""Tasks that ``vmap`` takes at once."""
Predict = Callable[[Params, Examples, Examples], Tensors]
"""``(task_params, support, query) -> predictions`` of the query set."""


def scores_by_inner_step(
    learner: Learner, meta_params: Params, episode: Episodes, steps: int, predict: Predict
) -> Tensor:
    """One task's metric after 0, 1, ..., ``steps`` inner updates, ``[steps + 1]``."""
    support, query = episode
    metric = learner.metric_for(query.targets)
    path = learner.adaptation(meta_params, support, steps)
    return torch.stack([metric.of(predict(task_params, support, query), query.targets) for task_params in path])


def over_first_axis(function: Callable[[Any], Any], execution: Execution) -> Callable[[Any], Any]:
    """``function`` of every task of a batch, by ``vmap`` or, for ``"loop"``, one after the other."""
    if execution != "loop":
        return vmap(function, randomness="different", chunk_size=AT_ONCE)

    def loop(batch: Any) -> Any:
        count = len(tree_leaves(batch)[0])
        results = [function(tree_map(lambda values, i=i: values[i], batch)) for i in range(count)]
        return tree_map(lambda *values: torch.stack(values), *results)

    return loop
