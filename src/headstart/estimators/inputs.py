"""From what people have (arrays, files, pictures) to what a learner takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from headstart.datasets.decoding import Form, middle
from headstart.datasets.drawings import as_drawing
from headstart.errors import BadInputError
from headstart.estimators.pictures import are_pictures, each_read
from headstart.learners.base import Learner

WHITES = (1, 16, 255, 65535)
"""The largest values that images have: of shares, of 4, 8 and 16 bits."""
CHANNELS = (1, 3, 4)
"""Numbers of channels: of grey, colour, and colour with transparency."""
LUMA = torch.tensor([0.299, 0.587, 0.114])
"""How bright red, green and blue are, as Pillow has it."""
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
        shown: the shape of each example that the learner was shown; ``None`` if they were pictures, or of many shapes.
    """

    example: tuple[int, ...] | None
    prepare: str
    inverted: bool
    black: float
    white: float
    double: bool
    shown: tuple[int, ...] | None = None

    def __call__(self, X: Any) -> Tensor:  # noqa: N803  (scikit-learn's name)
        """The examples as the learner takes them.

        Raises:
            BadInputError: they cannot be read, or are of another shape.
        """
        dtype = torch.float64 if self.double else torch.float32
        if not takes_images(self.example):
            return torch.from_numpy(as_they_are(X, self.example or self.shown)).to(dtype)
        images = self.pictures(X) if are_pictures(X) else map(self.prepared, self.images(X))
        prepared = [1 - image if self.inverted else image for image in images]
        if not prepared:
            raise BadInputError("X is empty; give at least one example.")
        return torch.stack(prepared).to(dtype)

    def pictures(self, X: Any) -> Iterator[Tensor]:  # noqa: N803
        """Files or Pillow's images, decoded as those of ``--data folder:PATH``."""
        channels, height, width = self.example or ()
        return each_read(X, Form(height, channels, invert=False, drawing=self.prepare == "drawing", width=width))

    def images(self, X: Any) -> Iterator[Tensor]:  # noqa: N803
        """Arrays as images ``[channel, height, width]`` of 0 to 1, of any sizes."""
        for array in arrays_of(X):
            image = array if array.ndim > 1 or self.shown is None else row_as(self.shown, array)
            pixels = (image_of(image, self.example or ()) - self.black) / (self.white - self.black)
            if self.prepare != "drawing" and not -0.1 <= pixels.min() <= pixels.max() <= 1.1:
                raise BadInputError(
                    f"X has values from {image.min():g} to {image.max():g}, and the learner was fitted to images from "
                    f"{self.black:g} to {self.white:g}; bring them to the same scale."
                )
            yield torch.from_numpy(pixels.astype(np.float32))

    def prepared(self, image: Tensor) -> Tensor:
        """One image of an array as a picture in a file becomes."""
        channels, height, width = self.example or ()
        if len(image) == 4:
            image = image[:3] * image[3:] + 1 - image[3:]  # on white where it is transparent
        if len(image) != channels:
            grey = image if len(image) == 1 else torch.tensordot(LUMA, image, 1)[None]
            image = grey.expand(channels, -1, -1)
        if self.prepare == "drawing":
            return as_drawing(image, height)
        return torch.stack([torch.from_numpy(np.array(middle(channel, height, width))) for channel in planes(image)])

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def inputs_of_record(record: dict[str, Any]) -> Inputs:
    """The inputs that ``record()`` was taken of."""
    shapes = {name: tuple(record[name]) if record.get(name) else None for name in ("example", "shown")}
    return Inputs(**{**record, **shapes})


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
    prepared = "drawing" if drawing else "none"
    return Inputs(example, prepared, inverted, black, white, is_double(learner), shape_of(X))


def example_shape(learner: Learner) -> tuple[int, ...] | None:
    """The shape of an example that a learner takes; ``None`` if it was built in Python, and does not say."""
    return tuple(learner.made_from["example"]) if learner.made_from else None


def takes_images(example: tuple[int, ...] | None) -> bool:
    """Whether examples of that shape are images."""
    return example is not None and len(example) == 3


def is_double(learner: Learner) -> bool:
    """Whether a learner computes in float64; one that has no parameters does."""
    return next((p.dtype for p in learner.parameters() if p.is_floating_point()), torch.float64) == torch.float64


def shape_of(X: Any) -> tuple[int, ...] | None:  # noqa: N803
    """The shape of each example; ``None`` if they are pictures, or of several shapes."""
    shapes = set() if are_pictures(X) else {array.shape for array in arrays_of(X)}
    return shapes.pop() if len(shapes) == 1 else None


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


def row_as(shown: tuple[int, ...], row: np.ndarray) -> np.ndarray:
    """A row of numbers in the shape of the images that the learner was shown.

    Raises:
        BadInputError: these have another number of numbers, so that nobody knows what the row is.

    >>> row_as((2, 3), np.arange(6)).tolist()
    [[0, 1, 2], [3, 4, 5]]
    """
    if row.size != np.prod(shown):
        raise BadInputError(
            f"X has {row.size} numbers for each example, and the learner was shown examples of shape {shown}; give "
            "such ones, images [n, height, width], or a list of one image, [X]."
        )
    return row.reshape(shown)


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


def planes(image: Tensor) -> Iterator[Image.Image]:
    """The channels of an image, each as an image of Pillow's."""
    return (Image.fromarray(channel.numpy()) for channel in image.contiguous())
