"""A learned rate for every layer and inner step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from headstart.params import Params
from headstart.update_rules.base import State, UpdateRule


@dataclass(frozen=True)
class LayerStepRates(UpdateRule):
    """``params <- params - rates[k] * gradient`` at inner step ``k``, with a learned rate for every layer and step.

    A layer's weight and its bias have rates of their own, as in the authors' code. Steps beyond those of training go on
    with the last rates. All begin at ``inner_lr``.

    Source: Antoniou, Edwards and Storkey (2019), "How to train your MAML", section 4 (LSLR).

    >>> rule = LayerStepRates(inner_lr=0.5)
    >>> params, gradient = {"w": torch.tensor([1.0, 1.0])}, {"w": torch.tensor([1.0, 2.0])}
    >>> rule.update(params, gradient, {}, step=0, rule_params={"rates.w": torch.tensor([0.5, 0.1])})[0]
    {'w': tensor([0.5000, 0.0000])}
    """

    inner_lr: float
    learned: ClassVar[bool] = True

    def initial_rule_params(self, params: Params, steps: int) -> Params:
        """``rates`` ``[step]`` for each parameter."""
        return {f"rates.{name}": value.new_full((steps,), self.inner_lr) for name, value in params.items()}

    def update(
        self, params: Params, gradient: Params, state: State, step: int, rule_params: Params
    ) -> tuple[Params, State]:
        """One step against the gradient, each layer at its rate of this step."""

        def rate(name: str) -> torch.Tensor:
            rates = rule_params[f"rates.{name}"]
            return rates[min(step, len(rates) - 1)]

        return {name: value - rate(name) * gradient[name] for name, value in params.items()}, state
