"""Compiled programs of functions that come again, each time made anew: inner updates and their derivatives."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.func import vmap
from torch.fx import GraphModule
from torch.overrides import TorchFunctionMode

from headstart.engine.compilation import compiled, compiling, kernels_alone, traced

logger = logging.getLogger(__name__)
Flat = Callable[..., tuple[Tensor, ...]]


class Trace(NamedTuple):
    """What a function does to tensors of certain shapes.

    Attributes:
        graph: its operations.
        switches: after how many calls it turns the recording of derivatives on or off, which is no operation.
    """

    graph: GraphModule
    switches: list[tuple[int, bool]]

    def same_as(self, other: Trace) -> bool:
        """Whether both do the same, and have the same derivative.

        >>> traces = [trace(lambda x, factor=factor: factor * x, (torch.ones(2),)) for factor in (2, 2, 3)]
        >>> traces[0].same_as(traces[1]), traces[0].same_as(traces[2])
        (True, False)
        """
        here, there = self.graph.state_dict(), other.graph.state_dict()
        return (
            self.graph.code == other.graph.code
            and self.switches == other.switches
            and here.keys() == there.keys()
            and all(torch.equal(value, there[name]) for name, value in here.items())
        )


class _Switches(TorchFunctionMode):
    """Notes after how many calls the recording of derivatives is turned on or off."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.seen: list[tuple[int, bool]] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch._C._set_grad_enabled:
            self.seen.append((self.calls, args[0]))
        self.calls += 1
        return func(*args, **(kwargs or {}))


def trace(function: Callable[..., Any], tensors: tuple[Tensor, ...]) -> Trace:
    """What ``function`` does to the tensors."""
    switches = _Switches()

    def noted(*inputs: Tensor) -> Any:
        with switches:
            return function(*inputs)

    return Trace(traced(noted, tensors), switches.seen)


class Programs:
    """Functions of one task's tensors that are made anew for every call, each run over the batch as a compiled program.

    ``programs(key, function, own, tensors)`` is ``function(*tensors)``. Its key is ``(name, kind)``, where one kind may
    be the derivative of another: what is called with an equal key is taken to be the same function, and names whose
    functions turn out to be the same, when they are first called, share the programs of all kinds, as do the inner
    updates of most rules. From the first that cannot be compiled on they are called as they are; one that draws random
    numbers cannot, since its derivative has to draw the same ones again.

    >>> programs, double = Programs(), lambda x: (2 * x,)
    >>> vmap(lambda x: programs(("double", "itself"), double, 0, (x,))[0])(torch.tensor([1.5, 2.0]))
    tensor([3., 4.])
    """

    def __init__(self) -> None:
        self.failed = False
        self.traces: dict[tuple[Hashable, Hashable], Trace] = {}
        self.same_as: dict[Hashable, Hashable] = {}
        self.programs: dict[tuple[Hashable, Hashable], Flat] = {}

    def __call__(
        self, key: tuple[Hashable, Hashable], function: Flat, own: int, tensors: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """The function's result; the first call with a new key or new shapes may take as long as compiling does."""
        outputs: tuple[Tensor, ...] = _OverTasks.apply(self, key, function, own, *tensors)  # type: ignore[no-untyped-call]
        return outputs

    @torch.no_grad()
    def over_tasks(
        self, name: Hashable, kind: Hashable, function: Flat, tensors: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """The result of a function of the whole batch."""
        tensors = tuple(tensor.detach().contiguous() for tensor in tensors)
        kind = kind, *((tensor.shape, tensor.dtype, tensor.device) for tensor in tensors)
        if (name, kind) not in self.programs and not self.failed:
            with compiling(tensors):
                self.programs[name, kind] = self._program(name, kind, function, tensors)
            self.failed = (name, kind) not in self.programs
        return self.programs.get((name, kind), function)(*tensors)

    def _program(self, name: Hashable, kind: Hashable, function: Flat, tensors: tuple[Tensor, ...]) -> Flat:
        started = time.perf_counter()
        first = self.same_as.get(name)
        if (first, kind) in self.programs:
            return self.programs[first, kind]
        found = trace(function, tensors)
        if first is None:
            others = (
                other for (other, of_kind), seen in self.traces.items() if of_kind == kind and found.same_as(seen)
            )
            first = self.same_as[name] = next(others, name)
            if first != name:
                return self.programs[first, kind]
        tags = {tag for node in found.graph.graph.nodes for tag in getattr(node.target, "tags", ())}
        if torch.Tag.nondeterministic_seeded in tags:
            raise RuntimeError("a model that draws random numbers is not compiled update by update")
        self.traces[first, kind] = found
        with kernels_alone():  # CUDA graphs of their own would write over what the next program still reads
            self.programs[first, kind] = compiled(found.graph, tensors)
        logger.info("compiled a part of the meta-gradient in %.0f s", time.perf_counter() - started)
        return self.programs[first, kind]


class _OverTasks(Function):
    """Under ``vmap`` a function is handed to the programs with the whole batch. What tasks have their own of is handed
    over once for each of them, also where it is still the same for all: the first inner update is then the same
    function as the others."""

    @staticmethod
    def forward(programs: Programs, key: tuple[Hashable, Hashable], function: Flat, own: int, *tensors: Tensor) -> Any:
        return function(*tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        pass

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[Any, ...],
        programs: Programs,
        key: tuple[Hashable, Hashable],
        function: Flat,
        own: int,
        *tensors: Tensor,
    ) -> tuple[Any, Any]:
        dims = list(in_dims[4:])
        batched = list(tensors)
        for place in range(own):
            if dims[place] is None:
                batched[place], dims[place] = tensors[place].expand(info.batch_size, *tensors[place].shape), 0
        name, kind = key
        over_tasks = vmap(function, tuple(dims), randomness=info.randomness)
        outputs = programs.over_tasks(name, (kind, *dims), over_tasks, tuple(batched))
        return outputs, (0,) * len(outputs)
