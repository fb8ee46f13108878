"""A folder of images: which files there are, of which classes, and in which part of a ready-made split."""

from __future__ import annotations

import csv
import os
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from headstart.datasets.splits import Split
from headstart.errors import BadInputError

PARTS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
"""What sub-folders and CSV files with a part of a ready-made split are called, and the part."""


class ImageFolder(NamedTuple):
    """The images of a folder, before any of them is opened.

    Attributes:
        root: the folder.
        files: paths of the images, relative to the root.
        labels: the name of each one's class.
        split: a ready-made split of the classes, if the folder has one.
    """

    root: Path
    files: tuple[str, ...]
    labels: tuple[str, ...]
    split: Split | None

    @property
    def names(self) -> tuple[str, ...]:
        """The classes, in the order of their names."""
        return tuple(sorted({*self.labels}))


def list_images(root: Path) -> ImageFolder:
    """The images below ``root``, in one of three forms.

    ``root/class/image``, where a class is any folder that holds images, called by its path; such folders within
    ``root/train``, ``root/val`` (or ``validation``) and ``root/test``; or ``train.csv``, ``val.csv`` and ``test.csv``
    with the columns ``filename`` and ``label``, filenames relative to ``root/images``; a row that is there twice counts
    once. What is hidden, has no image's suffix, or lies in ``root`` itself is left aside.

    Raises:
        BadInputError: there is no such folder, it holds no classes, or its split or one of its CSV files is not whole.
    """
    if not root.is_dir():
        raise BadInputError(f"{str(root)!r} is no folder; name one that has a sub-folder of images for each class.")
    if any((root / f"{part}.csv").exists() for part in PARTS):
        return _from_csv(root)
    files = [file for file in images_below(root) if "/" in file]
    if not files:
        raise BadInputError(
            f"{str(root)!r} has no sub-folder with images; put the images of each class into one, as in "
            "folder/class/image.png."
        )
    if {PurePosixPath(file).parts[0] for file in files} <= {*PARTS} and all(file.count("/") > 1 for file in files):
        return _from_parts(root, files)
    return ImageFolder(root, tuple(files), tuple(str(PurePosixPath(file).parent) for file in files), None)


def image_suffixes() -> set[str]:
    """Suffixes of the files that Pillow can open, in lower case."""
    from PIL import Image

    return {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}


def images_below(root: Path) -> list[str]:
    """The images in a folder and in those below it, whose links are followed, no folder twice: their paths, in order,
    relative to it. What is hidden, or has no image's suffix, is left aside."""
    suffixes, seen, found = image_suffixes(), set(), []
    for folder, inner, files in os.walk(root, followlinks=True):
        inner[:] = sorted(name for name in inner if not is_hidden(name))
        if (real := os.path.realpath(folder)) in seen:
            inner.clear()
            continue
        seen.add(real)
        images = (name for name in files if not is_hidden(name) and Path(name).suffix.lower() in suffixes)
        found += [Path(folder, name).relative_to(root).as_posix() for name in images]
    return sorted(found)


def is_hidden(name: str) -> bool:
    """Whether a file or a folder is not meant to be seen."""
    return name.startswith((".", "__MACOSX"))


def _from_parts(root: Path, files: list[str]) -> ImageFolder:
    places = [PurePosixPath(file).parts for file in files]
    labels = tuple("/".join(place[1:-1]) for place in places)
    return ImageFolder(root, tuple(files), labels, _ready_split(root, [place[0] for place in places], labels))


def _from_csv(root: Path) -> ImageFolder:
    rows = [
        (PARTS[part], f"images/{filename}", label)
        for part in PARTS
        if (root / f"{part}.csv").exists()
        for filename, label in _read_csv(root / f"{part}.csv")
    ]
    parts, files, labels = zip(*dict.fromkeys(rows), strict=True) if rows else ((), (), ())
    split = _ready_split(root, parts, labels)
    if (twice := Counter(files).most_common(1)) and twice[0][1] > 1:
        raise BadInputError(
            f"the CSV files in {str(root)!r} give {twice[0][0]!r} two labels; keep the row with the right one."
        )
    if missing := [file for file in dict.fromkeys(files) if not (root / file).is_file()]:
        raise BadInputError(
            f"{len(missing)} images that the CSV files name are not in {str(root)!r}, {missing[0]!r} the first of them."
        )
    return ImageFolder(root, files, labels, split)


def _read_csv(path: Path) -> list[tuple[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            for column in ("filename", "label"):
                if column not in (reader.fieldnames or []):
                    found = ", ".join(reader.fieldnames or []) or "none"
                    raise BadInputError(f"{str(path)!r} has no column {column!r}; its columns are {found}.")
            rows = [(row["filename"] or "", row["label"] or "") for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInputError(f"{str(path)!r} cannot be read as CSV: {error}.") from error
    if ("", "") in rows or not all(map(all, rows)):
        raise BadInputError(f"{str(path)!r} has a row without a filename or a label; complete it or leave it out.")
    return rows


def _ready_split(root: Path, parts: list[str] | tuple[str, ...], labels: tuple[str, ...]) -> Split:
    """The split of the classes by the parts that their images lie in."""
    classes: dict[str, dict[str, None]] = {part: {} for part in Split._fields}
    for part, label in zip(parts, labels, strict=True):
        classes[PARTS[part]][label] = None
    if empty := [part for part, names in classes.items() if not names]:
        raise BadInputError(
            f"{str(root)!r} has no classes for {' and '.join(empty)}; give it train, val and test, or no parts."
        )
    try:
        return Split(**classes)
    except BadInputError as error:
        raise BadInputError(
            f"{str(root)!r}: {error} New classes are what is tested on: put all images of a class into one folder."
        ) from error
