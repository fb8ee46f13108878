"""Compiled programs of what is a composition of functions and derivatives: a whole meta-gradient, or a part of it."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
import warnings
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import torch
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map

from headstart.engine.im2col import ConvolutionsByIm2col
from headstart.randomness import random_numbers_from, random_state

logger = logging.getLogger(__name__)
ON_CPU: dict[str, Any] = {"cpp_wrapper": True}
"""The calls between kernels in C++ too: a tenth of the time of small tasks."""
COMPILERS = ("g++", "clang++", "c++", "cl")


class Programs:
    """Functions of tensors, each compiled whole, once for every key and all shapes that it is called with.

    ``programs(key, function, *arguments)`` is ``function(*arguments)``. What is called with an equal key is taken to be
    the same function; functions that turn out to do the same share a program. A function is traced as it stands, with
    ``vmap`` and both orders of ``grad`` resolved into plain tensor operations and convolutions taken over patches; the
    resulting graph is compiled without a break. What it reads but is not given counts as a constant.

    PyTorch keeps what was compiled on disk, in the folder that ``TORCHINDUCTOR_CACHE_DIR`` names, so that the next run
    starts in seconds. Where compiling fails the log says why in one line, and from then on functions run as they are.

    Args:
        may_draw: whether functions may draw random numbers, which are others at every call; otherwise those that do
            fail to compile.
        convolutions: the context in which functions are traced: convolutions over patches are fastest where they are
            differentiated, native ones in a forward pass alone.

    >>> programs = Programs()
    >>> programs("double", lambda values: {"y": 2 * values["x"]}, {"x": torch.tensor(1.5)})
    {'y': tensor(3.)}
    """

    def __init__(self, may_draw: bool = True, convolutions: Callable[[], Any] = ConvolutionsByIm2col) -> None:
        self.may_draw, self.convolutions, self.failed = may_draw, convolutions, False
        self.programs: dict[Hashable, Callable[..., Any]] = {}
        self.compiled: list[tuple[GraphModule, Callable[..., Any]]] = []

    @torch.no_grad()
    def __call__(self, key: Hashable, function: Callable[..., Any], *arguments: Any) -> Any:
        """The function's result; the first call with a new key or new shapes takes as long as compiling does."""
        arguments = tree_map(lambda tensor: tensor.detach().contiguous(), arguments)
        leaves, structure = tree_flatten(arguments)
        key = key, structure, *((tensor.shape, tensor.dtype, tensor.device) for tensor in leaves)
        if key not in self.programs and not self.failed:
            with compiling(arguments):
                self.programs[key] = self._program(function, arguments)
            self.failed = key not in self.programs
        return self.programs.get(key, function)(*arguments)

    def _program(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Callable[..., Any]:
        started = time.perf_counter()
        graph = traced(function, arguments, self.convolutions)
        if known := [program for other, program in self.compiled if same(graph, other)]:
            return known[0]
        tags = {tag for node in graph.graph.nodes for tag in getattr(node.target, "tags", ())}
        if torch.Tag.nondeterministic_seeded in tags and not self.may_draw:
            raise RuntimeError("a model that draws random numbers is not compiled update by update")
        program = compiled(graph, arguments)
        self.compiled.append((graph, program))
        logger.info("compiled %s operations in %.0f s", f"{len(graph.graph.nodes):,}", time.perf_counter() - started)
        return program


def traced(
    function: Callable[..., Any], arguments: tuple[Any, ...], convolutions: Callable[[], Any] = ConvolutionsByIm2col
) -> GraphModule:
    """What ``function`` does to the tensors in ``arguments``, as plain operations, with ``convolutions`` as they are in
    that context."""
    with convolutions():
        graph: GraphModule = make_fx(lambda *inputs: function(*inputs))(*arguments)
    return graph


def same(graph: GraphModule, other: GraphModule) -> bool:
    """Whether both do the same to tensors of the same shapes.

    >>> graphs = [traced(lambda x, factor=factor: factor * x, (torch.ones(2),)) for factor in (2, 2, 3)]
    >>> same(graphs[0], graphs[1]), same(graphs[0], graphs[2])
    (True, False)
    """
    here, there = graph.state_dict(), other.state_dict()
    equal = graph.code == other.code and here.keys() == there.keys()
    return equal and all(torch.equal(value, there[name]) for name, value in here.items())


def compiled(graph: GraphModule, arguments: tuple[Any, ...]) -> Callable[..., Any]:
    """The graph as a program, which has run once."""
    on_cpu = all(tensor.device.type == "cpu" for tensor in tree_leaves(arguments))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the compiler's own deprecations are not the user's business
        program: Callable[..., Any] = torch.compile(
            graph, fullgraph=True, dynamic=False, options=ON_CPU if on_cpu else {}
        )
        program(*arguments)
    return program


@contextlib.contextmanager
def compiling(arguments: Any) -> Iterator[None]:
    """A context in which compiling may fail: the log then says why, in one line, and what follows it runs. The random
    numbers that are drawn in it, on the devices of ``arguments``, are still to come."""
    with random_numbers_from(random_state(tree_leaves(arguments))):
        try:
            yield
        except Exception as error:  # the compiler's errors have no common base
            logger.info("not compiled, but run eagerly: %s", reason(error))


def reason(error: Exception) -> str:
    """Why compiling failed, in one line.

    >>> reason(RuntimeError("no\\nmemory"))
    'RuntimeError: no'
    """
    if "CXX" not in os.environ and not any(map(shutil.which, COMPILERS)):
        return "no C++ compiler was found; install g++ or name one in the environment variable CXX"
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
