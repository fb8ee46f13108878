"""Square 1-bit images at another size: the nearest pixel, the ink's exact share of each new pixel's area, or a
drawing in the middle of the page."""

from __future__ import annotations

import torch
from torch import Tensor

from headstart.datasets.drawings import as_drawing


def nearest(bits: Tensor, size: int) -> Tensor:
    """Each new pixel takes the old pixel below its centre: ``index = floor((i + 1/2) * side / size)`` in both axes.

    Shapes:
        bits: uint8 ``[..., side, side]``, 1 is ink
        returns: uint8 ``[..., size, size]``, 255 is ink

    >>> nearest(torch.tensor([[0, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.uint8), 2)
    tensor([[  0,   0],
            [  0, 255]], dtype=torch.uint8)
    """
    index = (2 * torch.arange(size) + 1) * bits.shape[-1] // (2 * size)
    return bits[..., index, :][..., index] * 255


def area(bits: Tensor, size: int) -> Tensor:
    """Each new pixel is the share of its area that is ink: ``255 * W bits W^T / side^2``, rounded.

    ``W[i, j]`` is how much of old pixel ``j`` new pixel ``i`` covers, in units of ``1 / size`` of an old pixel: whole
    numbers, so that the sums are exact in float32.

    Shapes:
        bits: uint8 ``[..., side, side]``, 1 is ink, with ``size <= side <= 2048``
        returns: uint8 ``[..., size, size]``, 0 (paper) to 255 (ink)

    >>> area(torch.tensor([[0, 1, 1], [0, 1, 1], [0, 0, 0]], dtype=torch.uint8), 2)
    tensor([[ 85, 255],
            [ 28,  85]], dtype=torch.uint8)
    """
    side = bits.shape[-1]
    new, old = torch.arange(size)[:, None] * side, torch.arange(side) * size
    coverage = (torch.minimum(new + side, old + size) - torch.maximum(new, old)).clamp(min=0).float()
    ink = coverage @ bits.float() @ coverage.T
    return ink.mul_(255 / side**2).round_().to(torch.uint8)


def drawing(bits: Tensor, size: int) -> Tensor:
    """Each image as :func:`headstart.as_drawing` makes it.

    Shapes:
        bits: uint8 ``[image, side, side]``, 1 is ink
        returns: uint8 ``[image, size, size]``, 0 (paper) to 255 (ink)

    >>> drawing(torch.ones(2, 7, 7, dtype=torch.uint8), 28).shape
    torch.Size([2, 28, 28])
    """
    return torch.cat([(255 * as_drawing(image[None], size)).round().to(torch.uint8) for image in bits])
