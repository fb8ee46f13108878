"""Meta-SGD: a learned rate for every weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from headstart.params import Params
from headstart.update_rules.base import State, UpdateRule


@dataclass(frozen=True)
class MetaSGD(UpdateRule):
    """``params <- params - rates * gradient``, elementwise, with a learned rate for every weight, of either sign.

    All rates begin at ``inner_lr``, so that training begins as MAML does; the paper draws them from [0.005, 0.1].

    Source: Li, Zhou, Chen and Li (2017), "Meta-SGD: Learning to learn quickly for few-shot learning", equation 2.

    >>> rule = MetaSGD(inner_lr=0.5)
    >>> params, gradient = {"w": torch.tensor([1.0, 1.0])}, {"w": torch.tensor([1.0, 2.0])}
    >>> rule.update(params, gradient, {}, step=0, rule_params=rule.initial_rule_params(params, steps=1))[0]
    {'w': tensor([0.5000, 0.0000])}
    """

    inner_lr: float
    learned: ClassVar[bool] = True

    def initial_rule_params(self, params: Params, steps: int) -> Params:
        """``rates``, each of its parameter's shape."""
        return {f"rates.{name}": torch.full_like(value, self.inner_lr) for name, value in params.items()}

    def update(
        self, params: Params, gradient: Params, state: State, step: int, rule_params: Params
    ) -> tuple[Params, State]:
        """One step against the gradient, each weight at its own rate."""
        return {name: value - rule_params[f"rates.{name}"] * gradient[name] for name, value in params.items()}, state
