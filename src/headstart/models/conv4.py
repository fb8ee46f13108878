"""The four-block convolutional network of the few-shot literature."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from headstart.errors import BadInputError
from headstart.models.normalization import BatchNorm, GroupNorm

Activation = Callable[[Tensor], Tensor]
Norm = Literal["batch", "batch_shift", "group", "layer", "none"]


def normalization(norm: Norm, channels: int) -> nn.Module:
    """The layer that ``norm`` names: ``batch_shift`` has a bias and no weight, as in MAML's code, ``group`` has up to 8
    groups, ``layer`` has one over channels and space.

    >>> normalization("layer", 64).groups
    1
    """
    layers: dict[str, Callable[[], nn.Module]] = {
        "batch": lambda: BatchNorm(channels),
        "batch_shift": lambda: BatchNorm(channels, scale=False),
        "group": lambda: GroupNorm(math.gcd(8, channels), channels),
        "layer": lambda: GroupNorm(1, channels),
        "none": nn.Identity,
    }
    if norm not in layers:
        raise BadInputError(f"norm={norm!r} is unknown; choose one of {', '.join(layers)}.")
    return layers[norm]()


class ConvBlock(nn.Module):
    """3x3 convolution, normalization, activation and a halving of the image, by stride or by 2x2 max-pooling.

    Shapes:
        inputs: ``[example, channels, height, width]`` -> ``[example, width, ceil or floor(height / 2), ...]``
    """

    def __init__(self, channels: int, width: int, downsample: str, norm: Norm, activation: Activation) -> None:
        super().__init__()
        stride = 2 if downsample == "stride" else 1
        self.conv = nn.Conv2d(channels, width, kernel_size=3, stride=stride, padding=1, bias=norm == "none")
        self.norm = normalization(norm, width)
        self.activation = activation
        self.pool = nn.Identity() if downsample == "stride" else nn.MaxPool2d(2)

    def forward(self, inputs: Tensor) -> Tensor:
        """One block."""
        outputs: Tensor = self.pool(self.activation(self.norm(self.conv(inputs))))
        return outputs


class Conv4(nn.Module):
    """``logits = head(block_4(block_3(block_2(block_1(x)))))``: four convolutional blocks and a linear head.

    ``downsample="stride"`` with ``features="mean"`` is the network of MAML's Omniglot experiments, ``"max_pool"`` with
    ``"flatten"`` the one of its MiniImagenet experiments and of most later work. A convolution that a normalization
    follows has no bias, since the normalization would remove it.

    Shapes:
        inputs: ``[example, channels, image_size, image_size]`` -> logits ``[example, ways]``

    Raises:
        BadInputError: the image is too small for four halvings, or an argument has none of its values.

    Source: Vinyals et al. (2016), section 4.1; Finn, Abbeel and Levine (2017), section 5.2.

    >>> import torch
    >>> Conv4(ways=5)(torch.zeros(3, 1, 28, 28)).shape
    torch.Size([3, 5])
    """

    def __init__(
        self,
        ways: int,
        *,
        channels: int = 1,
        width: int = 64,
        image_size: int = 28,
        downsample: Literal["stride", "max_pool"] = "stride",
        features: Literal["flatten", "mean"] = "flatten",
        norm: Norm = "batch",
        activation: Activation = F.relu,
    ) -> None:
        super().__init__()
        for name, value, values in (
            ("downsample", downsample, ("stride", "max_pool")),
            ("features", features, ("flatten", "mean")),
        ):
            if value not in values:
                raise BadInputError(f"{name}={value!r} is unknown; choose one of {', '.join(values)}.")
        if min(ways, channels, width, image_size) < 1:
            raise BadInputError(f"Conv4 needs positive sizes, not {ways=}, {channels=}, {width=}, {image_size=}.")
        size = image_size
        for _ in range(4):
            size = (size + 1) // 2 if downsample == "stride" else size // 2
        if size == 0:
            raise BadInputError(f"image_size={image_size} is too small for four max-poolings; use 16 or more.")
        self.blocks = nn.Sequential(
            *[ConvBlock(channels if i == 0 else width, width, downsample, norm, activation) for i in range(4)]
        )
        self.features = features
        self.head = nn.Linear(width * (size * size if features == "flatten" else 1), ways)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits ``[example, ways]`` of images ``[example, channels, image_size, image_size]``."""
        maps = self.blocks(inputs)
        features = maps.flatten(1) if self.features == "flatten" else maps.mean((2, 3))
        logits: Tensor = self.head(features)
        return logits
