"""A Conv4-like network whose blocks choose among operations by learned shares."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from headstart.errors import BadInputError
from headstart.models.conv4 import Activation, Norm, normalization


class Convolution(nn.Module):
    """Convolution, normalization and activation, halving the image by stride or, after them, by 2x2 max-pooling.

    A separable convolution is one of each channel by itself, and then a 1x1 convolution that mixes the channels.

    Shapes:
        inputs: ``[example, channels, height, width]`` -> ``[example, outputs, ceil(height / 2), ceil(width / 2)]``
    """

    def __init__(
        self,
        channels: int,
        width: int,
        norm: Norm,
        activation: Activation,
        *,
        kernel: int = 3,
        separable: bool = False,
        pool: bool = False,
        narrow: bool = False,
    ) -> None:
        super().__init__()
        self.outputs = max(1, width // 2) if narrow else width
        stride, bias = 1 if pool else 2, norm == "none"
        if separable:
            spatial = nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False)
            self.conv: nn.Module = nn.Sequential(spatial, nn.Conv2d(channels, self.outputs, 1, bias=bias))
        else:
            self.conv = nn.Conv2d(channels, self.outputs, kernel, stride, kernel // 2, bias=bias)
        self.norm = normalization(norm, self.outputs)
        self.activation = activation
        self.pool = nn.MaxPool2d(2, ceil_mode=True) if pool else nn.Identity()

    def forward(self, inputs: Tensor) -> Tensor:
        """The maps of one block."""
        outputs: Tensor = self.pool(self.activation(self.norm(self.conv(inputs))))
        return outputs


class Skip(nn.Module):
    """2x2 averages of the maps as they are: no weights, and as many channels as there were.

    Shapes:
        inputs: ``[example, channels, height, width]`` -> ``[example, channels, ceil(height / 2), ceil(width / 2)]``
    """

    def __init__(self, channels: int, width: int, norm: Norm, activation: Activation) -> None:
        super().__init__()
        self.outputs = channels

    def forward(self, inputs: Tensor) -> Tensor:
        """The averages; of fewer pixels at an odd edge."""
        return F.avg_pool2d(inputs, 2, ceil_mode=True)


OPERATIONS: dict[str, Callable[[int, int, Norm, Activation], Convolution | Skip]] = {
    "conv3": Convolution,
    "conv5": partial(Convolution, kernel=5),
    "separable3": partial(Convolution, separable=True),
    "separable5": partial(Convolution, separable=True, kernel=5),
    "pool3": partial(Convolution, pool=True),
    "narrow3": partial(Convolution, narrow=True),
    "skip": Skip,
}
"""What a block can be: 3x3 or 5x5, plain or separable, halving by stride or (``pool3``) by max-pooling, with all or
(``narrow3``) half of the width; ``skip`` does no more than halve the image."""


EVERY_OPERATION = (tuple(OPERATIONS),) * 4
"""The whole space: in each of four blocks a choice among all operations."""


class MixedBlock(nn.Module):
    """``sum over k of softmax(structure)[k] * operation_k(x)``, or the one operation alone if there is but one.

    Operations with fewer channels than others get channels of zeros.

    Shapes:
        inputs: ``[example, channels, height, width]`` -> ``[example, outputs, ceil(height / 2), ceil(width / 2)]``;
        structure: ``[operation]``
    """

    def __init__(
        self, candidates: Sequence[str], channels: int, width: int, norm: Norm, activation: Activation
    ) -> None:
        super().__init__()
        self.candidates = tuple(candidates)
        operations = {name: OPERATIONS[name](channels, width, norm, activation) for name in self.candidates}
        self.operations = nn.ModuleDict(operations)
        self.outputs = max(operation.outputs for operation in operations.values())
        self.structure = nn.Parameter(torch.zeros(len(self.candidates))) if len(self.candidates) > 1 else None

    @property
    def strongest(self) -> str:
        """The operation with the largest share; the first of equals."""
        return self.candidates[0 if self.structure is None else int(self.structure.argmax())]

    def keep_strongest(self) -> None:
        """Drops all operations but the strongest; what follows finds as many channels as before."""
        self.candidates = (self.strongest,)
        self.operations = nn.ModuleDict({name: self.operations[name] for name in self.candidates})
        self.structure = None

    def padded(self, maps: Tensor) -> Tensor:
        """The maps of an operation, and zeros for the channels that it lacks."""
        lacking = self.outputs - maps.shape[1]
        return F.pad(maps, (0, 0, 0, 0, 0, lacking)) if lacking else maps

    def forward(self, inputs: Tensor) -> Tensor:
        """The mixture of the operations."""
        outputs = [self.padded(operation(inputs)) for operation in self.operations.values()]
        if self.structure is None:
            return outputs[0]
        terms: list[Tensor] = [share * maps for share, maps in zip(self.structure.softmax(0), outputs, strict=True)]
        return sum(terms[1:], terms[0])


class SearchableConv4(nn.Module):
    """``logits = head(block_4(... block_1(x)))``, where every block is a mixture of operations with learned shares.

    The shares are ``softmax(structure)``, one parameter ``structure`` in each block that has a choice, which begins at
    zero. With one candidate for every block there is none: it is then an ordinary network of that structure, and
    ``SearchableConv4(ways, found.strongest)`` is the discretised form of one whose structure was learned.
    ``conv3`` four times is :class:`headstart.Conv4`.

    Args:
        ways: outputs of the head.
        candidates: for each block its operation, or those that it is a mixture of: ``conv3``, ``conv5``,
            ``separable3``, ``separable5``, ``pool3`` (3x3, then max-pooling), ``narrow3`` (half of the width) and
            ``skip`` (2x2 averages).

    Shapes:
        inputs: ``[example, channels, image_size, image_size]`` -> logits ``[example, ways]``

    Raises:
        BadInputError: a block has no operation left, or one that is unknown, or a size is not positive.

    Source: the softmax over operations is that of Liu, Simonyan and Yang (2019), "DARTS", section 2.2; the space is
    headstart's own, around the four blocks of Vinyals et al. (2016).

    >>> import torch
    >>> model = SearchableConv4(5, [("conv3", "skip"), "conv5"], width=8)
    >>> model(torch.zeros(3, 1, 28, 28)).shape, model.strongest
    (torch.Size([3, 5]), ('conv3', 'conv5'))
    >>> [name for name, _ in model.named_parameters() if name.endswith("structure")]
    ['blocks.0.structure']
    """

    def __init__(
        self,
        ways: int,
        candidates: Sequence[str | Sequence[str]] = EVERY_OPERATION,
        *,
        channels: int = 1,
        width: int = 64,
        image_size: int = 28,
        norm: Norm = "batch",
        activation: Activation = F.relu,
    ) -> None:
        super().__init__()
        if min(ways, channels, width, image_size) < 1:
            raise BadInputError(
                f"SearchableConv4 needs positive sizes, not {ways=}, {channels=}, {width=}, {image_size=}."
            )
        known = ", ".join(OPERATIONS)
        if not candidates:
            raise BadInputError("a network needs at least one block; give candidates for one.")
        blocks: list[MixedBlock] = []
        for number, choice in enumerate(candidates, start=1):
            names = (choice,) if choice and isinstance(choice, str) else choice
            if not names:
                raise BadInputError(f"block {number} has no operation left; give it one of {known}.")
            if unknown := [name for name in names if name not in OPERATIONS]:
                raise BadInputError(f"block {number} has an unknown operation {unknown[0]!r}; choose from {known}.")
            if len({*names}) < len(names):
                raise BadInputError(f"block {number} has an operation twice; name each of {', '.join(names)} once.")
            blocks.append(MixedBlock(names, blocks[-1].outputs if blocks else channels, width, norm, activation))
            image_size = (image_size + 1) // 2
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(blocks[-1].outputs * image_size**2, ways)

    @property
    def strongest(self) -> tuple[str, ...]:
        """The operation with the largest share in each block."""
        return tuple(block.strongest for block in self.blocks if isinstance(block, MixedBlock))

    def decoded(self) -> SearchableConv4:
        """The network in which each block is its strongest operation alone, with the weights as they are.

        >>> list(SearchableConv4(5, [("conv3", "skip"), "conv5"], width=8).decoded().blocks[0].operations)
        ['conv3']
        """
        found = copy.deepcopy(self)
        for block in found.blocks:
            if isinstance(block, MixedBlock):
                block.keep_strongest()
        return found

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits ``[example, ways]`` of images ``[example, channels, image_size, image_size]``."""
        logits: Tensor = self.head(self.blocks(inputs).flatten(1))
        return logits
