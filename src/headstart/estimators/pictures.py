"""Pictures as people have them, in files or from Pillow, as tensors."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from headstart.datasets.decoding import Form, decode
from headstart.datasets.folder import images_below, is_hidden, list_images
from headstart.errors import BadInputError

Picture = str | Path | Image.Image
NAMED = 5
"""Unreadable files that a message names."""


class UnreadableError(BadInputError):
    """A file that cannot be read as an image."""


def read_picture(picture: Picture, form: Form) -> Tensor:
    """A picture as :func:`headstart.datasets.decoding.decode` makes it for tasks as well.

    Shapes:
        result: float ``[channel, height, width]``, 0 (black) to 1

    Raises:
        UnreadableError: it cannot be read, has more pixels than Pillow thinks safe, or is a drawing of nothing.

    >>> read_picture(Image.new("RGB", (30, 20), "red"), Form(28, 3, invert=False)).shape
    torch.Size([3, 28, 28])
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata; what is too large is refused
            pixels = decode(Path(picture) if isinstance(picture, str) else picture, form)
    except Exception as error:  # Pillow's plugins raise what they like
        raise UnreadableError(f"{named(picture)} cannot be read as an image ({reason(error)}).") from error
    if form.drawing and not pixels.any():
        raise UnreadableError(f"{named(picture)} shows nothing: all of it is of one colour.")
    return torch.tensor(pixels) / 255


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


def pictures_in(places: Iterable[Path]) -> list[Path]:
    """Images, and those in folders.

    Raises:
        BadInputError: a folder has none.
    """
    found = [(place, [place / file for file in images_below(place)] if place.is_dir() else [place]) for place in places]
    if empty := [str(place) for place, files in found if not files]:
        raise BadInputError(f"{empty[0]!r} has no image in it; name images, or a folder that has some.")
    return [file for _, files in found for file in files]


def labelled_pictures(root: Path) -> tuple[list[Path], list[str]]:
    """The images of a folder and the class of each, as ``--data folder:PATH`` has them.

    Raises:
        BadInputError: there is no such folder, a sub-folder has no image, or there are none.
    """
    listing = list_images(root)
    folders = {path.name for path in root.iterdir() if path.is_dir() and not is_hidden(path.name)}
    empty = sorted(folders - {PurePosixPath(file).parts[0] for file in listing.files})
    if empty and listing.split is None:
        raise BadInputError(
            f"{str(root)!r} has no image of {', '.join(map(repr, empty))}; add one, or take the folder away."
        )
    return [root / file for file in listing.files], list(listing.labels)


def each_read(pictures: Iterable[Picture], form: Form) -> Iterator[Tensor]:
    """The pictures one after the other, as :func:`read_picture` has them.

    Raises:
        UnreadableError: some cannot be read; the message, which comes at the end, names them together.
    """
    errors = []
    for picture in pictures:
        try:
            yield read_picture(picture, form)
        except UnreadableError as error:
            errors.append(str(error))
    if errors:
        more = f" And {len(errors) - NAMED} more." * (len(errors) > NAMED)
        raise UnreadableError(" ".join(errors[:NAMED]) + more)
