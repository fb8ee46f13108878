"""From what people have (arrays, files, pictures) to what a learner takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from headstart.datasets.drawings import as_drawing, ink_of
from headstart.errors import BadInputError
from headstart.estimators.pictures import UnreadableError, are_pictures, each_read
from headstart.learners.base import Learner

WHITES = (1, 16, 255, 65535)
"""The largest values that images have: of shares, of 4, 8 and 16 bits."""
CHANNELS = (1, 3, 4)
"""Numbers of channels: of grey, colour, and colour with transparency."""
PREPARES = ("auto", "drawing", "none", None)


@dataclass(frozen=True)
class Inputs:
    """How examples become what a learner takes: ``inputs(X)``, a tensor ``[example, *features]``.

    Attributes:
        example: the shape of an example that the learner takes; ``None`` if it does not say, and takes anything.
        prepare: ``"drawing"`` or ``"none"``.
        inverted: whether dark becomes bright.
        black, white: of images that are arrays: the values that become 0 and 1.
        double: whether numbers are float64.
    """

    example: tuple[int, ...] | None
    prepare: str
    inverted: bool
    black: float
    white: float
    double: bool

    def __call__(self, X: Any) -> Tensor:  # noqa: N803  (scikit-learn's name)
        """The examples as the learner takes them.

        Raises:
            BadInputError: they cannot be read, or are of another shape.
        """
        dtype = torch.float64 if self.double else torch.float32
        if not takes_images(self.example):
            return torch.from_numpy(as_they_are(X, self.example)).to(dtype)
        prepared = [self.prepared(image) for image in self.images(X)]
        if not prepared:
            raise BadInputError("X is empty; give at least one example.")
        return torch.stack(prepared).to(dtype)

    def images(self, X: Any) -> Iterator[Tensor]:  # noqa: N803
        """Images ``[channel, height, width]`` of 0 to 1, of any sizes."""
        if are_pictures(X):
            for source, image in zip(X, each_read(X), strict=False):  # each_read ends in an error if one is unreadable
                if self.prepare == "drawing" and not ink_of(image).any():
                    raise UnreadableError(f"{str(source)!r} shows nothing: all of it is of one colour.")
                yield image
            return
        for image in arrays_of(X):
            pixels = (image_of(image, self.example or ()) - self.black) / (self.white - self.black)
            if self.prepare != "drawing" and not -0.1 <= pixels.min() <= pixels.max() <= 1.1:
                raise BadInputError(
                    f"X has values from {image.min():g} to {image.max():g}, and the learner was fitted to images from "
                    f"{self.black:g} to {self.white:g}; bring them to the same scale."
                )
            yield torch.from_numpy(pixels.astype(np.float32))

    def prepared(self, image: Tensor) -> Tensor:
        """One image as the learner takes it."""
        channels, height, width = self.example or ()
        if len(image) == 4:
            image = image[:3] * image[3:] + 1 - image[3:]  # on white where it is transparent
        if self.prepare == "drawing":
            drawn = as_drawing(image, height)
        else:
            drawn = resized(image if len(image) == channels else image.mean(0).expand(channels, -1, -1), height, width)
        return 1 - drawn if self.inverted else drawn

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def inputs_of_record(record: dict[str, Any]) -> Inputs:
    """The inputs that ``record()`` was taken of."""
    return Inputs(**{**record, "example": tuple(record["example"]) if record["example"] else None})


def inputs_for(learner: Learner, X: Any, prepare: str | None) -> Inputs:  # noqa: N803
    """How examples like the support set's, ``X``, become what ``learner`` takes.

    Raises:
        BadInputError: ``prepare`` is unknown, or does not fit the learner.
    """
    made_from = learner.made_from or {}
    example = example_shape(learner)
    of_ink = "ink" in made_from or made_from.get("form") == "drawing"
    draws = of_ink and takes_images(example) and made_from["example"][0] == 1 and len({*made_from["example"][1:]}) == 1
    if prepare not in PREPARES:
        raise BadInputError(f"prepare={prepare!r} is unknown; it is one of {', '.join(map(repr, PREPARES))}.")
    if prepare == "drawing" and not draws:
        raise BadInputError("prepare='drawing' is for learners of glyphs and Omniglot; this one needs prepare='none'.")
    drawing = draws and prepare not in ("none", None)
    inverted = made_from.get("ink") == 0 if drawing else made_from.get("polarity") == "inverted"
    black, white = (0.0, 1.0) if not takes_images(example) or are_pictures(X) else range_of(X)
    return Inputs(example, "drawing" if drawing else "none", inverted, black, white, is_double(learner))


def example_shape(learner: Learner) -> tuple[int, ...] | None:
    """The shape of an example that a learner takes; ``None`` if it was built in Python, and does not say."""
    return tuple(learner.made_from["example"]) if learner.made_from else None


def takes_images(example: tuple[int, ...] | None) -> bool:
    """Whether examples of that shape are images."""
    return example is not None and len(example) == 3


def is_double(learner: Learner) -> bool:
    """Whether a learner computes in float64; one that has no parameters does."""
    return next((p.dtype for p in learner.parameters() if p.is_floating_point()), torch.float64) == torch.float64


def range_of(X: Any) -> tuple[float, float]:  # noqa: N803
    """Black and white of images that are arrays: 0 and the least of 1, 16, 255 and 65535 that none exceeds; where a
    value is negative, the least and the largest of all.

    >>> range_of(np.array([[0, 7, 16]])), range_of(np.array([[-1.0, 0.5]]))
    ((0.0, 16.0), (-1.0, 0.5))
    """
    arrays = arrays_of(X)
    low, high = min(float(array.min()) for array in arrays), max(float(array.max()) for array in arrays)
    if low < 0:
        return low, max(high, low + 1)
    return 0.0, float(next((white for white in WHITES if high <= white), high))


def arrays_of(X: Any) -> Any:  # noqa: N803
    """Numbers ``[example, ...]``: one array, or a list of arrays of several sizes.

    Raises:
        BadInputError: they are no numbers, not finite, or none.
    """
    if isinstance(X, Image.Image):
        raise BadInputError("X is one image; give a list of them, [X].")
    if isinstance(X, (list, tuple)) and X and isinstance(X[0], (np.ndarray, Tensor)):
        arrays = [numbers(item) for item in X]
        return np.stack(arrays) if len({array.shape for array in arrays}) == 1 else arrays
    array = numbers(X)
    if array.ndim < 2:
        raise BadInputError("X is one example; give a list of them, [X]. Reshape your data.")
    if not len(array) or not array.size:
        raise BadInputError(f"X of shape {array.shape} is empty; give at least one example.")
    return array


def numbers(values: Any) -> np.ndarray:
    """An array of finite numbers.

    Raises:
        BadInputError: it is none.
    """
    try:
        array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
    except ValueError as error:
        raise BadInputError("the examples of X have several shapes; make each an array, a file or an image.") from error
    if array.dtype.kind not in "biuf":
        raise BadInputError(f"X holds {array.dtype}, and no numbers, files or images.")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise BadInputError("X has values that are NaN or infinite; mend those examples or leave them out.")
    return array


def as_they_are(X: Any, example: tuple[int, ...] | None) -> np.ndarray:  # noqa: N803
    """Examples ``[example, *features]`` as they are, but for bytes, which become 0 to 1 as in tasks.

    Raises:
        BadInputError: they are of another shape than the learner takes, or images.
    """
    if are_pictures(X):
        takes = "does not say what it takes" if example is None else f"takes numbers of shape {example}"
        raise BadInputError(f"this learner {takes}, and no images; give it arrays, or take a learner of images.")
    arrays = arrays_of(X)
    if isinstance(arrays, list):
        raise BadInputError("the examples of X have several shapes; this learner takes examples of one shape.")
    if example is not None and arrays.shape[1:] != example:
        raise BadInputError(f"the examples of X have shape {arrays.shape[1:]}; this learner takes {example}.")
    are_bytes = str(getattr(X, "dtype", "")).endswith("uint8")
    return np.ascontiguousarray(arrays / 255 if are_bytes else arrays)


def image_of(array: np.ndarray, example: tuple[int, ...]) -> np.ndarray:
    """One image ``[channel, height, width]`` of an array with its channels first, last or left out, or in one row.

    Raises:
        BadInputError: it is none.

    >>> image_of(np.zeros((20, 30, 3)), (1, 28, 28)).shape, image_of(np.zeros(64), (1, 28, 28)).shape
    ((3, 20, 30), (1, 8, 8))
    """
    if array.ndim == 1 and array.size == np.prod(example):
        return array.reshape(example)
    if array.ndim == 1 and (side := round(array.size**0.5)) ** 2 == array.size:
        return array.reshape(1, side, side)
    if array.ndim == 2:
        return array[None]
    if array.ndim == 3 and array.shape[0] in CHANNELS:
        return array
    if array.ndim == 3 and array.shape[-1] in CHANNELS:
        return np.moveaxis(array, -1, 0)
    raise BadInputError(
        f"an example of shape {array.shape} is no image; X is [n, height, width], with channels (1, 3 or 4) before or "
        f"after these two, or [n, features] of square images."
    )


def resized(image: Tensor, height: int, width: int) -> Tensor:
    """The largest part in the middle that has the proportions of ``height`` and ``width``, in that size."""
    scale = min(image.shape[1] / height, image.shape[2] / width)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (image.shape[1] - rows) // 2, (image.shape[2] - columns) // 2
    middle = image[:, top : top + rows, left : left + columns]
    return F.interpolate(middle[None], size=(height, width), mode="bilinear", antialias=True)[0]
