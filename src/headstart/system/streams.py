"""What a command prints, where nobody reads it or it cannot be written: the work goes on, and the exit code says so."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO


class Lasting:
    """A text stream that goes on when nothing can be written to it any more; in all else it is ``stream``.

    Attributes:
        error: why what was written is lost; ``None`` if it is not.

    >>> with open(os.devnull, "w") as file:
    ...     stream = Lasting(file)
    ...     print("one line", file=stream, flush=True)
    ...     stream.error is None
    True
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.error: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Writes ``text`` if that is possible."""
        try:
            return self.stream.write(text)
        except OSError as error:
            self._lose(error)
            return len(text)

    def flush(self) -> None:
        """Sends off what was written, if that is possible."""
        try:
            self.stream.flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        self.error = self.error or error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.stream.fileno())  # where what is still held back goes as well
        os.close(nowhere)


@contextmanager
def output_that_lasts() -> Iterator[Lasting]:
    """A context in which stdout and stderr are ``Lasting``; the former is what it gives. Where one of them was closed
    before Python began, it leads nowhere, and no file that is opened later takes its place."""
    if sys.stdout is None or sys.stderr is None:
        while (nowhere := os.open(os.devnull, os.O_RDWR)) <= 2:
            os.set_inheritable(nowhere, True)
        os.close(nowhere)
    before = sys.stdout, sys.stderr
    with Path(os.devnull).open("w") as nowhere_to_be_seen:
        output, errors = (Lasting(stream or nowhere_to_be_seen) for stream in before)
        sys.stdout, sys.stderr = output, errors
        try:
            yield output
        finally:
            sys.stdout, sys.stderr = before
