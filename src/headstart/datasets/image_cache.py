"""Images decoded once: a file of raw pixels in the cache, memory-mapped, which may be larger than the memory."""

from __future__ import annotations

import hashlib
import logging
import mmap
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from headstart.datasets import decoding
from headstart.datasets.decoding import Form, decode
from headstart.errors import BadInputError, RunStoppedError
from headstart.system.files import disk_errors, whole_file
from headstart.system.memory import memory_at_hand
from headstart.system.process import cache_folder

BATCH = 512
"""Images that are decoded before they are written."""
NAMED = 3
"""Unreadable files that an error names."""

_log = logging.getLogger(__name__)


def cached_images(root: Path, files: tuple[str, ...], form: Form, cache: Path | None = None) -> Tensor:
    """The images ``files`` below ``root``, from the cache or else decoded into it, memory-mapped: do not write to it.

    The cache's file is called by what it was made from and how: the paths, sizes and times of the files, their form,
    the version of the decoder. So it is made anew when a file has changed, appeared or gone, and what was made from the
    same folder before is removed. A whole one is read where nothing can be written.

    Shapes:
        result: uint8 ``[file, channels, size, size]``

    Raises:
        BadInputError: files cannot be read; the sentence names the first few and says how many.
        RunStoppedError: the cache cannot be written, or not be read.
    """
    folder = (cache_folder() if cache is None else cache) / "images"
    place = hashlib.sha256(repr((str(root.resolve()), form)).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    path = folder / f"{place}-{fingerprint(root, files)}.u8"
    shape = (len(files), form.channels, form.size, form.size)
    size = len(files) * form.channels * form.size**2
    with disk_errors(path):
        whole = path.exists() and path.stat().st_size == size
        if not whole:
            folder.mkdir(parents=True, exist_ok=True)
    if not whole:
        write_pixels(path, root, files, form)
        for old in folder.glob(f"{place}-*.u8"):
            if old != path:
                with suppress(OSError):
                    old.unlink()
    return mapped(path, shape)


def mapped(path: Path, shape: tuple[int, ...]) -> Tensor:
    """The content of a file as a tensor that cannot be written to, of which the system reads what is used.

    The mapping is shared, since a private one that is larger than the memory is refused. The system is told not to read
    ahead in such a file, of which every task uses other places: 320 images took a fiftieth of the time.

    Raises:
        RunStoppedError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise RunStoppedError(
            f"{path} cannot be read ({error.strerror}); remove it, so that it is made anew."
        ) from error
    if len(pages) > memory_at_hand(torch.device("cpu")) and hasattr(mmap, "MADV_RANDOM"):
        pages.madvise(mmap.MADV_RANDOM)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is not to be written to
        return torch.frombuffer(pages, dtype=torch.uint8).view(shape)


def fingerprint(root: Path, files: tuple[str, ...]) -> str:
    """What the paths, sizes and times of the files come to, and the version of what decodes them."""
    digest = hashlib.sha256(b"%d\0" % decoding.VERSION)
    for file in files:
        try:
            state = (root / file).stat()
        except OSError as error:
            raise BadInputError(f"{str(root / file)!r} cannot be read ({error.strerror}).") from error
        digest.update(os.fsencode(file) + f"\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
    return digest.hexdigest()[:32]


def write_pixels(path: Path, root: Path, files: tuple[str, ...], form: Form) -> None:
    """Decodes the files in parallel, with a progress bar, into one file that is whole or not there.

    Raises:
        BadInputError: some cannot be read.
        RunStoppedError: the file cannot be written.
    """
    _log.info("decoding %s images in %s", f"{len(files):,}", root)
    unreadable: list[str] = []
    with whole_file(path) as out:
        for file, pixels in zip(files, shown(decoded(root, files, form), len(files)), strict=True):
            if isinstance(pixels, bytes):
                out.write(pixels)
            else:
                unreadable.append(f"{file!r} ({pixels})")
        if unreadable:
            more = f" and {len(unreadable) - NAMED} more" * (len(unreadable) > NAMED)
            raise BadInputError(
                f"{len(unreadable)} of {len(files)} images in {str(root)!r} cannot be read: "
                f"{', '.join(unreadable[:NAMED])}{more}; mend them or take them away."
            )


def decoded(root: Path, files: tuple[str, ...], form: Form) -> Iterator[bytes | str]:
    """Each file's pixels, or why it cannot be read."""
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter("ignore")  # of metadata; images that are too large are refused
        for start in range(0, len(files), BATCH):
            yield from pool.map(partial(_pixels, root, form), files[start : start + BATCH])


def _pixels(root: Path, form: Form, file: str) -> bytes | str:
    try:
        return decode(root / file, form).tobytes()
    except Exception as error:  # Pillow's plugins raise what they like
        return str(error) or type(error).__name__


def shown(work: Iterator[bytes | str], total: int) -> Iterator[bytes | str]:
    """The work with a bar on stderr, if that is a terminal."""
    console = Console(stderr=True)
    hidden = not (console.file.isatty() and console.is_terminal)
    return iter(track(work, "decoding", total=total, console=console, transient=True, disable=hidden))
