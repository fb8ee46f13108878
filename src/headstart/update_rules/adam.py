"""Adam without momentum, the inner update of Reptile."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from headstart.params import Params
from headstart.update_rules.base import UpdateRule


@dataclass(frozen=True)
class Adam(UpdateRule):
    """Adam with ``beta1 = 0``: ``params <- params - inner_lr * g / sqrt(v_hat + eps^2)``, ``v`` a mean of ``g^2``.

    ``v`` starts at zero for every task and ``v_hat = v / (1 - beta2^(k+1))`` corrects for it. ``eps`` stands under the
    root, so that the step is differentiable where the gradient is zero.

    Source: Kingma and Ba (2015), algorithm 1; ``beta1 = 0`` as in Nichol, Achiam and Schulman (2018), section 6.1.

    >>> rule = Adam(inner_lr=0.1)
    >>> params, gradient = {"w": torch.tensor(1.0)}, {"w": torch.tensor(5.0)}
    >>> rule.update(params, gradient, rule.initial_state(params), step=0)[0]
    {'w': tensor(0.9000)}
    """

    inner_lr: float
    beta2: float = 0.999
    eps: float = 1e-8

    def initial_state(self, params: Params) -> Params:
        """``v = 0``."""
        return {name: torch.zeros_like(value) for name, value in params.items()}

    def update(self, params: Params, gradient: Params, state: Params, step: int) -> tuple[Params, Params]:
        """One step, and the new ``v``."""
        correction = 1 - self.beta2 ** (step + 1)
        moment = {name: self.beta2 * v + (1 - self.beta2) * gradient[name].square() for name, v in state.items()}
        moved = {
            name: value - self.inner_lr * gradient[name] * torch.rsqrt(moment[name] / correction + self.eps**2)
            for name, value in params.items()
        }
        return moved, moment
