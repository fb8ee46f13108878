"""The gradient of a loss, with a graph of the gradient itself only where something is to differentiate it again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch._functorch import eager_transforms as functorch
from torch.func import grad_and_value
from torch.utils._pytree import tree_leaves, tree_map

K = TypeVar("K")
T = TypeVar("T")


def gradient_of(
    function: Callable[..., tuple[Tensor, T]], params: dict[K, Tensor], *others: Any, differentiable: bool = False
) -> tuple[dict[K, Tensor], Tensor, T]:
    """``grad value(params)``, where ``value, beside = function(params, *others)``; then ``value`` and ``beside``.

    Within ``vmap`` or another transform, and in inference mode, it is ``torch.func``'s, which nests; elsewhere it is
    ``torch.autograd.grad`` alone, which a loop over tasks is faster with.

    Args:
        function: its value is a scalar; what it has beside is a nested container of tensors.
        differentiable: whether the gradient can be differentiated by ``params`` and ``others``, where gradients are
            recorded at all. Otherwise it counts as a constant, and no graph of it is made, which is half of the memory.

    >>> gradient, value, _ = gradient_of(lambda params: (params["w"] ** 2, ()), {"w": torch.tensor(3.0)})
    >>> gradient, value
    ({'w': tensor(6.)}, tensor(9.))
    """
    differentiable = differentiable and torch.is_grad_enabled()
    if not (torch._C._are_functorch_transforms_active() or torch.is_inference_mode_enabled()):
        return _by_autograd(function, params, others, differentiable)
    if not differentiable:
        return _without_graph(function, params, others)
    gradient, (value, beside) = grad_and_value(function, has_aux=True)(params, *others)
    return gradient, value, beside


def _without_graph(
    function: Callable[..., tuple[Tensor, T]], params: dict[K, Tensor], others: tuple[Any, ...]
) -> tuple[dict[K, Tensor], Tensor, T]:
    """``torch.func.grad_and_value``, which always makes a graph of the gradient, without that. The pull-back of
    ``torch.func.vjp`` makes none either, but runs outside of its transform, where max-pooling after a convolution over
    patches has no second derivative under ``vmap``."""
    with functorch.grad_increment_nesting() as level, torch.enable_grad():
        point, others = functorch._wrap_all_tensors((params, others), level)
        tree_map(partial(functorch._create_differentiable, level=level), point)
        value, beside = function(point, *others)
        slopes = functorch._autograd_grad((value,), list(point.values()), create_graph=False)
        found: Any = dict(zip(point, slopes, strict=True)), value, beside
        result: tuple[dict[K, Tensor], Tensor, T] = functorch._undo_create_differentiable(found, level)
    return result


def _by_autograd(
    function: Callable[..., tuple[Tensor, T]], params: dict[K, Tensor], others: tuple[Any, ...], differentiable: bool
) -> tuple[dict[K, Tensor], Tensor, T]:
    """Parameters may be functions of one another, as a head that is made of the body's features is: the gradient is
    by each of them alone, so that it is taken by views of them."""
    given = [leaf for leaf in tree_leaves((params, others)) if isinstance(leaf, Tensor)]
    differentiable = differentiable and any(tensor.requires_grad for tensor in given)
    with torch.enable_grad():
        point = {
            name: value.view_as(value) if differentiable and value.requires_grad else value.detach().requires_grad_()
            for name, value in params.items()
        }
        value, beside = function(point, *others)
        slopes = torch.autograd.grad(
            value, list(point.values()), create_graph=differentiable, allow_unused=True, materialize_grads=True
        )
    return dict(zip(point, slopes, strict=True)), value.detach(), tree_map(Tensor.detach, beside)
