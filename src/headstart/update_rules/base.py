"""The contract of an update rule: how a task's parameters move once their gradient is known."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from headstart.params import Params

State = Mapping[str, Params]
"""What a rule remembers from one inner step to the next: by name, a tensor for each parameter."""


class UpdateRule(ABC):
    """``params_(k+1), state_(k+1) = update(params_k, gradient_k, state_k, k, rule_params)``, pure and differentiable.

    ``rule_params`` are the rule's own meta-parameters, which *F* learns together with the initial weights; most rules
    have none. A rule itself is immutable, and equal to another one that has the same settings.

    Attributes:
        learned: whether it has any.
    """

    learned: ClassVar[bool] = False

    def initial_rule_params(self, params: Params, steps: int) -> Params:
        """What *F* learns of the rule, as meta-training begins.

        Args:
            params: the adapting parameters, of which only names and shapes count.
            steps: inner updates in training.
        """
        return {}

    def initial_state(self, params: Params) -> State:
        """What the rule remembers before the first step: nothing, unless it says otherwise."""
        return {}

    @abstractmethod
    def update(
        self, params: Params, gradient: Params, state: State, step: int, rule_params: Params
    ) -> tuple[Params, State]:
        """The parameters after inner step ``step`` (counted from 0), and what the rule remembers of it."""
