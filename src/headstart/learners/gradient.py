"""The gradient of a loss, with a graph of the gradient itself only where something is to differentiate it again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.func import grad_and_value, vjp
from torch.utils._pytree import tree_leaves, tree_map

from headstart.params import Params

T = TypeVar("T")


def gradient_of(
    function: Callable[..., tuple[Tensor, T]], params: Params, *others: Any, differentiable: bool = False
) -> tuple[Params, Tensor, T]:
    """``grad value(params)``, where ``value, beside = function(params, *others)``; then ``value`` and ``beside``.

    Within ``vmap`` or another transform it is ``torch.func``'s, which nests; outside of any it is
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
    if not torch._C._are_functorch_transforms_active():
        return _by_autograd(function, params, others, differentiable)
    if differentiable:
        gradient, (value, beside) = grad_and_value(function, has_aux=True)(params, *others)
        return gradient, value, beside
    value, pull_back, beside = vjp(lambda params: function(params, *others), params, has_aux=True)  # type: ignore[misc]
    with torch.no_grad():  # torch.func.grad would record this too
        (gradient,) = pull_back(torch.ones_like(value), retain_graph=False)
    return gradient, value, beside


def _by_autograd(
    function: Callable[..., tuple[Tensor, T]], params: Params, others: tuple[Any, ...], differentiable: bool
) -> tuple[Params, Tensor, T]:
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
