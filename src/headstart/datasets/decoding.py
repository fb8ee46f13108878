"""From an image file to pixels: any mode, any size, any orientation, to one square of 8 bits."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps

from headstart.datasets.drawings import as_drawing

WIDE = {"I", "I;16", "I;16B", "I;16L", "I;16N"}
"""Modes of images of 16 bits."""


class Form(NamedTuple):
    """What images are brought to.

    Attributes:
        size: pixels along each side.
        channels: 1 for grey, 3 for red, green and blue.
        invert: whether dark becomes bright.
        drawing: whether its ink, dark or bright, is brought to the middle and to one size, in one channel.
    """

    size: int
    channels: int
    invert: bool
    drawing: bool = False


def decode(path: Path, form: Form) -> np.ndarray:
    """The image upright as its EXIF data say, on white where it is transparent, and of its middle square the means over
    the areas of the new pixels.

    Shapes:
        result: uint8 ``[channels, size, size]``

    Raises:
        Exception: whatever Pillow makes of a file that it cannot read.
    """
    with Image.open(path) as image:
        check_size(image)
        image.draft(None, (4 * form.size, 4 * form.size))
        pixels = flat(ImageOps.exif_transpose(image)).convert("L" if form.channels == 1 else "RGB")
    if form.drawing:
        drawn = as_drawing(torch.from_numpy(np.array(pixels))[None], form.size)
        return (255 * drawn).round().to(torch.uint8).numpy()
    side, left, top = min(pixels.size), pixels.width // 2, pixels.height // 2
    left, top = left - side // 2, top - side // 2
    square = pixels.crop((left, top, left + side, top + side)).resize((form.size, form.size), Image.Resampling.BOX)
    array = np.asarray(square).reshape(form.size, form.size, form.channels).transpose(2, 0, 1)
    return 255 - array if form.invert else array


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
