"""Pictures as people have them, in files or from Pillow, as tensors."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from headstart.datasets.decoding import check_size, flat
from headstart.datasets.folder import image_suffixes
from headstart.errors import BadInputError

Picture = str | Path | Image.Image
NAMED = 5
"""Unreadable files that a message names."""


class UnreadableError(BadInputError):
    """A file that cannot be read as an image."""


def read_picture(picture: Picture) -> Tensor:
    """A picture upright, on white where it is transparent, with one channel if it is grey and three if not.

    Shapes:
        result: float ``[channel, height, width]``, 0 (black) to 1

    Raises:
        UnreadableError: it cannot be read, or has more pixels than Pillow thinks safe.

    >>> read_picture(Image.new("RGB", (30, 20), "red")).shape
    torch.Size([3, 20, 30])
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata; what is too large is refused
            upright = decoded(picture)
    except Exception as error:  # Pillow's plugins raise what they like
        raise UnreadableError(f"{named(picture)} cannot be read as an image ({reason(error)}).") from error
    pixels = np.array(upright.convert("L" if upright.mode in ("1", "L") else "RGB"), dtype=np.float32) / 255
    return torch.from_numpy(np.moveaxis(pixels.reshape(*pixels.shape[:2], -1), -1, 0).copy())


def decoded(picture: Picture) -> Image.Image:
    """The image in 8 bits, turned as its EXIF data say."""
    with nullcontext(picture) if isinstance(picture, Image.Image) else Image.open(picture) as image:
        check_size(image)
        return flat(ImageOps.exif_transpose(image))


def named(picture: Picture) -> str:
    """What a message calls a picture."""
    return "a Pillow image" if isinstance(picture, Image.Image) else repr(str(picture))


def reason(error: Exception) -> str:
    """Why a picture cannot be read, in a few words."""
    if isinstance(error, UnidentifiedImageError):
        return "no image that Pillow knows"
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(said.split()).rstrip(".")


def are_pictures(X: Any) -> bool:  # noqa: N803  (scikit-learn's name)
    """Whether ``X`` is a list of files or of Pillow's images, and no numbers.

    >>> are_pictures(["a.png", "b.png"]), are_pictures([[0.0, 1.0]])
    (True, False)
    """
    return isinstance(X, (list, tuple, np.ndarray)) and len(X) > 0 and all(isinstance(item, Picture) for item in X)


def pictures_below(folder: Path) -> list[Path]:
    """The images in a folder and in those in it, in the order of their names; what is hidden, or has no image's suffix,
    is left aside."""
    suffixes = image_suffixes()
    files = (path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
    return sorted(path for path in files if not is_hidden(path.relative_to(folder)))


def pictures_in(places: Iterable[Path]) -> list[Path]:
    """Images, and those in folders.

    Raises:
        BadInputError: a folder has none.
    """
    found = [(place, pictures_below(place) if place.is_dir() else [place]) for place in places]
    if empty := [str(place) for place, files in found if not files]:
        raise BadInputError(f"{empty[0]!r} has no image in it; name images, or a folder that has some.")
    return [file for _, files in found for file in files]


def is_hidden(path: Path) -> bool:
    """Whether a file, or a folder above it, is not meant to be seen."""
    return any(part.startswith((".", "__MACOSX")) for part in path.parts)


def labelled_pictures(root: Path) -> tuple[list[Path], list[str]]:
    """The images of ``root/class/image``, and the class of each.

    Raises:
        BadInputError: there is no such folder, a class has no image, or there are none.
    """
    if not root.is_dir():
        raise BadInputError(f"{str(root)!r} is no folder; name one that has a sub-folder of images for each class.")
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not is_hidden(path.relative_to(root)))
    found = {folder.name: pictures_below(folder) for folder in folders}
    if not found:
        raise BadInputError(
            f"{str(root)!r} has no sub-folders; put the images of each class into one, as in {root}/CLASS/image.png."
        )
    if empty := [name for name, files in found.items() if not files]:
        raise BadInputError(
            f"{str(root)!r} has no image of {', '.join(map(repr, empty))}; add one, or take the folder away."
        )
    return [file for files in found.values() for file in files], [name for name, files in found.items() for _ in files]


def each_read(pictures: Iterable[Picture]) -> Iterator[Tensor]:
    """The pictures one after the other.

    Raises:
        UnreadableError: some cannot be read; the message, which comes at the end, names them together.
    """
    errors = []
    for picture in pictures:
        try:
            yield read_picture(picture)
        except UnreadableError as error:
            errors.append(str(error))
    if errors:
        more = f" And {len(errors) - NAMED} more." * (len(errors) > NAMED)
        raise UnreadableError(" ".join(errors[:NAMED]) + more)
