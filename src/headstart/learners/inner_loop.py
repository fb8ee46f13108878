"""The inner loop: the only place where a task's parameters move."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from headstart.episodes import Examples, first_of
from headstart.errors import BadInputError
from headstart.learners.checkpointing import checkpointed, checkpointing_at_hand
from headstart.learners.gradient import gradient_of
from headstart.params import Params, below
from headstart.update_rules.base import State, UpdateRule

Loss = Callable[[Params, Params, Examples, int], Tensor]
Own = tuple[Params, State]
"""What a task has its own of: the adapting parameters, and the rule's state."""
RULE = "rule"
"""Where the rule's own meta-parameters are, among those that stay fixed."""


def unroll(
    loss: Loss,
    params: Params,
    fixed: Params,
    support: Examples,
    rule: UpdateRule,
    state: State,
    steps: int,
    order: int,
    every: bool = True,
    truncation: int | None = None,
) -> Iterator[Own]:
    """``params_(k+1), state_(k+1) = rule(params_k, grad loss(params_k, fixed, support, k), state_k)``: yields all of
    them, 0 to ``steps``, or without ``every`` perhaps the end only.

    With ``order=2`` every step can be differentiated with respect to ``params`` and ``fixed``; with ``order=1`` the
    gradients count as constants there, so that ``d params_k / d params`` is the identity for a plain gradient step.
    Every ``truncation`` steps the past becomes a constant. What the rule itself has learned is in ``fixed``, under
    ``"rule."``, and can be differentiated by in both orders. What is differentiated by must be in ``params`` or
    ``fixed``: of what ``loss`` or ``rule`` capture, checkpointing would lose the derivative.

    Source: Finn, Abbeel and Levine (2017), section 2.2, and 5.2 for the first-order form.

    >>> from headstart.update_rules.sgd import SGD
    >>> square, nothing = lambda p, fixed, support, step: p["w"] ** 2, Examples(torch.empty(0), torch.empty(0))
    >>> path = unroll(square, {"w": torch.tensor(1.0)}, {}, nothing, SGD(0.25), {}, steps=2, order=2)
    >>> [point["w"].item() for point, _ in path]
    [1.0, 0.5, 0.25]
    """

    def value(*arguments: Any) -> tuple[Tensor, tuple[()]]:
        return loss(*arguments), ()

    def advance(own: Own, fixed: Params, support: Examples, step: int) -> Own:
        params, state = own
        if truncation and step and step % truncation == 0:
            params, state = tree_map(Tensor.detach, (params, state))
        point, constants = (params, fixed) if order == 2 else tree_map(Tensor.detach, (params, fixed))
        gradient, _, _ = gradient_of(value, point, constants, support, step, differentiable=order == 2)
        return updated(rule, params, gradient, state, step, below(fixed, RULE))

    def segment(own: Own, fixed: Params, support: Examples, first: int, last: int) -> Own:
        for step in range(first, last):
            update = partial(advance, step=step)
            own = checkpointed(update, own, fixed, support, how, step) if how else update(own, fixed, support)
        return own

    how = checkpointing_at_hand()
    if how and not (order == 2 or rule.learned or how.call):
        how = None
    own = params, state
    yield own
    length = math.isqrt(max(steps - 1, 0)) + 1 if how and how.segments and not every else 1
    for first in range(0, steps, length):
        part = partial(segment, first=first, last=min(first + length, steps))
        own = checkpointed(part, own, fixed, support, how) if how and length > 1 else part(own, fixed, support)
        yield own


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
    moved, state = rule.update(params, gradient, state, step, RuleParams(rule_params, misfit))
    for name, value in params.items():
        if name not in moved or moved[name].shape != value.shape:
            made = list(moved[name].shape) if name in moved else "nothing"
            raise BadInputError(f"{misfit}: of {name!r} {list(value.shape)} it makes {made}; keep names and shapes.")
    return moved, state


class RuleParams(Params):
    """A rule's meta-parameters, in which a name that there is not is no ``KeyError``: that would look like a mistake in
    the rule's own code."""

    def __init__(self, values: Params, misfit: str) -> None:
        super().__init__(values)
        self.misfit = misfit

    def __missing__(self, name: str) -> Tensor:
        raise BadInputError(f"{self.misfit}: it has no {name!r}; make a new learner with it.")


def mini_batch(examples: Examples, size: int | None, step: int) -> Examples:
    """The examples that inner step ``step`` sees: all of them, or the next ``size``, going round as often as needed.

    They are taken in the order in which they stand, which the sampler of tasks makes random.

    Shapes:
        examples: one task's, ``[example, ...]`` -> ``[size, ...]``

    >>> examples = Examples(torch.arange(5.0), torch.arange(5))
    >>> mini_batch(examples, 3, step=1).targets
    tensor([3, 4, 0])
    """
    count = len(first_of(examples.targets))
    if size is None or size >= count:
        return examples
    chosen = torch.arange(step * size, (step + 1) * size, device=first_of(examples.targets).device) % count
    batch: Examples = tree_map(lambda tensor: tensor[chosen], examples)
    return batch
