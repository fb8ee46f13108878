"""The inner loop: the only place where a task's parameters move."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.func import grad

from headstart.episodes import Examples
from headstart.params import Params
from headstart.update_rules.base import UpdateRule


def trajectory(
    loss: Callable[[Params, int], Tensor], params: Params, rule: UpdateRule, steps: int, order: int
) -> Iterator[Params]:
    """``params_(k+1) = rule(params_k, grad loss(params_k, k))`` from ``params_0 = params``: yields all, 0 to ``steps``.

    With ``order=2`` every step can be differentiated with respect to ``params``; with ``order=1`` the gradients count
    as constants there, so that ``d params_k / d params`` is the identity for a plain gradient step.

    Source: Finn, Abbeel and Levine (2017), section 2.2, and 5.2 for the first-order form.

    >>> from headstart.update_rules.sgd import SGD
    >>> path = trajectory(lambda p, step: p["w"] ** 2, {"w": torch.tensor(1.0)}, SGD(0.25), steps=2, order=2)
    >>> [point["w"].item() for point in path]
    [1.0, 0.5, 0.25]
    """
    state = rule.initial_state(params)
    yield params
    for step in range(steps):
        point = params if order == 2 else {name: value.detach() for name, value in params.items()}
        params, state = rule.update(params, grad(loss)(point, step), state, step)
        yield params


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
