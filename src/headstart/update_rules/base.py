"""The contract of an update rule: how a task's parameters move once their gradient is known."""

from __future__ import annotations

from abc import ABC, abstractmethod

from headstart.params import Params


class UpdateRule(ABC):
    """``params_(k+1), state_(k+1) = update(params_k, gradient_k, state_k, k)``, a pure and differentiable function."""

    @abstractmethod
    def initial_state(self, params: Params) -> Params:
        """What the rule remembers before the first step."""

    @abstractmethod
    def update(self, params: Params, gradient: Params, state: Params, step: int) -> tuple[Params, Params]:
        """The parameters after inner step ``step`` (counted from 0), and what the rule remembers of it."""
