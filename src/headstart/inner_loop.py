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
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_unflatten

from headstart.episodes import Examples
from headstart.errors import BadInputError
from headstart.params import Params, below
from headstart.randomness import random_numbers_from, random_state
from headstart.update_rules.base import State, UpdateRule

Loss = Callable[[Params, Params, Examples, int], Tensor]
Run = Callable[..., tuple[Tensor, ...]]
Moving = tuple[Params, State, Params]
"""What a derivative may be taken by: the adapting parameters, the rule's state, and the parameters that stay fixed."""
RULE = "rule"
"""Where the rule's own meta-parameters are, among those that stay fixed."""
_recompute: ContextVar[bool] = ContextVar("recompute", default=False)


@contextmanager
def recomputation() -> Iterator[None]:
    """A context in which exact inner loops keep little of what they compute, and compute it again for the derivative.

    Of ``steps`` inner updates about ``2 sqrt(steps)`` parameters are kept, and the activations of one: the memory
    hardly grows with ``steps``, and every update is computed three times instead of once. The result is the same, for
    models with dropout too; it has no further derivative.

    Source: Chen et al. (2016), "Training deep nets with sublinear memory cost", section 4.
    """
    token = _recompute.set(True)
    try:
        yield
    finally:
        _recompute.reset(token)


def trajectory(
    loss: Loss,
    params: Params,
    fixed: Params,
    support: Examples,
    rule: UpdateRule,
    steps: int,
    order: int,
    every: bool = True,
    truncation: int | None = None,
) -> Iterator[Params]:
    """``params_(k+1) = rule(params_k, grad loss(params_k, fixed, support, k))``: yields all of them, 0 to ``steps``, or
    without ``every`` perhaps the end only.

    With ``order=2`` every step can be differentiated with respect to ``params`` and ``fixed``; with ``order=1`` the
    gradients count as constants there, so that ``d params_k / d params`` is the identity for a plain gradient step.
    Every ``truncation`` steps the past becomes a constant. What the rule itself has learned is in ``fixed``, under
    ``"rule."``, and can be differentiated by in both orders. What is differentiated by must be in ``params`` or
    ``fixed``: of what ``loss`` or ``rule`` capture, recomputation would lose the derivative.

    Source: Finn, Abbeel and Levine (2017), section 2.2, and 5.2 for the first-order form.

    >>> from headstart.update_rules.sgd import SGD
    >>> square, nothing = lambda p, fixed, support, step: p["w"] ** 2, Examples(torch.empty(0), torch.empty(0))
    >>> path = trajectory(square, {"w": torch.tensor(1.0)}, {}, nothing, SGD(0.25), steps=2, order=2)
    >>> [point["w"].item() for point in path]
    [1.0, 0.5, 0.25]
    """

    def advance(moving: Moving, support: Examples, step: int) -> tuple[Params, State]:
        params, state, fixed = moving
        if truncation and step and step % truncation == 0:
            params, state = tree_map(Tensor.detach, (params, state))
        point, constants = (params, fixed) if order == 2 else tree_map(Tensor.detach, (params, fixed))
        gradient = grad(loss)(point, constants, support, step)
        return updated(rule, params, gradient, state, step, below(fixed, RULE))

    def segment(moving: Moving, support: Examples, first: int, last: int) -> tuple[Params, State]:
        params, state, fixed = moving
        for step in range(first, last):
            params, state = recomputed(partial(advance, step=step), (params, state, fixed), support)
        return params, state

    state = rule.initial_state(params)
    yield params
    again = (order == 2 or rule.learned) and _recompute.get()
    length = 1 if every or not again else math.isqrt(max(steps - 1, 0)) + 1
    for first in range(0, steps, length):
        moving = (params, state, fixed)
        if again:
            part = partial(segment, first=first, last=min(first + length, steps))
            params, state = recomputed(part, moving, support)
        else:
            params, state = advance(moving, support, first)
        yield params


def updated(
    rule: UpdateRule, params: Params, gradient: Params, state: State, step: int, rule_params: Params
) -> tuple[Params, State]:
    """``rule.update(params, gradient, state, step, rule_params)``, checked to be of the same parameters.

    Raises:
        BadInputError: the rule does not fit the parameters: it looks for a meta-parameter that there is not, or leaves
            out a parameter or changes its shape.

    >>> from headstart.update_rules.meta_sgd import MetaSGD
    >>> updated(MetaSGD(0.1), {"w": torch.ones(2)}, {"w": torch.ones(2)}, {}, 0, rule_params={})
    Traceback (most recent call last):
    headstart.errors.BadInputError: MetaSGD does not fit what adapts: it has no 'rates.w'; make a new learner with it.
    """
    misfit = f"{type(rule).__name__} does not fit what adapts"
    try:
        moved, state = rule.update(params, gradient, state, step, rule_params)
    except KeyError as error:
        raise BadInputError(f"{misfit}: it has no {error}; make a new learner with it.") from error
    for name, value in params.items():
        if name not in moved or moved[name].shape != value.shape:
            made = list(moved[name].shape) if name in moved else "nothing"
            raise BadInputError(f"{misfit}: of {name!r} {list(value.shape)} it makes {made}; keep names and shapes.")
    return moved, state


def recomputed(function: Callable[[Any, Any], Any], moving: Any, constant: Any) -> Any:
    """``function(moving, constant)``, of which only the arguments are kept for the derivative, not what it computes.

    Args:
        function: differentiable in ``moving``; both arguments and the result are nested containers of tensors.
        moving: what is differentiated by; of its tensors, those that are not floating-point get no gradient.
        constant: tensors that get no gradient.

    >>> twice_sine = lambda x: recomputed(lambda moving, factor: factor * moving.sin(), x, torch.tensor(2.0))
    >>> grad(twice_sine)(torch.tensor(0.0))
    tensor(2.)
    """
    leaves, structure = tree_flatten((moving, constant))
    varied = [place for place, leaf in enumerate(tree_leaves(moving)) if leaf.is_floating_point()]
    order = [*varied, *(place for place in range(len(leaves)) if place not in varied)]
    drawn = random_state(leaves)
    result_structure: list[Any] = []

    def run(*tensors: Tensor) -> tuple[Tensor, ...]:
        in_place = [tensor for _, tensor in sorted(zip(order, tensors, strict=True), key=lambda pair: pair[0])]
        outputs, spec = tree_flatten(function(*tree_unflatten(in_place, structure)))
        result_structure[:] = [spec]
        return tuple(outputs)

    def run_again(*tensors: Tensor) -> tuple[Tensor, ...]:
        with random_numbers_from(drawn):
            return run(*tensors)

    arguments = [leaves[place] for place in order]
    outputs = _Recomputed.apply(run, run_again, len(varied), *arguments)  # type: ignore[no-untyped-call]
    return tree_unflatten(list(outputs), result_structure[0])


class _Recomputed(Function):
    """Keeps its inputs; its derivative runs the function again, with a graph."""

    generate_vmap_rule = True

    @staticmethod
    def forward(run: Run, run_again: Run, varied: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        return run(*tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        _, ctx.run_again, ctx.varied, *tensors = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        varied, others = ctx.saved_tensors[: ctx.varied], ctx.saved_tensors[ctx.varied :]

        def along_cotangents(*tensors: Tensor) -> Tensor:  # its gradient is the vector-Jacobian product
            pairs = zip(ctx.run_again(*tensors, *others), cotangents, strict=True)
            products = [(output * along).sum() for output, along in pairs if output.is_floating_point()]
            return torch.stack(products).sum()

        with torch.no_grad():  # no graph of this derivative: it would keep what was just computed again
            gradients = grad(along_cotangents, argnums=tuple(range(len(varied))))(*varied)
        return None, None, None, *gradients, *[None] * len(others)


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
