"""Files that are either as they were or complete: a kill, a full disk or a power cut leaves nothing half-written."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from headstart.errors import BadInputError, RunStoppedError

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns an ``OSError`` of the enclosed block, which writes ``path``, into a sentence that names ``path``.

    Raises:
        RunStoppedError: no disk space is left, or the operating system refuses to write there.

    >>> with disk_errors(Path("weights")):
    ...     raise PermissionError(errno.EACCES, "Permission denied")
    Traceback (most recent call last):
    headstart.errors.RunStoppedError: weights cannot be written (Permission denied); what was there before is intact.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            message = f"There is no disk space left to write {path}; what was there before is intact: free some space."
        else:
            message = f"{path} cannot be written ({error.strerror or error}); what was there before is intact."
        raise RunStoppedError(message) from error


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A new file to write, which becomes the file ``path`` when the block ends, and leaves no trace if it fails.

    The bytes go to a temporary file in the same folder, reach the disk, and take the place of ``path`` in one step. Of
    a link, the file that it leads to is replaced.

    Raises:
        BadInputError: ``path`` is a device or a pipe.
        RunStoppedError: no disk space is left, or ``path`` cannot be written; the file that was there is intact.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with whole_file(Path(folder, "weights")) as file:
    ...         _ = file.write(b"1.5")
    ...     Path(folder, "weights").read_bytes()
    b'1.5'
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    with disk_errors(path):
        if target.exists() and not (target.is_file() or target.is_dir()):
            raise BadInputError(f"{path} is a device or a pipe, which a file cannot replace; name a file.")
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            with suppress(OSError):  # whether it can be removed must not hide why the write failed
                temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Makes ``content`` the content of the file ``path``, all of it or none of it.

    Raises:
        BadInputError: ``path`` is a device or a pipe.
        RunStoppedError: no disk space is left, or ``path`` cannot be written; the file that was there is intact.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_bytes(Path(folder, "weights"), b"1.5")
    ...     Path(folder, "weights").read_bytes()
    b'1.5'
    """
    with whole_file(path) as file:
        file.write(content)
