"""The residual network of twelve convolutions of the few-shot literature, for photographs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from headstart.errors import BadInputError
from headstart.models.conv4 import Activation, Norm, normalization


def leaky_relu(inputs: Tensor) -> Tensor:
    """``max(x, x / 10)``."""
    return F.leaky_relu(inputs, 0.1)


def convolution(channels: int, width: int, size: int, norm: Norm) -> nn.Sequential:
    """A convolution that keeps the image's size, and a normalization."""
    conv = nn.Conv2d(channels, width, size, padding=size // 2, bias=norm == "none")
    return nn.Sequential(conv, normalization(norm, width))


class ResidualBlock(nn.Module):
    """``max_pool(activation(conv_3(activation(conv_2(activation(conv_1(x))))) + shortcut(x)))``: three 3x3 convolutions
    beside one of 1x1, each with its normalization, and 2x2 max-pooling.

    Shapes:
        inputs: ``[example, channels, height, width]`` -> ``[example, width, height // 2, ...]``
    """

    def __init__(self, channels: int, width: int, norm: Norm, activation: Activation) -> None:
        super().__init__()
        self.convs = nn.ModuleList([convolution(channels if i == 0 else width, width, 3, norm) for i in range(3)])
        self.shortcut = convolution(channels, width, 1, norm)
        self.activation = activation

    def forward(self, inputs: Tensor) -> Tensor:
        """One block."""
        first, second, third = self.convs
        residual = third(self.activation(second(self.activation(first(inputs)))))
        return F.max_pool2d(self.activation(residual + self.shortcut(inputs)), 2)


class ResNet12(nn.Module):
    """``logits = head(mean(block_4(block_3(block_2(block_1(x))))))``: four residual blocks and a linear head.

    With its four default widths it has 12.4 million parameters below the head, with ``(64, 128, 256, 512)`` 8.0
    million. Images of any size from 16 pixels do, since the last feature maps are averaged.

    Shapes:
        inputs: ``[example, channels, height, width]`` -> logits ``[example, ways]``

    Raises:
        BadInputError: a size is not positive, the image is too small for four halvings, or the norm is unknown.

    Source: Oreshkin, Rodriguez and Lacoste (2018), "TADAM", section 4; in these widths Lee et al. (2019),
    "Meta-learning with differentiable convex optimization", section 4.1, here without DropBlock.

    >>> import torch
    >>> ResNet12(ways=5, widths=(4, 8, 8, 16))(torch.zeros(3, 3, 84, 84)).shape
    torch.Size([3, 5])
    """

    def __init__(
        self,
        ways: int,
        *,
        channels: int = 3,
        widths: Sequence[int] = (64, 160, 320, 640),
        norm: Norm = "batch",
        activation: Activation = leaky_relu,
    ) -> None:
        super().__init__()
        if len(widths) != 4 or min(ways, channels, *widths) < 1:
            raise BadInputError(f"ResNet12 needs four widths, and positive sizes, not {ways=}, {channels=}, {widths=}.")
        sizes = pairwise([channels, *widths])
        self.blocks = nn.Sequential(*[ResidualBlock(before, width, norm, activation) for before, width in sizes])
        self.head = nn.Linear(widths[-1], ways)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits ``[example, ways]`` of images ``[example, channels, height, width]``."""
        if min(inputs.shape[-2:]) < 16:
            height, width = inputs.shape[-2:]
            raise BadInputError(f"images of {height}x{width} are too small for four max-poolings; use 16x16 or more.")
        logits: Tensor = self.head(self.blocks(inputs).mean((2, 3)))
        return logits
