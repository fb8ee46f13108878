"""Reading Omniglot from where it lies: two folders of PNG files, or the two zip archives of them."""

from __future__ import annotations

import hashlib
import io
import lzma
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from headstart.datasets.omniglot_alphabets import BACKGROUND_ALPHABETS, EVALUATION_ALPHABETS, class_names
from headstart.errors import BadInputError

SIDE = 105  # pixels
DRAWINGS = 20  # per character
PARTS: Mapping[str, Mapping[str, int]] = {
    "images_background": BACKGROUND_ALPHABETS,
    "images_evaluation": EVALUATION_ALPHABETS,
}

_HOMEPAGE = "https://github.com/brendenlake/omniglot"
_DRAWING = re.compile(r"[^/]+/[^/]+/[^/.][^/]*\.png")
_READ_ERRORS = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, RuntimeError)
_PNG_ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def read_drawings(root: Path) -> np.ndarray:
    """The drawings in ``root``, one bit a pixel (1 is ink), in the order of ``class_names`` and drawing number.

    ``root`` holds ``images_background`` and ``images_evaluation``, each unpacked or as a zip (which is preferred).

    Shapes:
        returns: uint8 ``[drawing, 1379]``, each row the ``packbits`` of one drawing of 105 x 105 pixels

    Raises:
        BadInputError: a part, alphabet, character or drawing is missing, too many, damaged, or of another size.

    >>> read_drawings(Path("nowhere"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    headstart.errors.BadInputError: nowhere holds neither images_background.zip nor the folder images_background: ...
    """
    sources = [_source(root, part) for part in PARTS]
    drawings: dict[str, bytes] = {}
    for source, alphabets in zip(sources, PARTS.values(), strict=True):
        with _reading(source):
            files = _png_files(source)
        _check_complete(files, alphabets, source)
        drawings |= {f"{source}/{name}": files[name] for name in sorted(files)}
    return np.stack([_pack(png, name) for name, png in drawings.items()])


def archives_digest(root: Path) -> str | None:
    """The SHA-256 over both archives in ``root``, or None where one of them is not an archive but a folder.

    Raises:
        BadInputError: a part is missing or cannot be read.
    """
    sources = [_source(root, part) for part in PARTS]
    if any(source.is_dir() for source in sources):
        return None
    digest = hashlib.sha256()
    for source in sources:
        with _reading(source):
            digest.update(hashlib.sha256(source.read_bytes()).digest())
    return digest.hexdigest()


def _source(root: Path, part: str) -> Path:
    """The archive of ``part``, or else its folder."""
    for source in (root / f"{part}.zip", root / part):
        if source.exists():
            return source
    raise BadInputError(
        f"{root} holds neither {part}.zip nor the folder {part}: name the folder that holds Omniglot's two archives "
        f"({_HOMEPAGE}, folder python), or name none to have them downloaded."
    )


@contextmanager
def _reading(source: Path) -> Iterator[None]:
    try:
        yield
    except _READ_ERRORS as error:
        message = f"{source} is damaged or cannot be read ({error}): get it again from {_HOMEPAGE}."
        raise BadInputError(message) from error


def _png_files(source: Path) -> dict[str, bytes]:
    """The content of all PNG files of an archive or a folder, by name, such as ``Greek/character01/0394_01.png``."""
    if source.is_dir():
        return {path.relative_to(source).as_posix(): path.read_bytes() for path in source.glob("*/*/[!.]*.png")}
    top = f"{source.stem}/"
    with zipfile.ZipFile(source) as archive:
        names = [name.removeprefix(top) for name in archive.namelist() if name.startswith(top)]
        return {name: archive.read(top + name) for name in names if _DRAWING.fullmatch(name)}


def _check_complete(files: Collection[str], alphabets: Mapping[str, int], source: Path) -> None:
    """Names the first alphabet or character of which ``files`` holds too few drawings, or too many."""
    found = Counter(name.rpartition("/")[0] for name in files)
    missing = alphabets.keys() - {character.partition("/")[0] for character in found}
    if missing:
        raise BadInputError(
            f"{source} lacks {len(missing)} of Omniglot's alphabets, {min(missing)} the first of them: "
            f"get all of it from {_HOMEPAGE}."
        )
    expected = dict.fromkeys(class_names(alphabets), DRAWINGS)
    for character in sorted(expected.keys() | found.keys()):
        if found[character] != expected.get(character, 0):
            raise BadInputError(
                f"{source} has {found[character]} drawings of {character} where Omniglot has "
                f"{expected.get(character, 0)}: get it from {_HOMEPAGE}."
            )


def _pack(png: bytes, name: str) -> np.ndarray:
    """One drawing as bits, 1 where there is ink, which is black in the file; uint8 ``[1379]``."""
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            size = image.size
            ink = np.asarray(image.convert("L")) < 128 if size == (SIDE, SIDE) else None
    except _PNG_ERRORS as error:
        raise BadInputError(f"{name} is not a whole PNG image: get Omniglot anew from {_HOMEPAGE}.") from error
    if ink is None:
        raise BadInputError(f"{name} is of {size[0]} x {size[1]} pixels, where Omniglot's are of {SIDE} x {SIDE}.")
    return np.packbits(ink)
