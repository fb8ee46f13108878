"""Compiling a whole meta-gradient, inner loop and both orders of derivative, in one piece."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_leaves, tree_map

from headstart.environment import cache_folder
from headstart.patches import ConvolutionsOverPatches
from headstart.randomness import random_numbers_from, random_state

logger = logging.getLogger(__name__)
ON_CPU: dict[str, Any] = {"cpp_wrapper": True}
"""The calls between kernels in C++ too: a tenth of the time of small tasks."""
ON_GPU: dict[str, Any] = {"triton.cudagraphs": True}
"""All kernels launched at once, as one CUDA graph."""
COMPILERS = ("g++", "clang++", "c++", "cl")


class Compiled:
    """``function(*arguments)`` compiled whole, once for every shape that it is called with.

    The function is traced as it stands, with ``vmap`` and both orders of ``grad`` resolved into plain tensor operations
    and convolutions taken over patches; the resulting graph is compiled without a break. What the function reads but
    is not given counts as a constant. What was compiled is kept on disk (``TORCHINDUCTOR_CACHE_DIR``, otherwise under
    ``$XDG_CACHE_HOME`` or ``~/.cache``), so that the next run starts in seconds. Where compiling fails, the log says
    why in one line, and the function runs as it is.

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
        if shapes not in self.programs:
            self.programs[shapes] = self._compile(arguments)
        result = self.programs[shapes](*arguments)
        if any(tensor.device.type == "cuda" for tensor in tree_leaves(result)):
            return tree_map(Tensor.clone, result)  # a replayed CUDA graph writes to the same memory every time
        return result

    def _compile(self, arguments: tuple[Any, ...]) -> Callable[..., Any]:
        started = time.perf_counter()
        drawn = random_state(tree_leaves(arguments))
        try:
            with random_numbers_from(drawn), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the compiler's own deprecations are not the user's business
                with ConvolutionsOverPatches():
                    graph = make_fx(lambda *inputs: self.function(*inputs))(*arguments)
                program: Callable[..., Any] = torch.compile(
                    graph, fullgraph=True, dynamic=False, options=ON_GPU if len(drawn) > 1 else ON_CPU
                )
                program(*arguments)
        except Exception as error:  # the compiler's errors have no common base
            logger.info("not compiled, but run eagerly: %s", reason(error))
            return self.function
        logger.info("compiled the meta-gradient in %.0f s", time.perf_counter() - started)
        return program


def reason(error: Exception) -> str:
    """Why compiling failed, in one line.

    >>> reason(RuntimeError("no\\nmemory"))
    'RuntimeError: no'
    """
    if "CXX" not in os.environ and not any(map(shutil.which, COMPILERS)):
        return "no C++ compiler was found; install g++ or name one in the environment variable CXX"
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def use_cache() -> None:
    """Names the folder that compiled programs are kept in, unless that is done or there is no place to write to."""
    if "TORCHINDUCTOR_CACHE_DIR" in os.environ:
        return
    with contextlib.suppress(OSError, RuntimeError):  # the latter where there is no home
        cache = cache_folder() / "compiled"
        cache.mkdir(parents=True, exist_ok=True)
        if os.access(cache, os.W_OK):
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(cache)
