"""The data sets of photographs of the few-shot literature, from the files that a user has."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import headstart as hs
from headstart.problems.folder import labelled
from headstart.problems.images import PixelSettings, looks_of
from headstart.problems.own_data import OwnImages, path_of
from headstart.problems.problem import ClassificationTask
from headstart.problems.settings import Size

if TYPE_CHECKING:
    from torch import Tensor

    from headstart.datasets.folder import ImageFolder
    from headstart.datasets.standard_sets import StandardSet

CHANNELS: dict[str, Literal[1, 3]] = {"grey": 1, "rgb": 3}


@dataclass(frozen=True)
class PhotographSettings(PixelSettings):
    """Flags of the problems of mini-ImageNet, tiered-ImageNet and CUB."""

    path: Path | None = None
    """Folder of the images: a sub-folder per class, or train, val and test with such folders, or CSV files of them."""
    image_size: Size = 84
    """Pixels along each side; of an image that is not square its middle is taken."""
    rotations: Literal["classes", "tasks", "none"] = "none"
    """Turns by 90 degrees in training: new classes, random per class and task, or none."""
    colour: Literal["grey", "rgb"] = "rgb"
    """Whether images have one channel or three."""

    split: ClassVar[str] = "standard"
    whole: ClassVar[bool] = False


@dataclass(frozen=True)
class SmallPhotographSettings(PhotographSettings):
    """Flags of the problems of CIFAR-FS and FC100."""

    image_size: Size = 32
    """Pixels along each side."""


class Photographs(OwnImages):
    """Tasks of a standard data set with its standard split, of which the user has the images."""

    def __init__(self, name: str, settings: type[PhotographSettings]) -> None:
        self.name = name
        self.settings = settings  # type: ignore[misc]  # of the object, since they differ in their defaults alone

    @property
    def row(self) -> StandardSet:
        """What the data set must hold."""
        from headstart.datasets.standard_sets import standard_set

        return standard_set(self.name)

    def split(self, settings: PhotographSettings) -> hs.Split:
        """The standard split."""
        return self.row.split

    def listed(self, settings: PhotographSettings) -> ImageFolder:
        """The images, with their number and the names of their classes checked."""
        from headstart.datasets.folder import list_images

        return self.row.checked(list_images(self.root(settings)))

    def root(self, settings: PhotographSettings) -> Path:
        """The folder of the images."""
        return path_of(settings, f"the folder with the images of {self.row.title}")

    def blank(self, settings: PhotographSettings) -> tuple[hs.LabelledExamples, hs.Split]:
        """As many images as there are, white all over; none of them is opened."""
        listing = self.listed(settings)
        return labelled(white_images(len(listing.files), settings), listing), self.row.split

    def blank_tasks(self, settings: PhotographSettings, task: ClassificationTask) -> hs.ClassificationTasks:
        """Training tasks of white images, whose number is known without the folder, which may be elsewhere by now."""
        import torch

        names, each = self.row.split.train, task.shots_in_training + task.queries
        targets = torch.arange(len(names)).repeat_interleave(each)
        return self._tasks(
            hs.LabelledExamples(white_images(len(targets), settings), targets, names), settings, task, "train"
        )

    def load(self, settings: PhotographSettings) -> hs.LabelledExamples:
        """All images, from the cache or decoded into it."""
        return hs.load_standard_set(
            self.name, self.root(settings), size=settings.image_size, channels=CHANNELS[settings.colour]
        )

    def resolved(self, settings: PhotographSettings) -> PhotographSettings:
        """The settings with the whole path."""
        return dataclasses.replace(settings, path=self.listed(settings).root.resolve())

    def kept_split(self, settings: PhotographSettings) -> None:
        """None: the standard split is the same everywhere."""

    def settings_like(self, other: Any) -> PhotographSettings:
        """Images that look as those of ``other``, in the standard split."""
        like: PhotographSettings = self.settings(**{"colour": "grey", **looks_of(other, self.settings)})
        return like


def white_images(count: int, settings: PhotographSettings) -> Tensor:
    """So many images, in the memory of one pixel."""
    import torch

    size = settings.image_size
    return torch.zeros(1, dtype=torch.uint8).expand(count, CHANNELS[settings.colour], size, size)
