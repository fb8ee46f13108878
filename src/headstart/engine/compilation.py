"""Compiling in one piece what is a composition of functions and derivatives: a whole meta-gradient, or a part of it."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_leaves, tree_map

from headstart.engine.im2col import ConvolutionsByIm2col
from headstart.randomness import random_numbers_from, random_state

logger = logging.getLogger(__name__)
ON_CPU: dict[str, Any] = {"cpp_wrapper": True}
"""The calls between kernels in C++ too: a tenth of the time of small tasks."""
ON_GPU: dict[str, Any] = {"triton.cudagraphs": True}
"""All kernels launched at once, as one CUDA graph."""
COMPILERS = ("g++", "clang++", "c++", "cl")
_kernels_alone: ContextVar[bool] = ContextVar("kernels_alone", default=False)


@contextlib.contextmanager
def kernels_alone() -> Iterator[None]:
    """A context in which compiled programs launch their kernels one by one, for a CUDA graph that is recorded around
    them."""
    token = _kernels_alone.set(True)
    try:
        yield
    finally:
        _kernels_alone.reset(token)


class Compiled:
    """``function(*arguments)`` compiled whole, once for every shape that it is called with.

    The function is traced as it stands, with ``vmap`` and both orders of ``grad`` resolved into plain tensor operations
    and convolutions taken over patches; the resulting graph is compiled without a break. What the function reads but
    is not given counts as a constant. PyTorch keeps what was compiled on disk, in the folder that
    ``TORCHINDUCTOR_CACHE_DIR`` names, so that the next run starts in seconds. Where compiling fails, the log says why
    in one line, and the function runs as it is.

    Args:
        function: takes and returns nested containers of tensors, without side effects.

    >>> double = Compiled(lambda values: {"y": 2 * values["x"]})
    >>> double({"x": torch.tensor(1.5)})
    {'y': tensor(3.)}
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.programs: dict[tuple[object, ...], Callable[..., Any]] = {}

    @torch.no_grad()
    def __call__(self, *arguments: Any) -> Any:
        """The function's result; the first call with new shapes takes as long as compiling does."""
        arguments = tree_map(lambda tensor: tensor.detach().contiguous(), arguments)
        shapes = tuple((tensor.shape, tensor.dtype, tensor.device) for tensor in tree_leaves(arguments))
        program = (*shapes, _kernels_alone.get())
        if program not in self.programs:
            self.programs[program] = self._compile(arguments)
        result = self.programs[program](*arguments)
        if not _kernels_alone.get() and any(tensor.device.type == "cuda" for tensor in tree_leaves(result)):
            return tree_map(Tensor.clone, result)  # a replayed CUDA graph writes to the same memory every time
        return result

    def _compile(self, arguments: tuple[Any, ...]) -> Callable[..., Any]:
        started = time.perf_counter()
        with compiling(arguments):
            program = compiled(traced(self.function, arguments), arguments)
            logger.info("compiled the meta-gradient in %.0f s", time.perf_counter() - started)
            return program
        return self.function


def traced(function: Callable[..., Any], arguments: tuple[Any, ...]) -> GraphModule:
    """What ``function`` does to the tensors in ``arguments``, as plain operations, with convolutions over patches."""
    with ConvolutionsByIm2col():
        graph: GraphModule = make_fx(lambda *inputs: function(*inputs))(*arguments)
    return graph


def compiled(graph: GraphModule, arguments: tuple[Any, ...]) -> Callable[..., Any]:
    """The graph as a program, which has run once."""
    options = ON_CPU
    if any(tensor.device.type == "cuda" for tensor in tree_leaves(arguments)):
        options = {} if _kernels_alone.get() else ON_GPU
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the compiler's own deprecations are not the user's business
        program: Callable[..., Any] = torch.compile(graph, fullgraph=True, dynamic=False, options=options)
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
