"""Inner updates as compiled programs: what is written for one task is handed over to them with the whole batch."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from torch import Tensor
from torch.autograd import Function
from torch.func import vmap

from headstart.engine.compilation import Programs
from headstart.learners.checkpointing import Flat


class OverTasks:
    """Calls inner updates and their derivatives, for :class:`headstart.learners.checkpointing.Checkpointing`, each over
    the batch as a compiled program. One that draws random numbers is not compiled, since its derivative has to draw the
    same ones again.

    >>> import torch
    >>> over_tasks, double = OverTasks(), lambda x: (2 * x,)
    >>> vmap(lambda x: over_tasks("double", double, 0, (x,))[0])(torch.tensor([1.5, 2.0]))
    tensor([3., 4.])
    """

    def __init__(self) -> None:
        self.programs = Programs(may_draw=False)

    def __call__(self, key: Hashable, function: Flat, own: int, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """``function(*tensors)``; each task has its own of the first ``own`` tensors."""
        outputs: tuple[Tensor, ...] = _OverTasks.apply(self.programs, key, function, own, *tensors)  # type: ignore[no-untyped-call]
        return outputs


class _OverTasks(Function):
    """What tasks have their own of is handed over once for each of them, also where it is still the same for all: the
    first inner update is then the same function as the others."""

    @staticmethod
    def forward(programs: Programs, key: Hashable, function: Flat, own: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        return function(*tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        pass

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Any, Any]:
        (programs, key, function, own), tensors, dims = inputs[:4], [*inputs[4:]], [*in_dims[4:]]
        for place in range(own):
            if dims[place] is None:
                tensors[place], dims[place] = tensors[place].expand(info.batch_size, *tensors[place].shape), 0
        outputs = programs((key, *dims), vmap(function, tuple(dims), randomness=info.randomness), *tensors)
        return outputs, (0,) * len(outputs)
