"""Functions whose derivative computes them again, instead of keeping what they computed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.func import vjp, vmap
from torch.utils._pytree import TreeSpec, tree_flatten, tree_leaves, tree_unflatten

from headstart.randomness import State, random_numbers_from, random_state

Run = Callable[..., tuple[Tensor, ...]]
Execute = Callable[[Hashable, Hashable, Run, tuple[Tensor, ...]], tuple[Tensor, ...]]
"""``execute(key, derivative, function, tensors)`` is ``function(*tensors)``: the function that the key names, or a
derivative of it. For an equal key it is the same function."""


@dataclass(frozen=True)
class Recomputation:
    """How inner loops are recomputed.

    Attributes:
        segments: whether of ``steps`` inner updates about ``2 sqrt(steps)`` parameters are kept, otherwise all of them.
        execute: runs an update, or its derivative, of a batch of tasks; ``None`` for a plain call.
        structures: the containers that a function returns, by its key.
    """

    segments: bool = True
    execute: Execute | None = None
    structures: dict[Hashable, TreeSpec] = field(default_factory=dict)


_at_hand: ContextVar[Recomputation | None] = ContextVar("recomputation", default=None)


def recomputation_at_hand() -> Recomputation | None:
    """That of the innermost :func:`recomputation` context, if there is one; no thread of a backward pass sees it."""
    return _at_hand.get()


@contextmanager
def recomputation(how: Recomputation) -> Iterator[None]:
    """A context in which inner loops keep little of what they compute, and compute it again for the derivative.

    Of ``steps`` inner updates about ``2 sqrt(steps)`` parameters are kept, and the activations of one: the memory
    hardly grows with ``steps``, and every update is computed three times instead of once. Without segments all
    parameters are kept, and every update is computed twice. The result is the same, for models with dropout too; it has
    no further derivative.

    Source: Chen et al. (2016), "Training deep nets with sublinear memory cost", section 4.
    """
    token = _at_hand.set(how)
    try:
        yield
    finally:
        _at_hand.reset(token)


def recomputed(
    function: Callable[[Any, Any, Any], Any],
    own: Any,
    shared: Any,
    constant: Any,
    key: Hashable = None,
    how: Recomputation | None = None,
) -> Any:
    """``function(own, shared, constant)``, of which only the arguments are kept for the derivative, not what it
    computes.

    Args:
        function: differentiable in ``own`` and ``shared``; its arguments and its result are nested containers of
            tensors.
        own: what each task has its own of. Of these tensors, those that are not floating-point get no gradient.
        shared: what tasks may share; likewise.
        constant: tensors that get no gradient.
        key: names the function for ``how.execute``; ``None`` keeps it from that.
        how: the recomputation that it is part of.

    >>> from torch.func import grad
    >>> twice_sine = lambda x: recomputed(lambda own, shared, factor: factor * own.sin(), x, {}, torch.tensor(2.0))
    >>> grad(twice_sine)(torch.tensor(0.0))
    tensor(2.)
    """
    how = how or Recomputation()
    leaves, structure = tree_flatten((own, shared, constant))
    varied = [place for place, leaf in enumerate(tree_leaves((own, shared))) if leaf.is_floating_point()]
    order = [*varied, *(place for place in range(len(leaves)) if place not in varied)]

    def run(*tensors: Tensor) -> tuple[Tensor, ...]:
        in_place = [tensor for _, tensor in sorted(zip(order, tensors, strict=True), key=lambda pair: pair[0])]
        outputs, how.structures[name] = tree_flatten(function(*tree_unflatten(in_place, structure)))
        return tuple(outputs)

    name = key, structure, *((leaf.shape, leaf.dtype) for leaf in leaves)  # what a function does may depend on these
    execute = None if key is None else how.execute
    owned = sum(place < len(tree_leaves(own)) for place in varied)
    part = _Part(run, random_state(leaves), owned, len(varied), len(leaves), execute, name)
    outputs = _Recomputed.apply(part, *(leaves[place] for place in order))  # type: ignore[no-untyped-call]
    return tree_unflatten(list(outputs), how.structures[name])


@dataclass(frozen=True)
class _Part:
    """A function of ``count`` tensors: the first ``varied`` of them are differentiated by, and the first ``owned`` of
    these are the tasks' own."""

    run: Run
    drawn: State
    owned: int
    varied: int
    count: int
    execute: Execute | None
    key: Hashable

    def product(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The vector-Jacobian product: of the function's tensors, followed by one cotangent for each of its results."""
        varied, others, cotangents = tensors[: self.varied], tensors[self.varied : self.count], tensors[self.count :]

        def again(*varied: Tensor) -> tuple[Tensor, ...]:
            with random_numbers_from(self.drawn):
                outputs = self.run(*varied, *others)
            return tuple(output for output in outputs if output.is_floating_point())

        _, pull_back = vjp(again, *varied)  # type: ignore[misc]
        with torch.no_grad():
            along = tuple(cotangent for cotangent in cotangents if cotangent.is_floating_point())
            gradients: tuple[Tensor, ...] = pull_back(along, retain_graph=False)
        return gradients

    def of_tasks(self, info: Any, name: str, dims: tuple[Any, ...], tensors: tuple[Tensor, ...]) -> tuple[Any, Any]:
        """The method ``name`` for a batch of tasks, and where the task axis of its results is.

        To be executed it gets what the tasks own once for each of them, also where it is still the same for all: the
        first inner update is then the same function as the others.
        """
        if self.execute is None:
            outputs = vmap(getattr(self, name), dims, randomness=info.randomness)(*tensors)
            return outputs, (0,) * len(outputs)
        own = [
            (tensor.expand(info.batch_size, *tensor.shape), 0) if dim is None else (tensor, dim)
            for tensor, dim in zip(tensors[: self.owned], dims, strict=False)
        ]
        tensors = (*(tensor for tensor, _ in own), *tensors[self.owned :])
        dims = (*(dim for _, dim in own), *dims[self.owned :])
        function = vmap(getattr(self, name), dims, randomness=info.randomness)
        outputs = self.execute(self.key, (name, dims), function, tensors)
        return outputs, (0,) * len(outputs)


class _Recomputed(Function):
    """Keeps its inputs; its derivative runs the function again, with a graph."""

    @staticmethod
    def forward(part: _Part, *tensors: Tensor) -> tuple[Tensor, ...]:
        return part.run(*tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.part, *tensors = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], part: _Part, *tensors: Tensor) -> tuple[Any, Any]:
        return part.of_tasks(info, "run", in_dims[1:], tensors)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        with torch.no_grad():  # no graph of this derivative: it would keep what was just computed again
            gradients = _Product.apply(ctx.part, *ctx.saved_tensors, *cotangents)  # type: ignore[no-untyped-call]
        return None, *gradients, *[None] * (ctx.part.count - ctx.part.varied)


class _Product(Function):
    """The derivative of a recomputed function, which has none of its own."""

    @staticmethod
    def forward(part: _Part, *tensors: Tensor) -> tuple[Tensor, ...]:
        return part.product(*tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        pass

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], part: _Part, *tensors: Tensor) -> tuple[Any, Any]:
        return part.of_tasks(info, "product", in_dims[1:], tensors)
