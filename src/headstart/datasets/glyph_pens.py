"""How a glyph's drawings are inked: by one pen, or by many, some of them seen from afar."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from headstart.datasets.drawings import as_drawing, square_around
from headstart.datasets.glyph_hands import BLOCK, perform_block, trace

PEN = 5 / 105  # diameter of the pen: 5 of the 105 pixels of an Omniglot drawing
WIDEST = 3.5  # of many pens, in diameters of the one
PAGE = 84  # pixels of a side of the page that many pens draw on
AT_ONCE = 100  # drawings that are inked at a time: 100 MB
FROM_AFAR = 0.35  # share of the drawings that many pens draw which are seen in few pixels
FEWEST, MOST = 8, 24  # pixels of the longer side of such a drawing


def ink(pen: Tensor, radius: Tensor, drawing: Tensor, drawings: int, size: int) -> Tensor:
    """Drawings ``[drawing, 1, size, size]``: 255 on the pixels whose centres are within ``radius`` of the pen."""
    reach = float(radius.max())
    pixel = torch.ceil(pen - reach - 0.5).long()[..., None] + torch.arange(int(2 * reach) + 1)
    column, row = pixel.unbind(1)
    across, down = (pixel + 0.5 - pen[..., None]).square().unbind(1)
    touched = down[:, :, None] + across[:, None, :] <= radius.square()[:, None, None]
    on_page = (pixel >= 0) & (pixel < size)
    touched &= on_page[:, 1, :, None] & on_page[:, 0, None, :]
    index = (drawing[:, None, None] * size + row[:, :, None]) * size + column[:, None, :]
    images = torch.zeros(drawings * size * size, dtype=torch.uint8)
    images[index[touched]] = 255
    return images.view(drawings, 1, size, size)


def with_one_pen(seed: int, block: int, examples: int, size: int) -> Tensor:
    """The drawings of a block of classes, ``[class, example, 1, size, size]``."""
    points, corner, drawn, dice = perform_block(seed, block, examples)
    radius = (PEN / 2 * size * torch.exp(0.04 * dice.normal())).clamp(min=math.sqrt(0.5))  # reaches a pixel's corner
    pen, drawing = trace(points, corner, drawn, size)
    images = ink(pen, radius[drawing], drawing, len(points), size)
    return images.view(BLOCK, examples, 1, size, size)


def with_many_pens(seed: int, block: int, examples: int, size: int) -> Tensor:
    """The same, each drawing with a pen of another width, some seen from afar; all of them as ``as_drawing`` has it."""
    points, corner, drawn, dice = perform_block(seed, block, examples)
    radius = PEN / 2 * PAGE * torch.exp(math.log(WIDEST) * dice.uniform())
    pen, drawing = trace(points, corner, drawn, PAGE)
    afar = torch.where(dice.chance(FROM_AFAR), FEWEST + dice.whole(MOST - FEWEST), PAGE)
    images = []
    for start in range(0, len(points), AT_ONCE):
        own = (drawing >= start) & (drawing < start + AT_ONCE)
        pages = ink(pen[own], radius[drawing[own]], drawing[own] - start, AT_ONCE, PAGE).float()
        seen = zip(pages, afar[start : start + AT_ONCE].tolist(), strict=True)
        images += [as_drawing(page if pixels == PAGE else from_afar(page[0], pixels), size) for page, pixels in seen]
    return (255 * torch.stack(images)).round().byte().view(BLOCK, examples, 1, size, size)


def from_afar(page: Tensor, pixels: int) -> Tensor:
    """A drawing of few pixels, and these so smooth that they are seen no more; ``[1, side, side]``."""
    box = square_around(page / 255, share=1.0)[None, None]
    few = F.interpolate(box, size=(pixels, pixels), mode="bilinear", antialias=True)
    return F.interpolate(F.pad(few, (1, 1, 1, 1)), size=(PAGE, PAGE), mode="bilinear")[0]
