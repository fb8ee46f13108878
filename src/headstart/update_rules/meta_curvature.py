"""Meta-Curvature: learned matrices that turn a layer's gradient into its step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from headstart.params import Params
from headstart.update_rules.base import State, UpdateRule


@dataclass(frozen=True)
class MetaCurvature(UpdateRule):
    """``params <- params - inner_lr * (outputs x inputs x pixels) gradient``: Kronecker-factored preconditioning.

    The gradient of a weight ``[output, input, pixel]`` is multiplied along each axis by a learned square matrix: of a
    convolution's three axes (the kernel's pixels are one), of a linear layer's two. A vector, such as a bias, is
    multiplied by a learned number per element. All begin as the identity, so that training begins as MAML does.

    Source: Park and Oliva (2019), "Meta-curvature", section 3.2, equations 7 and 8 (MC2).

    >>> rule = MetaCurvature(inner_lr=0.5)
    >>> params, gradient = {"w": torch.ones(2, 1)}, {"w": torch.tensor([[1.0], [2.0]])}
    >>> rule.update(params, gradient, {}, step=0, rule_params=rule.initial_rule_params(params, steps=1))[0]["w"].T
    tensor([[0.5000, 0.0000]])
    """

    inner_lr: float
    learned: ClassVar[bool] = True

    def initial_rule_params(self, params: Params, steps: int) -> Params:
        """An identity for each of the axes ``outputs``, ``inputs`` and ``pixels``, or a vector's ``factors`` of one."""
        return {
            f"{axis}.{name}": torch.eye(size, dtype=value.dtype, device=value.device)
            if value.dim() > 1
            else torch.ones_like(value)
            for name, value in params.items()
            for axis, size in axes_of(value).items()
        }

    def update(
        self, params: Params, gradient: Params, state: State, step: int, rule_params: Params
    ) -> tuple[Params, State]:
        """One step against the gradient, as the matrices have turned it."""

        def turned(name: str) -> Tensor:
            slope = gradient[name]
            if slope.dim() <= 1:
                return rule_params[f"factors.{name}"] * slope
            product = slope.flatten(2) if slope.dim() > 2 else slope
            for place, axis in enumerate(axes_of(slope)):
                matrix = rule_params[f"{axis}.{name}"]
                if matrix.numel() == 1:  # a number: it may be shared by any number of rows of a head
                    product = matrix.view(()) * product
                else:
                    product = (product.movedim(place, -1) @ matrix.T).movedim(-1, place)
            return product.reshape(slope.shape)

        return {name: torch.add(value, turned(name), alpha=-self.inner_lr) for name, value in params.items()}, state


def axes_of(values: Tensor) -> dict[str, int]:
    """The sizes of the axes along which a parameter is turned, by name.

    >>> axes_of(torch.zeros(64, 1, 3, 3)), axes_of(torch.zeros(5, 64)), axes_of(torch.zeros(5))
    ({'outputs': 64, 'inputs': 1, 'pixels': 9}, {'outputs': 5, 'inputs': 64}, {'factors': 5})
    """
    if values.dim() <= 1:
        return {"factors": values.numel()}
    sizes = (*values.shape[:2], *([values[0, 0].numel()] if values.dim() > 2 else []))
    return dict(zip(("outputs", "inputs", "pixels"), sizes, strict=False))
