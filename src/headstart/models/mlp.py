"""A fully connected network, for vectors."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from headstart.models.conv4 import Activation, Norm, normalization


class MLP(nn.Module):
    """``x -> activation(norm(W x + b)) -> ... -> W x + b``: two hidden layers of 40 are MAML's sinusoid network.

    Shapes:
        inputs: ``[example, inputs]`` -> ``[example, outputs]``; further input axes are flattened

    Source: Finn, Abbeel and Levine (2017), section 5.1.

    >>> import torch
    >>> MLP()(torch.zeros(10, 1)).shape
    torch.Size([10, 1])
    """

    def __init__(
        self,
        inputs: int = 1,
        outputs: int = 1,
        hidden: Sequence[int] = (40, 40),
        *,
        norm: Norm = "none",
        activation: Activation = F.relu,
    ) -> None:
        super().__init__()
        sizes = [inputs, *hidden]
        self.layers = nn.ModuleList([nn.Linear(fan_in, size) for fan_in, size in zip(sizes, hidden, strict=False)])
        self.norms = nn.ModuleList([normalization(norm, size) for size in hidden])
        self.activation = activation
        self.head = nn.Linear(sizes[-1], outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs ``[example, outputs]``."""
        hidden = inputs.flatten(1)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            hidden = self.activation(norm(layer(hidden)))
        outputs: Tensor = self.head(hidden)
        return outputs
