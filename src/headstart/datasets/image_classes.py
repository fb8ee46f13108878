"""Images sorted by class, as many of each: the form in which the built-in data sets come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from headstart.datasets.labelled import LabelledExamples, positions
from headstart.errors import BadInputError


class ImageClasses(NamedTuple):
    """Images sorted by class, with the classes' names.

    Shapes:
        images: uint8 ``[class, example, channel, height, width]``, 0 (paper) to 255 (full ink)
        names: one per class, such as ``"Greek/character01"``

    >>> letters = ImageClasses(torch.zeros(3, 20, 1, 28, 28, dtype=torch.uint8), ("a", "b", "c"))
    >>> letters.choose(["c", "a"]).images.shape
    torch.Size([2, 20, 1, 28, 28])
    """

    images: Tensor
    names: tuple[str, ...]

    @property
    def labelled(self) -> LabelledExamples:
        """The same images one after the other, with the class of each.

        Raises:
            BadInputError: the images are of another shape, or their number is not that of the names.
        """
        if self.images.ndim != 5 or len(self.images) != len(self.names):
            raise BadInputError(
                f"images of shape {list(self.images.shape)} with {len(self.names)} names are not "
                "[class, example, channel, height, width] with one name per class; add the axis that is missing."
            )
        count, examples = self.images.shape[:2]
        targets = torch.arange(count, device=self.images.device).repeat_interleave(examples)
        return LabelledExamples(self.images.flatten(0, 1), targets, self.names)

    @property
    def rotations(self) -> Literal["classes"]:
        """How tasks turn the images unless told otherwise: a turned character is another character."""
        return "classes"

    def on_paper(self, images: Tensor) -> Tensor:
        """Images of the data set as a person draws them: dark on white."""
        return 255 - images

    def choose(self, names: Sequence[str]) -> ImageClasses:
        """The classes with the given ``names``, in that order.

        Raises:
            BadInputError: a name is not one of this data set's classes.
        """
        return ImageClasses(self.images[positions(names, self.names)], tuple(names))

    def to(self, device: torch.device) -> ImageClasses:
        """The same on ``device``."""
        return self._replace(images=self.images.to(device))
