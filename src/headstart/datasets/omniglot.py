"""Omniglot: 1,623 handwritten characters of 50 alphabets, 20 drawings each, verified bit by bit at every load."""

from __future__ import annotations

import hashlib
import io
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from headstart.datasets import resizing
from headstart.datasets.download import download
from headstart.datasets.image_classes import ImageClasses
from headstart.datasets.omniglot_alphabets import BACKGROUND_ALPHABETS, CLASS_NAMES, EVALUATION_ALPHABETS
from headstart.datasets.omniglot_source import DRAWINGS, PARTS, SIDE, archives_digest, read_drawings
from headstart.errors import BadInputError, RunStoppedError
from headstart.system.files import disk_errors, write_bytes
from headstart.system.process import cache_folder

__all__ = ["BACKGROUND_ALPHABETS", "CLASS_NAMES", "EVALUATION_ALPHABETS", "load_omniglot"]

_ARCHIVES_URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python"
_BITS_SHA256 = "75a36f7ce605ee617d0c45021613841aec979e079f71594e885aba52a7c003ce"
_CACHE_NAME = "omniglot.npz"
_CHUNK = 2_000  # drawings that are unpacked at a time: 22 MB

Resize = Literal["nearest", "area", "drawing"]
_RESIZE: dict[Resize, Callable[[Tensor, int], Tensor]] = {
    "nearest": resizing.nearest,
    "area": resizing.area,
    "drawing": resizing.drawing,
}

_log = logging.getLogger(__name__)


class _Packed(NamedTuple):
    bits: np.ndarray  # uint8 [drawing, 1379], a bit a pixel
    archives: str  # the digest of the archives that they were read from, empty for folders


def load_omniglot(
    root: str | Path | None = None, *, size: int = 28, resize: Resize = "nearest", cache: str | Path | None = None
) -> ImageClasses:
    """All of Omniglot at ``size`` x ``size`` pixels, its drawings verified to be the original ones, bit by bit.

    They come from the first of: ``root``, the folder in the environment variable ``HEADSTART_DATA``, the cache, the
    official download (14 MB). Reading the PNG files takes seconds, the cache a fraction of one.

    Args:
        root: the folder with ``images_background`` and ``images_evaluation``, unpacked or as zip archives.
        size: pixels of a side, 1 to 105; the originals have 105.
        resize: ``"nearest"`` keeps pixels 0 or 255, ``index = floor((i + 1/2) * 105 / size)``: at 28, the images of the
            MAML and Reptile code; ``"area"`` makes each pixel the share of its area that is ink; ``"drawing"`` is
            ``hs.as_drawing``, which takes half a minute.
        cache: the folder to keep the packed drawings in; ``headstart`` in ``$XDG_CACHE_HOME`` or ``~/.cache`` if None.

    Shapes:
        images: uint8 ``[1623, 20, 1, size, size]``, 0 (paper) to 255 (ink)
        names: ``Alphabet/characterNN``, those of the background set first

    Raises:
        BadInputError: ``size`` or ``resize`` is unknown, or what ``root`` holds is not the whole of Omniglot.
        RunStoppedError: there is no network to download from, or no disk space to download to.

    >>> CLASS_NAMES[0], len(CLASS_NAMES)
    ('Alphabet_of_the_Magi/character01', 1623)
    >>> load_omniglot(size=200)
    Traceback (most recent call last):
    headstart.errors.BadInputError: Omniglot has no size 200: choose a whole number of pixels from 1 to 105.

    Source: Lake, Salakhutdinov, Tenenbaum, "Human-level concept learning through probabilistic program induction",
    Science 350 (2015); the nearest-pixel images: Finn, Abbeel, Levine, "Model-Agnostic Meta-Learning", ICML 2017.
    """
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= SIDE:
        raise BadInputError(f"Omniglot has no size {size!r}: choose a whole number of pixels from 1 to {SIDE}.")
    if resize not in _RESIZE:
        raise BadInputError(f"There is no resize {resize!r}: choose one of {', '.join(map(repr, _RESIZE))}.")
    bits = _load_bits(_pointed_folder(root), cache_folder() if cache is None else Path(cache).expanduser())
    return ImageClasses(_images(bits, size, _RESIZE[resize]), CLASS_NAMES)


def _images(bits: np.ndarray, size: int, resize: Callable[[Tensor, int], Tensor]) -> Tensor:
    images = torch.empty(len(bits), size, size, dtype=torch.uint8)
    for start in range(0, len(bits), _CHUNK):
        chunk = np.unpackbits(bits[start : start + _CHUNK], axis=1, count=SIDE * SIDE)
        images[start : start + _CHUNK] = resize(torch.from_numpy(chunk).view(-1, SIDE, SIDE), size)
    return images.view(len(CLASS_NAMES), DRAWINGS, 1, size, size)


def _pointed_folder(root: str | Path | None) -> Path | None:
    """The folder that the caller or else the environment points to, or None where neither does."""
    place, named_by = (
        (root, "root (--data-root)") if root is not None else (os.environ.get("HEADSTART_DATA"), "HEADSTART_DATA")
    )
    if not place and root is None:
        return None
    folder = Path(str(place)).expanduser()
    if not folder.is_dir():
        raise BadInputError(f"{named_by} is {str(place)!r}, which is no folder: name the one with Omniglot's archives.")
    return folder


def _load_bits(folder: Path | None, cache: Path) -> np.ndarray:
    """The packed drawings of ``folder``, or of the cache or else the download if that is None; they end in the cache.

    Archives that the cache was made from, by their digest, are not read again.
    """
    cached = _read_cache(cache)
    if cached is not None and (folder is None or cached.archives == archives_digest(folder)):
        return cached.bits
    packed = _read_download(cache) if folder is None else _read(folder)
    if cached is None or packed.archives:
        _write_cache(cache, packed)
    return packed.bits


def _read(folder: Path) -> _Packed:
    packed = _Packed(read_drawings(folder), archives_digest(folder) or "")
    if not _is_omniglot(packed.bits):
        raise BadInputError(
            f"The drawings in {folder} are not those of Omniglot (the SHA-256 of their pixels is another): "
            "they were altered; get the original archives again."
        )
    return packed


def _is_omniglot(bits: np.ndarray) -> bool:
    whole = bits.dtype == np.uint8 and bits.shape == (len(CLASS_NAMES) * DRAWINGS, -(-SIDE * SIDE // 8))
    return whole and hashlib.sha256(bits.tobytes()).hexdigest() == _BITS_SHA256


def _read_download(cache: Path) -> _Packed:
    """Reads the official archives; those that an earlier run left in the cache may be damaged, hence a second try."""
    try:
        return _download_and_read(cache)
    except BadInputError as error:
        _log.warning("%s Omniglot is downloaded anew.", error)
        return _download_and_read(cache)


def _download_and_read(cache: Path) -> _Packed:
    archives = [cache / f"{part}.zip" for part in PARTS]
    for archive in archives:
        if not archive.exists():
            download(f"{_ARCHIVES_URL}/{archive.name}", archive)
    try:
        return _read(cache)
    except BadInputError:
        for archive in archives:
            with disk_errors(archive):
                archive.unlink()
        raise


def _read_cache(cache: Path) -> _Packed | None:
    path = cache / _CACHE_NAME
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            packed = _Packed(arrays["bits"], str(arrays["archives"]))
        if _is_omniglot(packed.bits):
            return packed
        problem = "its drawings are not those of Omniglot"
    except FileNotFoundError:
        return None
    except Exception as error:  # whatever is wrong with the file, the way out is the same
        problem = str(error)
    _log.warning("The cache %s is corrupt (%s): Omniglot is read anew.", path, problem)
    return None


def _write_cache(cache: Path, packed: _Packed) -> None:
    content = io.BytesIO()
    np.savez_compressed(content, bits=packed.bits, archives=packed.archives)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        write_bytes(cache / _CACHE_NAME, content.getvalue())
    except (OSError, RunStoppedError) as error:
        _log.warning("Omniglot is not cached, and will take seconds to read again: %s", error)
