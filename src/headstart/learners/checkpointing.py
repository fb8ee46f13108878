"""Checkpointing of inner updates: little of what they compute is kept, and it is computed again for the derivative."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.utils._pytree import TreeSpec, tree_flatten, tree_leaves, tree_unflatten

from headstart.learners.gradient import gradient_of
from headstart.randomness import random_numbers_from, random_state

Flat = Callable[..., tuple[Tensor, ...]]
Call = Callable[[Hashable, Flat, int, tuple[Tensor, ...]], tuple[Tensor, ...]]
"""``call(key, function, own, tensors)`` is ``function(*tensors)``: an update, or its derivative, for an equal key the
same one. Each task has its own of the first ``own`` tensors."""


@dataclass(frozen=True)
class Checkpointing:
    """How inner updates are checkpointed.

    Attributes:
        segments: whether of ``steps`` inner updates about ``2 sqrt(steps)`` parameters are kept, otherwise all of them.
        call: calls an update, or its derivative; ``None`` for a plain call.
        structures: the containers that a function returns, by its key.
    """

    segments: bool = True
    call: Call | None = None
    structures: dict[Hashable, TreeSpec] = field(default_factory=dict)


_at_hand: ContextVar[Checkpointing | None] = ContextVar("checkpointing", default=None)


def checkpointing_at_hand() -> Checkpointing | None:
    """That of the innermost :func:`checkpointing` context, if there is one; no thread of a backward pass sees it."""
    return _at_hand.get()


@contextmanager
def checkpointing(how: Checkpointing | None) -> Iterator[None]:
    """A context in which inner updates keep their parameters alone, and are computed again for the derivative.

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


def checkpointed(
    function: Callable[[Any, Any, Any], Any],
    own: Any,
    shared: Any,
    constant: Any,
    how: Checkpointing,
    key: Hashable = None,
) -> Any:
    """``function(own, shared, constant)``, of which only the arguments are kept for the derivative.

    Args:
        function: differentiable in ``own`` and ``shared``; its arguments and its result are nested containers of
            tensors.
        own: what each task has its own of. Of these tensors, those that are not floating-point get no gradient.
        shared: what tasks may share; likewise.
        constant: tensors that get no gradient.
        how: the checkpointing that it is part of.
        key: names the function for ``how.call``; ``None`` keeps it from that.

    >>> from torch.func import grad
    >>> scaled_sine = lambda x: checkpointed(lambda x, _, by: by * x.sin(), x, {}, torch.tensor(2.0), Checkpointing())
    >>> grad(scaled_sine)(torch.tensor(0.0))
    tensor(2.)
    """
    leaves, structure = tree_flatten((own, shared, constant))
    varied = [place for place, leaf in enumerate(tree_leaves((own, shared))) if leaf.is_floating_point()]
    name = key, structure, *((leaf.shape, leaf.dtype) for leaf in leaves)  # what a function does may depend on these
    drawn = random_state(leaves)

    def run(*tensors: Tensor) -> tuple[Tensor, ...]:
        outputs, how.structures[name] = tree_flatten(function(*tree_unflatten(list(tensors), structure)))
        return tuple(outputs)

    def product(*tensors: Tensor) -> tuple[Tensor, ...]:
        """The vector-Jacobian product: of the function's tensors, followed by one cotangent for each of its results."""
        given, cotangents = dict(enumerate(tensors[: len(leaves)])), tensors[len(leaves) :]

        def along_cotangents(values: dict[int, Tensor]) -> tuple[Tensor, tuple[()]]:  # its gradient is the product
            with random_numbers_from(drawn):
                outputs = run(*{**given, **values}.values())
            pairs = zip(outputs, cotangents, strict=True)
            products = [(output * along).sum() for output, along in pairs if output.is_floating_point()]
            return torch.stack(products).sum(), ()

        gradient, _, _ = gradient_of(along_cotangents, {place: given[place] for place in varied})
        return tuple(gradient.values())

    def called(kind: str, function: Flat) -> Flat:
        call = how.call
        if call is None or key is None:
            return function
        return lambda *tensors: call((name, kind), function, len(tree_leaves(own)), tensors)

    outputs = _Checkpointed.apply(called("update", run), called("derivative", product), varied, *leaves)  # type: ignore[no-untyped-call]
    return tree_unflatten(list(outputs), how.structures[name])


class _Checkpointed(Function):
    """Keeps its inputs; its derivative runs the function again."""

    generate_vmap_rule = True

    @staticmethod
    def forward(run: Flat, product: Flat, varied: list[int], *tensors: Tensor) -> tuple[Tensor, ...]:
        return run(*tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        _, ctx.product, ctx.varied, *tensors = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        with torch.no_grad():  # no graph of this derivative: it would keep what was just computed again
            gradients = ctx.product(*ctx.saved_tensors, *cotangents)
        by_place = dict(zip(ctx.varied, gradients, strict=True))
        return None, None, None, *map(by_place.get, range(len(ctx.saved_tensors)))
