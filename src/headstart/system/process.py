"""This process: what ``torchrun`` or ``--workers`` has told it about itself, and what the command line sets of it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

TOLD = {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
LAUNCHER = "HEADSTART_LAUNCHER"
"""The process that has started this one for a part of its work, by its number."""
LAUNCHER_LOOKED_FOR = 0.1
"""Seconds between two looks for it."""
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Names of ``mallopt``'s options, in ``malloc.h``."""


def launched() -> bool:
    """Whether this process was started as one of several."""
    return os.environ.keys() >= TOLD


def speaks() -> bool:
    """Whether this process is the only one of its run, or rank 0, which reports for all."""
    return not launched() or os.environ["RANK"] == "0"


def local_rank() -> int:
    """This process's number among those of the run on this machine: that of its GPU."""
    return int(os.environ.get("LOCAL_RANK", 0)) if launched() else 0


def local_count() -> int:
    """How many processes of the run are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if launched() else 1


@contextlib.contextmanager
def as_launcher() -> Iterator[None]:
    """A context in which the processes that are started know this one as the one that they end with."""
    os.environ[LAUNCHER] = str(os.getpid())
    try:
        yield
    finally:
        del os.environ[LAUNCHER]


def launcher_is_gone() -> bool:
    """Whether the process is gone that this one is to end with."""
    return LAUNCHER in os.environ and os.environ[LAUNCHER] != str(os.getppid())


def end_with_launcher() -> None:
    """Has this process sent SIGTERM once its launcher is gone, again and again until it ends."""

    def look() -> None:
        while True:
            time.sleep(LAUNCHER_LOOKED_FOR)
            if launcher_is_gone():
                os.kill(os.getpid(), signal.SIGTERM)

    if LAUNCHER in os.environ:
        threading.Thread(target=look, daemon=True).start()


def cache_folder() -> Path:
    """The folder for what can be made again: ``headstart`` in ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headstart"


def keep_compiled_programs() -> None:
    """Has PyTorch keep compiled programs in the cache folder rather than in one for temporary files, unless a folder is
    named already or there is no place to write to."""
    if "TORCHINDUCTOR_CACHE_DIR" in os.environ:
        return
    with contextlib.suppress(OSError, RuntimeError):  # the latter where there is no home
        cache = cache_folder() / "compiled"
        cache.mkdir(parents=True, exist_ok=True)
        if os.access(cache, os.W_OK):
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(cache)


def keep_freed_memory() -> None:
    """Has the GNU C library keep what is freed, for the next meta-step, instead of giving it back to the system and
    asking for it again, page by page: a twentieth of the time. Other C libraries are left as they are."""
    import ctypes

    library = ctypes.CDLL(None) if os.name == "posix" else None
    if set_option := getattr(library, "mallopt", None):
        if not set_option(MMAP_THRESHOLD, 2**30):
            set_option(MMAP_THRESHOLD, 2**25)  # all that older versions take
        set_option(TRIM_THRESHOLD, 2**30)
