"""Gradient descent, the inner update of MAML."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from headstart.params import Params
from headstart.update_rules.base import UpdateRule


@dataclass(frozen=True)
class SGD(UpdateRule):
    """``params <- params - inner_lr * gradient``.

    Source: Finn, Abbeel and Levine (2017), equation 1.

    >>> rule = SGD(inner_lr=0.5)
    >>> rule.update({"w": torch.tensor(1.0)}, {"w": torch.tensor(1.0)}, {}, step=0)[0]
    {'w': tensor(0.5000)}
    """

    inner_lr: float

    def initial_state(self, params: Params) -> Params:
        """Nothing."""
        return {}

    def update(self, params: Params, gradient: Params, state: Params, step: int) -> tuple[Params, Params]:
        """One step against the gradient."""
        return {name: torch.add(params[name], gradient[name], alpha=-self.inner_lr) for name in params}, state
