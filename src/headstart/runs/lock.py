"""Who trains a run: one process at a time, and nobody once it is dead."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from headstart.errors import BadInputError
from headstart.system.files import disk_errors
from headstart.system.reading import read_regular

NAME = ".lock"
PATIENCE = 3.0
"""Seconds for one that is about to end: the processes of a command that was killed take one."""


class Lock:
    """The lock of the run in ``folder``. The operating system releases that of a process which ends.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lock = Lock(Path(folder))
    ...     with lock.held(), lock.held():  # by the same object
    ...         Lock(Path(folder)).holder().startswith("process")
    True
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / NAME
        self._lock = FileLock(self.path)

    @contextmanager
    def held(self) -> Iterator[None]:
        """A context in which nobody else trains the run.

        Raises:
            BadInputError: somebody does.
            RunStoppedError: the folder cannot be written.
        """
        with disk_errors(self.path):
            try:
                self._lock.acquire(timeout=PATIENCE)
            except Timeout as error:
                raise BadInputError(
                    f"{self.folder} is being trained by {self.holder()}; wait until that ends, or choose another --out."
                ) from error
        try:
            with disk_errors(self.path):
                self.path.write_text(f"process {os.getpid()} on {socket.gethostname()}\n")
            yield
        finally:
            self._lock.release()

    def holder(self) -> str:
        """The process that has the lock, or had it last."""
        with suppress(BadInputError):
            return read_regular(self.path, 1000, "").decode(errors="replace").strip() or "another process"
        return "another process"
