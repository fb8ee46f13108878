"""Gradient descent, the inner update of MAML."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from headstart.errors import BadInputError
from headstart.params import Params
from headstart.update_rules.base import State, UpdateRule


@dataclass(frozen=True)
class SGD(UpdateRule):
    """``params <- params - inner_lr * v``, ``v <- momentum * v + gradient``, with ``v = 0`` before the first step.

    Raises:
        BadInputError: ``momentum`` is not in [0, 1).

    Source: Finn, Abbeel and Levine (2017), equation 1; momentum as in ``torch.optim.SGD``.

    >>> rule = SGD(inner_lr=0.5)
    >>> rule.update({"w": torch.tensor(1.0)}, {"w": torch.tensor(1.0)}, {}, step=0, rule_params={})[0]
    {'w': tensor(0.5000)}
    """

    inner_lr: float
    momentum: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.momentum < 1:
            raise BadInputError(f"momentum={self.momentum} must be at least 0 and below 1.")

    def initial_state(self, params: Params) -> State:
        """``v = 0``, where there is momentum."""
        return {"velocity": {name: torch.zeros_like(value) for name, value in params.items()}} if self.momentum else {}

    def update(
        self, params: Params, gradient: Params, state: State, step: int, rule_params: Params
    ) -> tuple[Params, State]:
        """One step against the velocity, and the new velocity."""
        velocity = gradient
        if self.momentum:
            velocity = {name: self.momentum * v + gradient[name] for name, v in state["velocity"].items()}
            state = {"velocity": velocity}
        return {name: torch.add(params[name], velocity[name], alpha=-self.inner_lr) for name in params}, state
