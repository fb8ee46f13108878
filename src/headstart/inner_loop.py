"""The inner loop: the only place where a task's parameters move."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.func import grad
from torch.utils._pytree import tree_flatten, tree_unflatten

from headstart.episodes import Examples
from headstart.params import Params
from headstart.update_rules.base import UpdateRule

Loss = Callable[[Params, Params, Examples, int], Tensor]
Moving = tuple[Params, Params, Params]
"""What a derivative may be taken by: the adapting parameters, the rule's state, and the parameters that stay fixed."""
_recompute: ContextVar[bool] = ContextVar("recompute", default=False)


@contextmanager
def recomputation() -> Iterator[None]:
    """A context in which exact inner loops keep little of what they compute, and compute it again for the derivative.

    Of ``steps`` inner updates about ``2 sqrt(steps)`` parameters are kept, and the activations of one: the memory
    hardly grows with ``steps``, and every update is computed three times instead of once. The result is the same. It
    has no further derivative.

    Source: Chen et al. (2016), "Training deep nets with sublinear memory cost", section 4.
    """
    token = _recompute.set(True)
    try:
        yield
    finally:
        _recompute.reset(token)


def trajectory(
    loss: Loss, params: Params, fixed: Params, support: Examples, rule: UpdateRule, steps: int, order: int
) -> Iterator[Params]:
    """``params_(k+1) = rule(params_k, grad loss(params_k, fixed, support, k))``: yields all of them, 0 to ``steps``.

    With ``order=2`` every step can be differentiated with respect to ``params`` and ``fixed``; with ``order=1`` the
    gradients count as constants there, so that ``d params_k / d params`` is the identity for a plain gradient step.
    Within ``recomputation()`` an exact trajectory yields its end only.

    Source: Finn, Abbeel and Levine (2017), section 2.2, and 5.2 for the first-order form.

    >>> from headstart.update_rules.sgd import SGD
    >>> square, nothing = lambda p, fixed, support, step: p["w"] ** 2, Examples(torch.empty(0), torch.empty(0))
    >>> path = trajectory(square, {"w": torch.tensor(1.0)}, {}, nothing, SGD(0.25), steps=2, order=2)
    >>> [point["w"].item() for point in path]
    [1.0, 0.5, 0.25]
    """

    def advance(moving: Moving, support: Examples, step: int) -> tuple[Params, Params]:
        params, state, fixed = moving
        point = params if order == 2 else {name: value.detach() for name, value in params.items()}
        return rule.update(params, grad(loss)(point, fixed, support, step), state, step)

    def segment(moving: Moving, support: Examples, first: int, last: int) -> tuple[Params, Params]:
        params, state, fixed = moving
        for step in range(first, last):
            params, state = recomputed(partial(advance, step=step), (params, state, fixed), support)
        return params, state

    state = rule.initial_state(params)
    if order == 2 and _recompute.get():
        length = math.isqrt(max(steps - 1, 0)) + 1
        for first in range(0, steps, length):
            part = partial(segment, first=first, last=min(first + length, steps))
            params, state = recomputed(part, (params, state, fixed), support)
        yield params
        return
    yield params
    for step in range(steps):
        params, state = advance((params, state, fixed), support, step)
        yield params


def recomputed(function: Callable[[Any, Any], Any], moving: Any, constant: Any) -> Any:
    """``function(moving, constant)``, of which only the arguments are kept for the derivative, not what it computes.

    Args:
        function: differentiable in ``moving``; both arguments and the result are nested containers of tensors.
        moving: floating-point tensors, what is differentiated by.
        constant: tensors that get no gradient.

    >>> twice_sine = lambda x: recomputed(lambda moving, factor: factor * moving.sin(), x, torch.tensor(2.0))
    >>> grad(twice_sine)(torch.tensor(0.0))
    tensor(2.)
    """
    leaves, structure = tree_flatten(moving)
    others, other_structure = tree_flatten(constant)
    shape: list[Any] = []

    def flat(*tensors: Tensor) -> tuple[Tensor, ...]:
        inputs = tree_unflatten(list(tensors[: len(leaves)]), structure)
        result = function(inputs, tree_unflatten(list(tensors[len(leaves) :]), other_structure))
        outputs, spec = tree_flatten(result)
        shape[:] = [spec]
        return tuple(outputs)

    outputs = _Recomputed.apply(flat, len(leaves), *leaves, *others)  # type: ignore[no-untyped-call]
    return tree_unflatten(list(outputs), shape[0])


class _Recomputed(Function):
    """Keeps its inputs; its derivative runs the function again, with a graph."""

    generate_vmap_rule = True

    @staticmethod
    def forward(flat: Callable[..., tuple[Tensor, ...]], moving: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        return flat(*tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.flat, ctx.moving, *tensors = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        moving, constant = ctx.saved_tensors[: ctx.moving], ctx.saved_tensors[ctx.moving :]

        def along_cotangents(*tensors: Tensor) -> Tensor:  # its gradient is the vector-Jacobian product
            outputs = ctx.flat(*tensors, *constant)
            return sum(((output * along).sum() for output, along in zip(outputs, cotangents, strict=True)), zero)

        zero = cotangents[0].new_zeros(())
        with torch.no_grad():  # no graph of this derivative: it would keep what was just computed again
            gradients = grad(along_cotangents, argnums=tuple(range(len(moving))))(*moving)
        return None, None, *gradients, *[None] * len(constant)


def mini_batch(examples: Examples, size: int | None, step: int) -> Examples:
    """The examples that inner step ``step`` sees: all of them, or the next ``size``, going round as often as needed.

    They are taken in the order in which they stand, which the sampler of tasks makes random.

    Shapes:
        examples: one task's, ``[example, ...]`` -> ``[size, ...]``

    >>> examples = Examples(torch.arange(5.0), torch.arange(5))
    >>> mini_batch(examples, 3, step=1).targets
    tensor([3, 4, 0])
    """
    count = len(examples.targets)
    if size is None or size >= count:
        return examples
    chosen = torch.arange(step * size, (step + 1) * size, device=examples.targets.device) % count
    return Examples(examples.inputs[chosen], examples.targets[chosen])
