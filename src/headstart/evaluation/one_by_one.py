"""Inductive predictions: each query example in a batch of the support set and itself, or with others where that is the
same."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.flop_counter import FlopCounterMode

from headstart.engine.compilation import Programs
from headstart.engine.planning import SECONDS_PER_FLOP, Execution
from headstart.engine.work import undrawn
from headstart.episodes import Episodes, Examples, Tensors, first_of
from headstart.learners.base import Learner
from headstart.params import Params

TRIED = 8
"""Queries that are predicted both ways, to see whether it is the same."""
AT_ONCE = 16
"""Query examples that are predicted at a time, each with its support set."""
SECONDS_TO_COMPILE = 15
"""Of a forward pass, whatever its size; it then takes a little more than half as long."""


class OneByOne:
    """Predictions of query examples, each made in a batch of the support set and that one example.

    Args:
        learner: what predicts.
        execution: ``"loop"`` takes one example after the other without ``vmap``.
        programs: what compiles the predictions of so many examples as are made at a time; ``None`` runs them eagerly.

    Source: Nichol, Achiam and Schulman (2018), section 6.1, on transduction.
    """

    def __init__(self, learner: Learner, execution: Execution = "auto", programs: Programs | None = None) -> None:
        self.learner, self.execution, self.programs = learner, execution, programs

    def __call__(self, task_params: Params, support: Examples, query: Examples) -> Tensors:
        """What ``learner.predict`` makes of the query set, ``[example, ...]``."""
        count = len(first_of(query.targets))
        size = 1 if self.execution == "loop" else math.ceil(count / math.ceil(count / AT_ONCE))
        places = torch.arange(math.ceil(count / size) * size, device=first_of(query.targets).device)
        values = {**dict(self.learner.named_buffers()), **task_params} if self.programs else task_params
        found = []
        parts = places.clamp(max=count - 1).view(-1, size)
        for part in parts:  # all of one size, for which one program does
            arguments = values, support.inputs, tree_map(lambda inputs, part=part: inputs[part], query.inputs)
            found.append(self.programs("one by one", self.each, *arguments) if self.programs else self.each(*arguments))
        return tree_map(lambda *parts: torch.cat(parts)[:count], *found)

    def each(self, task_params: Params, support: Tensors, queries: Tensors) -> Tensors:
        """The predictions of a few query examples."""

        def predict_one(example: Tensors) -> Tensors:
            predictions = self.learner.predict(task_params, tree_map(with_one, support, example))
            return tree_map(lambda values: values[-1], predictions)

        if self.execution != "loop":
            return vmap(predict_one, randomness="different")(queries)
        one = predict_one(tree_map(lambda inputs: inputs[0], queries))
        return tree_map(lambda values: values[None], one)


def with_one(shown: Tensor, example: Tensor) -> Tensor:
    """A batch of the support set and one example more."""
    return torch.cat([shown, example[None]])


def one_by_one(
    learner: Learner, meta_params: Params, episodes: Episodes, passes: int, execution: Execution
) -> OneByOne:
    """The predictions one by one in the form that is fastest for ``passes`` query sets like the first of ``episodes``:
    compiled on a CPU, if they are so many that it pays."""
    support, query = episodes.task(0)
    examples = passes * len(first_of(query.targets))
    if execution != "auto" or first_of(query.targets).device.type != "cpu":
        return OneByOne(learner, execution)
    one = Examples(*tree_map(lambda values: values[:1], (query.inputs, query.targets)))
    with undrawn(episodes), FlopCounterMode(display=False) as flops:
        OneByOne(learner)(next(iter(learner.adaptation(meta_params, support, 0))), support, one)
    seconds = examples * flops.get_total_flops() * SECONDS_PER_FLOP
    return OneByOne(
        learner, execution, Programs(convolutions=nullcontext) if seconds > 3 * SECONDS_TO_COMPILE else None
    )


def sees_only_itself(learner: Learner, meta_params: Params, episodes: Episodes) -> bool:
    """Whether a prediction of the learner is the same whatever else is in its batch: then those of a task can be made
    together, and are inductive.

    It is tried on the first task, on copies of the model's buffers. Half of its examples become NaN, and no prediction
    of the others may change. The halves are by the digits of an example's number, so that of any two examples each was
    NaN without the other. A model may look at its batch in ways that NaN does not show, such as its size; so the first
    queries are also predicted one by one, as they would be otherwise.

    >>> import headstart as hs
    >>> tasks = hs.SinusoidTasks(shots=3, queries=3).sample(1, torch.Generator())
    >>> learners = [hs.MAML(hs.MLP(norm=norm)) for norm in ("none", "batch")]
    >>> [sees_only_itself(learner, learner.meta_params, tasks) for learner in learners]
    [True, False]
    """
    support, query = episodes.task(0)
    inputs = tree_map(lambda *parts: torch.cat(parts), support.inputs, query.inputs)
    if not all(values.is_floating_point() for values in tree_leaves(inputs)):
        return False
    number = torch.arange(len(first_of(inputs)), device=first_of(inputs).device)
    buffers = {name: value.clone() for name, value in learner.named_buffers()}
    task_params = {**buffers, **next(iter(learner.adaptation(meta_params, support, 0)))}
    few = Examples(*tree_map(lambda values: values[:TRIED], (query.inputs, query.targets)))
    with undrawn(episodes):
        alone = tree_leaves(OneByOne(learner, "loop")(task_params, support, few))
        together = tree_leaves(learner.predict(task_params, query.inputs))
        every = torch.ones(len(first_of(few.targets)), dtype=torch.bool, device=first_of(few.targets).device)
        if not all(same(there[:TRIED], one, every) for there, one in zip(together, alone, strict=True)):
            return False
        expected = tree_leaves(learner.predict(task_params, inputs))
        for digit in range((len(number) - 1).bit_length()):
            for hidden in ((number >> digit) % 2 == value for value in (0, 1)):
                try:
                    found = tree_leaves(
                        learner.predict(task_params, tree_map(lambda x, h=hidden: nan_at(x, h), inputs))
                    )
                except Exception:  # a model may refuse what is not a number, in whatever words
                    return False
                if not all(same(*pair, ~hidden) for pair in zip(found, expected, strict=True)):
                    return False
    return True


def nan_at(inputs: Tensor, hidden: Tensor) -> Tensor:
    """The inputs, of which the ``hidden`` examples are no numbers."""
    return inputs.masked_fill(hidden.view(-1, *[1] * (inputs.dim() - 1)), torch.nan)


def same(found: Any, expected: Any, shown: Tensor) -> bool:
    """Whether the predictions of the examples that are ``shown`` are equal up to rounding; not if one is not finite."""
    return bool(torch.allclose(found[shown], expected[shown], rtol=1e-3, atol=1e-5))
