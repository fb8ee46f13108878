"""From an image file to pixels: any mode, any size, any orientation, to one square of 8 bits."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps

from headstart.datasets.drawings import as_drawing

VERSION = 1
"""Of what ``decode`` makes of a file: one more whenever that changes, so that cached pixels are made anew."""
WIDE = {"I", "I;16", "I;16B", "I;16L", "I;16N"}
"""Modes of images of 16 bits."""


class Form(NamedTuple):
    """What images are brought to.

    Attributes:
        size: pixels along each side, or from top to bottom.
        channels: 1 for grey, 3 for red, green and blue.
        invert: whether dark becomes bright.
        drawing: whether its ink, dark or bright, is brought to the middle and to one size, in one channel.
        width: pixels from left to right, if they are not as many.
    """

    size: int
    channels: int
    invert: bool
    drawing: bool = False
    width: int | None = None


def decode(picture: Path | Image.Image, form: Form) -> np.ndarray:
    """The image upright as its EXIF data say, on white where it is transparent, and of its middle the means over the
    areas of the new pixels.

    Shapes:
        result: uint8 ``[channels, size, size]``

    Raises:
        Exception: whatever Pillow makes of a file that it cannot read.
    """
    with nullcontext(picture) if isinstance(picture, Image.Image) else Image.open(picture) as image:
        check_size(image)
        if isinstance(picture, Path) and not form.drawing:  # whose ink may be in a small part of the page
            image.draft(None, (4 * (form.width or form.size), 4 * form.size))
        pixels = flat(ImageOps.exif_transpose(image)).convert("L" if form.channels == 1 else "RGB")
    if form.drawing:
        drawn = as_drawing(torch.from_numpy(np.array(pixels))[None], form.size)
        return (255 * drawn).round().to(torch.uint8).numpy()
    array = np.asarray(middle(pixels, form.size, form.width or form.size))
    array = array.reshape(*array.shape[:2], form.channels).transpose(2, 0, 1)
    return 255 - array if form.invert else array


def middle(image: Image.Image, height: int, width: int) -> Image.Image:
    """The largest part in the middle that has the proportions of ``height`` and ``width``, in that size: each new pixel
    the mean over its area.

    >>> middle(Image.new("L", (60, 20)), 28, 28).size
    (28, 28)
    """
    scale = min(image.width / width, image.height / height)
    columns, rows = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = image.width // 2 - columns // 2, image.height // 2 - rows // 2
    return image.crop((left, top, left + columns, top + rows)).resize((width, height), Image.Resampling.BOX)


def check_size(image: Image.Image) -> None:
    """Refuses an image of more pixels than Pillow thinks safe, which may be made to fill the memory."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit and image.width * image.height > limit:
        raise ValueError(f"{image.width} x {image.height} pixels are more than the {limit:,} that are thought safe")


def flat(image: Image.Image) -> Image.Image:
    """The image in 8 bits, without what is transparent."""
    if image.mode in WIDE:
        return Image.fromarray((np.asarray(image).astype(np.float64) / 257).round().clip(0, 255).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("pixels are floating-point numbers of unknown scale")
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        above = image.convert("RGBA")
        paper = Image.new("RGBA", above.size, "white")
        return Image.alpha_composite(paper, above)
    return image
