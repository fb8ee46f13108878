"""What one task costs: counted on the task itself, for the engine to choose by."""

from __future__ import annotations

import copy
import weakref
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from headstart.episodes import Episodes, first_of
from headstart.learners.base import Learner
from headstart.params import Params
from headstart.randomness import random_numbers_from, random_state


class Work(NamedTuple):
    """What one task's share of the meta-gradient takes.

    Attributes:
        operations: tensor operations.
        flops: floating-point operations of matrix products and convolutions.
        memory: bytes of the tensors that are held at once, at most.
    """

    operations: int
    flops: int
    memory: int


@torch.no_grad()
def work_of_task(learner: Learner, meta_params: Params, episodes: Episodes) -> Work:
    """The work of one task, the first of ``episodes``.

    The first two inner steps are counted, and the others taken to be like the second, so that counting takes less than
    one meta-step and less memory than the whole. Memory grows with them only where the meta-gradient goes through them.

    >>> import headstart as hs
    >>> learner = hs.MAML(torch.nn.Linear(2, 3), inner_steps=1, order=1)
    >>> examples = hs.Examples(torch.randn(4, 6, 2), torch.arange(3).repeat(4, 2))
    >>> work_of_task(learner, learner.meta_params, hs.Episodes(examples, examples)).flops  # 4 products of 6 x 2 x 3
    288
    """
    if learner.inner_steps <= 2:
        return _count(learner, learner.inner_steps, meta_params, episodes)
    first, second = (_count(learner, steps, meta_params, episodes) for steps in (1, 2))
    further = learner.inner_steps - 2
    whole = Work(*(two + further * (two - one) for one, two in zip(first, second, strict=True)))
    return whole if learner.keeps_graph else whole._replace(memory=second.memory)


def _count(learner: Learner, steps: int, meta_params: Params, episodes: Episodes) -> Work:
    short = copy.copy(learner)
    short.inner_steps = steps
    with undrawn(episodes), FlopCounterMode(display=False) as flops, _Ledger() as ledger:
        short.task_gradient(meta_params, episodes.task(0))
    return Work(ledger.operations, flops.get_total_flops(), ledger.peak)


@torch.no_grad()
def largest_tensor(learner: Learner, meta_params: Params, episodes: Episodes) -> int:
    """Bytes of the largest tensor that predicting one task's support or query set makes.

    >>> import headstart as hs
    >>> learner = hs.MAML(torch.nn.Linear(2, 3))
    >>> examples = hs.Examples(torch.randn(4, 6, 2), torch.arange(3).repeat(4, 2))
    >>> largest_tensor(learner, dict(learner.named_parameters()), hs.Episodes(examples, examples))  # 6 x 3 floats
    72
    """
    with undrawn(episodes), _Ledger() as ledger:
        for part in episodes.task(0):
            if first_of(part.targets).numel():  # the support set of supervised training is empty
                learner.predict(meta_params, part.inputs)
    return int(ledger.largest)


def undrawn(episodes: Episodes) -> AbstractContextManager[None]:
    """A context after which the random numbers drawn in it are still to come: a model with dropout must not notice that
    it was asked something."""
    return random_numbers_from(random_state([first_of(episodes.query.targets)]))


class _Ledger(TorchDispatchMode):
    """Counts the operations while it is on, and the bytes of what they make: of the largest tensor, and of all that are
    alive at once."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations = self.largest = self.held = self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        self.operations += 1
        made = () if func.is_view or func._schema.is_mutable else tree_leaves(result)
        for tensor in (leaf for leaf in made if isinstance(leaf, Tensor)):
            self._hold(tensor.nbytes)
            weakref.finalize(tensor, self._hold, -tensor.nbytes)
            self.largest = max(self.largest, tensor.nbytes)
        return result

    def _hold(self, size: int) -> None:
        self.held += size
        self.peak = max(self.peak, self.held)
