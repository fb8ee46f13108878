"""The data sets of photographs of the few-shot literature: what a user's folder of one must hold, and its split."""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

import torch

from headstart.datasets.decoding import Form
from headstart.datasets.folder import ImageFolder, list_images
from headstart.datasets.image_cache import cached_images
from headstart.datasets.labelled import LabelledExamples
from headstart.datasets.splits import Split, read_split
from headstart.errors import BadInputError

SPLITS = Path(__file__).parent / "standard_splits"
"""One JSON file per data set, which names its source. Names of ImageNet's classes are WordNet ids."""


class StandardSet(NamedTuple):
    """A row: what there is to know of a data set.

    Attributes:
        title: what it is called.
        file: its split, in JSON.
        side: pixels along each side of its images, as they are used.
        images: how many there are.
        equal: whether every class has as many.
    """

    title: str
    file: Path
    side: int
    images: int
    equal: bool

    @property
    def split(self) -> Split:
        """The classes to train on, to validate and to test."""
        return read_split(self.file)

    def checked(self, listing: ImageFolder) -> ImageFolder:
        """The images with the names of their classes, which are those of the folders that they lie in, and the split.

        Raises:
            BadInputError: classes are missing, are too many or in another part of a ready-made split, or the number of
                images is another.
        """
        listing = listing._replace(labels=tuple(map(last, listing.labels)))
        wrong = self.wrong_classes(listing) or self.wrong_parts(listing) or self.wrong_counts(listing)
        if wrong:
            raise BadInputError(f"{str(listing.root)!r} is not {self.title}: {wrong}; {self.content}.")
        return listing._replace(split=self.split)

    @property
    def content(self) -> str:
        """What it holds, in words."""
        train, validation, test = map(len, self.split)
        each = self.images // (train + validation + test)
        images = f"of {each:,} images each" if self.equal else f"with {self.images:,} images in all"
        return (
            f"it has {train + validation + test} classes {images}, {train} to train on, {validation} to validate and "
            f"{test} to test"
        )

    def wrong_classes(self, listing: ImageFolder) -> str:
        """Which classes are missing or too many, if any."""
        expected, found = {name for part in self.split for name in part}, {*listing.labels}
        return " and ".join(
            f"{words} {len(names)}, {min(names)!r} the first of them"
            for words, names in (("missing classes:", expected - found), ("unknown classes:", found - expected))
            if names
        )

    def wrong_parts(self, listing: ImageFolder) -> str:
        """Which class is in another part than in the standard split, if the folder has a split and there is one."""
        standard = {name: part for part, names in self.split._asdict().items() for name in names}
        for part, names in listing.split._asdict().items() if listing.split else ():
            for name in map(last, names):
                if standard[name] != part:
                    return f"the class {name!r} is in its {part} part, and in the standard split in {standard[name]}"
        return ""

    def wrong_counts(self, listing: ImageFolder) -> str:
        """How many images there are, if not as many as there should be."""
        each = self.images // sum(map(len, self.split))
        others = {name: count for name, count in Counter(listing.labels).items() if count != each}
        if self.equal and others:
            name = min(others)
            return f"classes with another number of images: {len(others)}, {name!r} with {others[name]:,} the first"
        return "" if len(listing.files) == self.images else f"there are {len(listing.files):,} images"


def last(label: str) -> str:
    """The name of the folder itself, without those around it.

    >>> last("images/001.Black_footed_Albatross")
    '001.Black_footed_Albatross'
    """
    return PurePosixPath(label).name


STANDARD_SETS = {
    "mini_imagenet": StandardSet("mini-ImageNet", SPLITS / "mini_imagenet.json", 84, 60_000, equal=True),
    "tiered_imagenet": StandardSet("tiered-ImageNet", SPLITS / "tiered_imagenet.json", 84, 779_165, equal=False),
    "cifar_fs": StandardSet("CIFAR-FS", SPLITS / "cifar_fs.json", 32, 60_000, equal=True),
    "fc100": StandardSet("FC100", SPLITS / "fc100.json", 32, 60_000, equal=True),
    "cub": StandardSet("CUB", SPLITS / "cub.json", 84, 11_788, equal=False),
}
"""Sources: Ravi and Larochelle (2017); Ren et al. (2018); Bertinetto et al. (2019); Oreshkin et al. (2018); Wah et al.
(2011), "The Caltech-UCSD Birds-200-2011 dataset", split by Chen et al. (2019)."""


def standard_set(name: str) -> StandardSet:
    """The row of a data set.

    Raises:
        BadInputError: there is none of that name.
    """
    if name not in STANDARD_SETS:
        raise BadInputError(f"there is no standard data set {name!r}; choose one of {', '.join(STANDARD_SETS)}.")
    return STANDARD_SETS[name]


def standard_split(name: str) -> Split:
    """The classes of a standard data set to train on, to validate and to test, in the split of the literature.

    Args:
        name: ``"mini_imagenet"``, ``"tiered_imagenet"``, ``"cifar_fs"``, ``"fc100"`` or ``"cub"``.

    Raises:
        BadInputError: there is no such data set.

    Source: see ``STANDARD_SETS``.

    >>> standard_split("cub").test[0], [len(part) for part in standard_split("tiered_imagenet")]
    ('004.Groove_billed_Ani', [351, 97, 160])
    """
    return standard_set(name).split


def load_standard_set(
    name: str,
    root: str | Path,
    *,
    size: int | None = None,
    channels: Literal[1, 3] = 3,
    cache: str | Path | None = None,
) -> LabelledExamples:
    """The images of a standard data set in a folder of the user's, decoded once into a cache, with their classes.

    Args:
        name: as in :func:`standard_split`.
        root: a folder with a sub-folder per class, wherever it lies; with ``train``, ``val`` and ``test`` in which such
            folders lie; or with ``train.csv``, ``val.csv``, ``test.csv`` (``filename,label``) and ``images/``.
        size: pixels along each side; by default 84, or 32 of the classes of CIFAR-100.
        channels: 3 for colour, 1 for grey.
        cache: the folder that decoded images are kept in, by default as for :func:`headstart.load_omniglot`.

    Shapes:
        inputs: uint8 ``[example, channels, size, size]``, memory-mapped

    Raises:
        BadInputError: the folder is not that data set, or images cannot be read.
        RunStoppedError: the cache cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "001.Black_footed_Albatross").mkdir()
    ...     Path(folder, "001.Black_footed_Albatross", "1.jpg").touch()
    ...     load_standard_set("cub", folder)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    headstart.errors.BadInputError: '...' is not CUB: missing classes: 199, '002.Laysan_Albatross' the first of them;...
    """
    row = standard_set(name)
    listing = row.checked(list_images(Path(root).expanduser()))
    form = Form(row.side if size is None else size, channels, invert=False)
    images = cached_images(listing.root, listing.files, form, None if cache is None else Path(cache).expanduser())
    position = {label: index for index, label in enumerate(listing.names)}
    return LabelledExamples(images, torch.tensor([position[label] for label in listing.labels]), listing.names)
