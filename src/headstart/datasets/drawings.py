"""Anybody's drawings, in one form: ink bright on dark paper, the drawing in the middle and as large as all others."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from headstart.errors import BadInputError

SIDE = 0.72
"""Longer side of a drawing's box, as a share of the page."""
INK = 0.5
"""What belongs to the drawing: where there is more ink than this, of the most that there is anywhere."""

MOST = 4096
"""Pixels of a side of an image, at most: a longer one is made smaller before it is put on a square page."""


def ink_of(image: Tensor) -> Tensor:
    """How much ink is on each pixel, 0 (paper) to 1 (the darkest or brightest of it), ``[height, width]``.

    Paper is what most of the border is; ink is what differs from it, darker or brighter. A page without ink stays 0.

    Shapes:
        image: ``[channel, height, width]``, any scale

    >>> ink_of(torch.tensor([[[9.0, 9.0, 9.0], [9.0, 1.0, 9.0], [9.0, 9.0, 5.0]]]))
    tensor([[0.0000, 0.0000, 0.0000],
            [0.0000, 1.0000, 0.0000],
            [0.0000, 0.0000, 0.5000]])
    """
    grey = image.float().mean(0)
    border = torch.cat([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    difference = grey - border.median()
    side = 1 if difference.max() >= -difference.min() else -1
    amount = (side * difference).clamp(min=0).abs()
    return amount / amount.max().clamp(min=torch.finfo(amount.dtype).tiny)


def square_around(amount: Tensor, share: float) -> Tensor:
    """The square page on which the box around all ink lies in the middle, its longer side ``share`` of the page's.

    Shapes:
        amount: ``[height, width]`` -> ``[side, side]``, paper where ``amount`` has no pixels

    >>> square_around(torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]), share=0.5)
    tensor([[0., 0., 0., 0.],
            [0., 1., 1., 0.],
            [0., 0., 0., 0.],
            [0., 0., 0., 0.]])
    """
    longest = max(amount.shape)
    if longest > MOST:
        size = [max(1, round(side * MOST / longest)) for side in amount.shape]
        amount = F.interpolate(amount[None, None], size=size, mode="area")[0, 0]
    rows, columns = ((amount > INK).any(axis).nonzero()[:, 0] for axis in (1, 0))
    if len(rows) == 0:
        return amount
    (top, bottom), (left, right) = ((int(lines[0]), int(lines[-1]) + 1) for lines in (rows, columns))
    side = max(2, round(max(bottom - top, right - left) / share))
    above, before = (side - (bottom - top)) // 2 - top, (side - (right - left)) // 2 - left
    height, width = amount.shape
    return F.pad(amount, (before, side - width - before, above, side - height - above))


def as_drawing(image: Tensor, size: int = 28) -> Tensor:
    """A drawing in the form that learners of drawings are trained on: ink 1 on paper 0, centred, of one size.

    Ink may be dark on bright or bright on dark, in colour or grey.

    Shapes:
        image: ``[channel, height, width]``, any scale and size -> float ``[1, size, size]``

    Raises:
        BadInputError: it is no such image, or has values that are not finite.

    >>> as_drawing(torch.rand(3, 50, 80), size=28).shape
    torch.Size([1, 28, 28])
    """
    if not isinstance(image, Tensor) or image.ndim != 3 or not image.numel() or not image.isfinite().all():
        raise BadInputError(
            "a drawing is a tensor [channel, height, width] of finite numbers; add a channel axis by image[None]."
        )
    page = square_around(ink_of(image), SIDE)
    small = F.interpolate(page[None, None], size=(size, size), mode="bilinear", antialias=True)[0]
    return (small / small.max().clamp(min=torch.finfo(small.dtype).tiny)).clamp(0, 1)
