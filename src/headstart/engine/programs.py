"""Compiled programs of functions that come again, each time made anew: inner updates and their derivatives."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.func import vmap
from torch.fx import GraphModule

from headstart.engine.compilation import compiled, compiling, kernels_alone, traced

logger = logging.getLogger(__name__)
Flat = Callable[..., tuple[Tensor, ...]]


class Programs:
    """Functions of one task's tensors that are made anew for every call, each run over the batch as a compiled program.

    ``programs(key, function, own, tensors)`` is ``function(*tensors)``. What is called with an equal key is taken to be
    the same function; functions that turn out to do the same, when they are first called, share a program, as do the
    inner updates of most rules. From the first that cannot be compiled on they are called as they are; one that draws
    random numbers cannot, since its derivative has to draw the same ones again.

    >>> programs, double = Programs(), lambda x: (2 * x,)
    >>> vmap(lambda x: programs("double", double, 0, (x,))[0])(torch.tensor([1.5, 2.0]))
    tensor([3., 4.])
    """

    def __init__(self) -> None:
        self.failed = False
        self.programs: dict[Hashable, Flat] = {}
        self.compiled: list[tuple[GraphModule, Flat]] = []

    def __call__(self, key: Hashable, function: Flat, own: int, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The function's result; the first call with a new key or new shapes may take as long as compiling does."""
        outputs: tuple[Tensor, ...] = _OverTasks.apply(self, key, function, own, *tensors)  # type: ignore[no-untyped-call]
        return outputs

    @torch.no_grad()
    def over_tasks(self, key: Hashable, function: Flat, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The result of a function of the whole batch."""
        tensors = tuple(tensor.detach().contiguous() for tensor in tensors)
        key = key, *((tensor.shape, tensor.dtype, tensor.device) for tensor in tensors)
        if key not in self.programs and not self.failed:
            with compiling(tensors):
                self.programs[key] = self._program(function, tensors)
            self.failed = key not in self.programs
        return self.programs.get(key, function)(*tensors)

    def _program(self, function: Flat, tensors: tuple[Tensor, ...]) -> Flat:
        started = time.perf_counter()
        graph = traced(function, tensors)
        if (known := next((program for other, program in self.compiled if same(graph, other)), None)) is not None:
            return known
        tags = {tag for node in graph.graph.nodes for tag in getattr(node.target, "tags", ())}
        if torch.Tag.nondeterministic_seeded in tags:
            raise RuntimeError("a model that draws random numbers is not compiled update by update")
        with kernels_alone():  # CUDA graphs of their own would write over what the next program still reads
            program = compiled(graph, tensors)
        self.compiled.append((graph, program))
        logger.info("compiled a part of the meta-gradient in %.0f s", time.perf_counter() - started)
        return program


def same(graph: GraphModule, other: GraphModule) -> bool:
    """Whether both do the same to tensors of the same shapes.

    >>> graphs = [traced(lambda x, factor=factor: factor * x, (torch.ones(2),)) for factor in (2, 2, 3)]
    >>> same(graphs[0], graphs[1]), same(graphs[0], graphs[2])
    (True, False)
    """
    here, there = graph.state_dict(), other.state_dict()
    return (
        graph.code == other.code
        and here.keys() == there.keys()
        and all(torch.equal(value, there[name]) for name, value in here.items())
    )


class _OverTasks(Function):
    """Under ``vmap`` a function is handed to the programs with the whole batch. What tasks have their own of is handed
    over once for each of them, also where it is still the same for all: the first inner update is then the same
    function as the others."""

    @staticmethod
    def forward(programs: Programs, key: Hashable, function: Flat, own: int, *tensors: Tensor) -> Any:
        return function(*tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        pass

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[Any, ...],
        programs: Programs,
        key: Hashable,
        function: Flat,
        own: int,
        *tensors: Tensor,
    ) -> tuple[Any, Any]:
        dims = list(in_dims[4:])
        batched = list(tensors)
        for place in range(own):
            if dims[place] is None:
                batched[place], dims[place] = tensors[place].expand(info.batch_size, *tensors[place].shape), 0
        over_tasks = vmap(function, tuple(dims), randomness=info.randomness)
        outputs = programs.over_tasks((key, *dims), over_tasks, tuple(batched))
        return outputs, (0,) * len(outputs)
