"""Anybody's drawings as glyphs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def as_drawing(image: Tensor, size: int = 28) -> Tensor:
    """A drawing as a glyph: ink 1 on paper 0, in the middle.

    Shapes:
        image: ``[channel, height, width]``, any scale and size -> float ``[1, size, size]``

    >>> as_drawing(torch.rand(3, 50, 80), size=28).shape
    torch.Size([1, 28, 28])
    """
    grey = image.float().mean(0)
    paper = torch.cat([grey[0], grey[-1], grey[:, 0], grey[:, -1]]).median()
    amount = (grey - paper).abs()
    rows, columns = (amount > amount.max() / 2).any(1).nonzero(), (amount > amount.max() / 2).any(0).nonzero()
    if len(rows):
        amount = amount[int(rows.min()) : int(rows.max()) + 1, int(columns.min()) : int(columns.max()) + 1]
    height, width = amount.shape
    side = max(height, width)
    square = F.pad(amount, [(side - width) // 2 + side // 4] * 2 + [(side - height) // 2 + side // 4] * 2)
    drawn = F.interpolate(square[None, None], size=(size, size), mode="bilinear", antialias=True)[0]
    return drawn / drawn.max().clamp(min=torch.finfo(drawn.dtype).tiny)
