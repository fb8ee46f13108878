"""A folder of one's own images, one sub-folder per class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import headstart as hs
from headstart.errors import BadInputError
from headstart.problems.images import FormSettings, PixelSettings, looks_of
from headstart.problems.own_data import ALL, OwnImages, OwnSettings, path_of
from headstart.problems.problem import ClassificationTask
from headstart.problems.settings import Size

if TYPE_CHECKING:
    from headstart.datasets.decoding import Form
    from headstart.datasets.folder import ImageFolder


@dataclass(frozen=True)
class FolderSettings(PixelSettings, FormSettings, OwnSettings):
    """Flags of the problem of a folder of images."""

    image_size: Size = 28
    """Pixels along each side; of an image that is not square its middle is taken."""
    rotations: Literal["classes", "tasks", "none"] = "none"
    """Turns by 90 degrees in training: new classes, random per class and task, or none."""
    colour: Literal["grey", "rgb"] = "grey"
    """Whether images have one channel or three."""
    polarity: Literal["as_is", "inverted"] = "as_is"
    """inverted makes dark bright: for dark drawings on white, since glyphs and Omniglot have bright ink. --form drawing
    finds it by itself."""


class Folder(OwnImages):
    """Tasks of the images of a folder, which are decoded once and cached."""

    settings: ClassVar[type] = FolderSettings

    def blank(self, settings: FolderSettings) -> tuple[hs.LabelledExamples, hs.Split | None]:
        """As many images as there are, without what is on them; none of them is opened."""
        import torch

        listing, form = listed(settings), form_of(settings)
        blank = torch.zeros(1, dtype=torch.uint8).expand(len(listing.files), form.channels, form.size, form.size)
        return labelled(blank, listing), listing.split

    def load(self, settings: FolderSettings) -> hs.LabelledExamples:
        """All images, from the cache or decoded into it."""
        from headstart.datasets.image_cache import cached_images

        listing = listed(settings)
        return labelled(cached_images(listing.root, listing.files, form_of(settings)), listing)

    def blank_tasks(self, settings: FolderSettings, task: ClassificationTask) -> hs.ClassificationTasks:
        """Training tasks of blank images; of a run their number is known without its folder, which may be elsewhere."""
        import torch

        _, counts, digest = settings.split_parts
        if not digest:
            return super().blank_tasks(settings, task)
        form, each = form_of(settings), task.shots_in_training + task.queries
        blank = torch.zeros(1, dtype=torch.uint8).expand(counts[0] * each, form.channels, form.size, form.size)
        data = hs.LabelledExamples(blank, torch.arange(counts[0]).repeat_interleave(each), map(str, range(counts[0])))
        return self._tasks(data, settings, task, "train")

    def settings_like(self, other: Any) -> FolderSettings:
        """Images that look as those of ``other``, all of whose classes are new."""
        return FolderSettings(split=ALL, **looks_of(other, FolderSettings))


def listed(settings: FolderSettings) -> ImageFolder:
    """The images of the folder."""
    from headstart.datasets.folder import list_images

    return list_images(path_of(settings, "the folder of images, in short --data folder:PATH"))


def form_of(settings: FolderSettings) -> Form:
    """What the images are brought to."""
    from headstart.datasets.decoding import Form

    channels = {"grey": 1, "rgb": 3}[settings.colour]
    drawing = settings.form == "drawing"
    if drawing and channels > 1:
        raise BadInputError("--form drawing makes one channel of ink; leave --colour rgb away, or the form.")
    return Form(settings.image_size, channels, settings.polarity == "inverted", drawing)


def labelled(images: Any, listing: ImageFolder) -> hs.LabelledExamples:
    """The images of a folder, with the index of the class of each."""
    import torch

    position = {name: index for index, name in enumerate(listing.names)}
    return hs.LabelledExamples(images, torch.tensor([position[label] for label in listing.labels]), listing.names)
