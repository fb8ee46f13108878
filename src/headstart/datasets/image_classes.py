"""Images sorted by class: the form in which every image data set reaches the sampler of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from headstart.errors import BadInputError


class ImageClasses(NamedTuple):
    """Images sorted by class, with the classes' names.

    Shapes:
        images: uint8 ``[class, example, channel, height, width]``, 0 (paper) to 255 (full ink)
        names: one per class, such as ``"Greek/character01"``

    >>> import torch
    >>> letters = ImageClasses(torch.zeros(3, 20, 1, 28, 28, dtype=torch.uint8), ("a", "b", "c"))
    >>> letters.choose(["c", "a"]).images.shape
    torch.Size([2, 20, 1, 28, 28])
    """

    images: Tensor
    names: tuple[str, ...]

    def choose(self, names: Sequence[str]) -> ImageClasses:
        """The classes with the given ``names``, in that order.

        Raises:
            BadInputError: a name is not one of this data set's classes.
        """
        position = {name: index for index, name in enumerate(self.names)}
        missing = [name for name in names if name not in position]
        if missing:
            raise BadInputError(
                f"{len(missing)} classes of the split are not in the data set, {missing[0]!r} the first of them; "
                f"this data set has {len(self.names)} classes such as {self.names[0]!r}."
            )
        return ImageClasses(self.images[[position[name] for name in names]], tuple(names))
