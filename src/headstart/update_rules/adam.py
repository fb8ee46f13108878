"""Adam, and its form without momentum, which is the inner update of Reptile."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from headstart.errors import BadInputError
from headstart.params import Params
from headstart.update_rules.base import State, UpdateRule


@dataclass(frozen=True)
class Adam(UpdateRule):
    """``params <- params - inner_lr * m_hat / sqrt(v_hat + eps^2)``.

    ``m`` and ``v``, running means of the gradient and of its square, begin at zero, which ``m_hat = m / (1 -
    beta1^count)`` and ``v_hat`` likewise correct for, after ``count`` steps. ``eps`` stands under the root, so that the
    step is differentiable where the gradient is zero.

    Raises:
        BadInputError: a ``beta`` is not in [0, 1), or ``eps`` is not positive.

    Source: Kingma and Ba (2015), algorithm 1.

    >>> rule = Adam(inner_lr=0.1)
    >>> params, gradient = {"w": torch.tensor(1.0)}, {"w": torch.tensor(5.0)}
    >>> rule.update(params, gradient, rule.initial_state(params), step=0, rule_params={})[0]
    {'w': tensor(0.9000)}
    """

    inner_lr: float
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self) -> None:
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise BadInputError(f"{name}={getattr(self, name)} must be at least 0 and below 1.")
        if not self.eps > 0:
            raise BadInputError(f"eps={self.eps} must be positive.")

    def initial_state(self, params: Params) -> State:
        """No steps yet, ``v = 0``, and ``m = 0`` where it is not the gradient."""
        kept = ["mean", "square"] if self.beta1 else ["square"]
        moments = {moment: {name: torch.zeros_like(value) for name, value in params.items()} for moment in kept}
        return {"count": {"": next(iter(params.values())).new_zeros(())}, **moments}

    def update(
        self, params: Params, gradient: Params, state: State, step: int, rule_params: Params
    ) -> tuple[Params, State]:
        """One step, and the new moments."""
        count = state["count"][""] + 1
        square = {n: self.beta2 * v + (1 - self.beta2) * gradient[n].square() for n, v in state["square"].items()}
        mean, remembered = gradient, {"count": {"": count}, "square": square}
        rate: float | Tensor = self.inner_lr
        if self.beta1:
            mean = {n: self.beta1 * m + (1 - self.beta1) * gradient[n] for n, m in state["mean"].items()}
            remembered["mean"] = mean
            rate = self.inner_lr / unlike_zero(self.beta1, count)
        correction = unlike_zero(self.beta2, count)
        moved = {
            name: value - rate * mean[name] * torch.rsqrt(square[name] / correction + self.eps**2)
            for name, value in params.items()
        }
        return moved, remembered


def unlike_zero(beta: float, count: Tensor) -> Tensor:
    """``1 - beta^count``: how far a running mean has come from zero, without the cancellation.

    >>> unlike_zero(0.999, torch.tensor(1.0))
    tensor(0.0010)
    """
    return -torch.expm1(count * math.log(beta)) if beta else torch.ones_like(count)


AdamWithoutMomentum = partial(Adam, beta1=0.0)
"""Adam whose ``m`` is the gradient itself: the inner update of Reptile (Nichol, Achiam and Schulman, 2018, section
6.1; ``partial(AdamOptimizer, beta1=0)`` in its code)."""
