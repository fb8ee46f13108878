"""A CUDA graph without a GPU: records what a function does to tensors, and does that again, without Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from headstart.engine.cuda_graph import Recording

T = TypeVar("T")


def waits(func: Any, args: tuple[Any, ...]) -> bool:
    """Whether the host, or the size of a tensor, depends on what the operation computes."""
    if func.overloadpacket in (torch.ops.aten.index, torch.ops.aten.index_put, torch.ops.aten.index_put_):
        return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1])
    return bool({torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & set(func.tags))


class Tape(TorchDispatchMode):
    """Every operation in order; like a CUDA graph it refuses what waits for the device or comes from the host."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[tuple[Any, Any, Any, Any]] = []
        self.before: dict[int, tuple[Tensor, Tensor]] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        kwargs = kwargs or {}
        if waits(func, args):
            raise RuntimeError(f"{func} would wait for the device")
        if func is torch.ops.aten.lift_fresh.default:
            raise RuntimeError("a tensor would be made of numbers of the host")
        for argument, value in zip(func._schema.arguments, args, strict=False):
            if argument.alias_info is not None and argument.alias_info.is_write:
                for tensor in tree_leaves(value):
                    self.before.setdefault(id(tensor), (tensor, tensor.clone()))
        result = func(*args, **kwargs)
        self.operations.append((func, args, kwargs, result))
        return result

    def undo(self) -> None:
        """A CUDA graph that is recorded does nothing yet."""
        for tensor, value in self.before.values():
            tensor.copy_(value)

    def replay(self) -> None:
        """Does every operation again, on the memory of the recording."""
        for func, args, kwargs, result in self.operations:
            if func.is_view:
                continue  # the memory of the recording, under another shape
            again = func(*args, **kwargs)
            for there, here in zip(tree_leaves(result), tree_leaves(again), strict=True):
                if isinstance(there, Tensor) and there is not here:
                    there.copy_(here)


@torch.no_grad()
def record(function: Callable[[], T], generator: torch.Generator) -> Recording[T]:
    """As ``headstart.engine.cuda_graph.record``, on a CPU."""
    states = torch.get_rng_state(), generator.get_state()
    tape = Tape()
    try:
        with tape:
            result = function()
    finally:
        tape.undo()
        torch.set_rng_state(states[0])
        generator.set_state(states[1])
    return torch.no_grad()(tape.replay), result
