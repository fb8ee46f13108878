"""Compiled programs of functions that come again, each time made anew: inner updates and their derivatives."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.overrides import TorchFunctionMode

from headstart.engine.compilation import compiled, kernels_alone, logged_if_it_fails, traced

logger = logging.getLogger(__name__)


class Trace(NamedTuple):
    """What a function does to tensors of certain shapes.

    Attributes:
        graph: its operations.
        switches: after how many calls it turns the recording of derivatives on or off, which is no operation.
    """

    graph: GraphModule
    switches: tuple[tuple[int, bool], ...]

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

    return Trace(traced(noted, tensors), tuple(switches.seen))


class Programs:
    """Functions of tensors that are made anew for every call, and their derivatives, each run as a compiled program.

    ``programs(key, derivative, function, tensors)`` is ``function(*tensors)``. What is called with an equal key is
    taken to be the same function; keys whose functions turn out to be the same, when they are first called, share their
    programs, as do the inner updates of most rules. From the first that cannot be compiled on they are called as they
    are; one that draws random numbers cannot, since its derivative has to draw the same ones again.

    >>> programs = Programs()
    >>> programs("double", "itself", lambda x: (2 * x,), (torch.tensor(1.5),))
    (tensor(3.),)
    """

    def __init__(self) -> None:
        self.failed = False
        self.traces: dict[tuple[Hashable, Hashable], Trace] = {}
        self.same_as: dict[Hashable, Hashable] = {}
        self.programs: dict[Hashable, Callable[..., Any]] = {}

    @torch.no_grad()
    def __call__(
        self, key: Hashable, derivative: Hashable, function: Callable[..., Any], tensors: tuple[Tensor, ...]
    ) -> Any:
        """The function's result; the first call with a new key or new shapes may take as long as compiling does."""
        tensors = tuple(tensor.detach().contiguous() for tensor in tensors)
        kind = (derivative, *((tensor.shape, tensor.dtype, tensor.device) for tensor in tensors))
        if not self.failed and (self.same_as.get(key, key), kind) not in self.programs:
            with logged_if_it_fails():
                self._add(key, kind, function, tensors)
            self.failed = (self.same_as.get(key, key), kind) not in self.programs
        return self.programs.get((self.same_as.get(key, key), kind), function)(*tensors)

    def _add(self, key: Hashable, kind: Hashable, function: Callable[..., Any], tensors: tuple[Tensor, ...]) -> None:
        started = time.perf_counter()
        found = trace(function, tensors)
        tags = {tag for node in found.graph.graph.nodes for tag in getattr(node.target, "tags", ())}
        if torch.Tag.nondeterministic_seeded in tags:
            raise RuntimeError("a model that draws random numbers is not compiled update by update")
        if key not in self.same_as:
            others = (other for other, of_kind in self.traces if of_kind == kind)
            self.same_as[key] = next((other for other in others if found.same_as(self.traces[other, kind])), key)
        where = self.same_as[key], kind
        if where not in self.programs:
            with kernels_alone():  # CUDA graphs of their own would write over what the next program still reads
                self.programs[where] = compiled(found.graph, tensors)
            self.traces[where] = found
            logger.info("compiled a part of the meta-gradient in %.0f s", time.perf_counter() - started)
