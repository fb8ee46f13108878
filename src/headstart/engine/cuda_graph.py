"""A whole meta-step as one CUDA graph: drawing tasks, the meta-gradient and the outer update, launched at once."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from headstart.distributed.processes import world_size

T = TypeVar("T")
Recording = tuple[Callable[[], None], T]
"""How to do again what a function did on the GPU, and where its result then is."""
DEVICES = ("cuda",)
WARM_UPS = 3
"""Calls before one is recorded: compilers, planning and an optimizer's first step do what cannot be part of a graph."""
logger = logging.getLogger(__name__)


class Recorded(Generic[T]):
    """``function()``, which after a few calls is not called any more: what it did on the GPU is done again.

    A recording repeats the GPU's part alone, on the same memory, so that ``function`` must read nothing but tensors
    that are changed in place and random numbers of GPUs. Where it cannot be recorded, because it waits for the GPU or
    for any other reason, the log says so in one line, and from then on it is called as it is.

    Args:
        function: works on a GPU; its result is nested containers of tensors, overwritten by the next call of any kind.
        generator: of the GPU, what ``function`` draws from besides the global one; it may be seeded between calls.

    Source: PyTorch's documentation, "CUDA semantics", section "CUDA Graphs", whole-network capture.
    """

    def __init__(self, function: Callable[[], T], generator: torch.Generator) -> None:
        self.function, self.generator = function, generator
        self.calls: Counter[Hashable] = Counter()
        self.recordings: dict[Hashable, Recording[T]] = {}
        self.failed = False

    def __call__(self, kind: Hashable) -> T:
        """What ``function`` returns; there is a recording for every ``kind``, which stands for all that it depends on
        besides the values of tensors."""
        if kind not in self.recordings and not self.failed:
            self.calls[kind] += 1
            if self.calls[kind] <= WARM_UPS:
                return call_aside(self.function, self.generator.device)
            self._record(kind)
        if self.failed:
            return self.function()
        replay, result = self.recordings[kind]
        replay()
        return result

    def _record(self, kind: Hashable) -> None:
        try:
            self.recordings[kind] = record(self.function, self.generator)
        except Exception as error:  # what a GPU cannot record has no common base
            self.failed = True
            self.recordings.clear()
            why = error.__context__ or error  # the end of a recording fails with what fails in it
            reason = (str(why).splitlines() or [type(why).__name__])[0]
            logger.info("meta-steps are not launched as one CUDA graph, since they cannot be recorded: %s", reason)
        else:
            logger.info("meta-steps are launched as one CUDA graph, tasks and outer update included")


def call_aside(function: Callable[[], T], device: torch.device) -> T:
    """``function()``, done on another stream than the default one, which cannot be recorded."""
    here, aside = torch.cuda.current_stream(device), torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    aside.wait_stream(here)
    with torch.cuda.stream(aside):
        result = function()
    here.wait_stream(aside)
    return result


def record(function: Callable[[], T], generator: torch.Generator) -> Recording[T]:
    """``function()``, recorded and not yet done; where that fails, stream, generators and memory are as before.

    PyTorch leaves them as they are within a recording (pytorch/pytorch issue 171263): the generators' states are
    therefore replaced, and the graph's pool takes no more memory.
    """
    aside = torch.cuda.Stream(generator.device)  # type: ignore[no-untyped-call]
    generators = generator, torch.cuda.default_generators[aside.device_index]
    states = [each.clone_state() for each in generators]
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(generator)
    try:
        with torch.cuda.stream(aside), torch.cuda.graph(graph, stream=aside):
            result = function()
    except Exception:
        for each, state in zip(generators, states, strict=True):
            each.graphsafe_set_state(state)
        with contextlib.suppress(RuntimeError):
            torch._C._cuda_endAllocateToPool(aside.device_index, graph.pool())
        raise
    return graph.replay, result


def can_be_recorded(outer: Optimizer, tasks_on: torch.device, params_on: torch.device) -> bool:
    """Whether a meta-step is the work of one GPU alone: tasks are drawn and parameters updated there, and the learning
    rate and the count of steps are there too.

    >>> parameter = torch.zeros(2, requires_grad=True)
    >>> outer = torch.optim.SGD([parameter], lr=torch.tensor(0.1), fused=True)
    >>> can_be_recorded(outer, parameter.device, parameter.device)
    False
    """
    there = all(
        isinstance(group.get("lr"), Tensor)
        and group["lr"].device == params_on
        and group.get("capturable", group.get("fused"))
        for group in outer.param_groups
    )
    return there and tasks_on == params_on and params_on.type in DEVICES and world_size() == 1


def numbers_of(outer: Optimizer) -> tuple[object, ...]:
    """The optimizer's settings that are no tensors, and of which a recording repeats what they were.

    >>> numbers_of(torch.optim.SGD([torch.zeros(2, requires_grad=True)], lr=torch.tensor(0.1), momentum=0.9))[0]
    ('momentum', 0.9)
    """
    return tuple(
        (name, value)
        for group in outer.param_groups
        for name, value in group.items()
        if name not in ("params", "param_names") and not isinstance(value, Tensor)
    )
