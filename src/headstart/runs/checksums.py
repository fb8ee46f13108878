"""``checksums.json``: what each file of a run is, which the run will read again.

A file and its checksum cannot change in one step. So before a file is replaced, its new checksum is put beside the old
one, and whenever the process is killed, the file is one of the two. The next change leaves the right one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from headstart.errors import BadInputError, RunStoppedError
from headstart.runs.tensor_files import size_said
from headstart.system.files import disk_errors, write_bytes
from headstart.system.reading import LARGEST_JSON, parse_json, read_regular

NAME, LOCK = "checksums.json", ".checksums.lock"
PATIENCE = 60.0
"""Seconds that another process may take to write a file."""
READ_AGAIN = ("*.json", "*.safetensors", "checkpoints/step-*/*")
"""The files that have a checksum."""


class Checksum(NamedTuple):
    """The size of a file, and the SHA-256 of its content."""

    size: int
    sha256: str


Known = dict[str, list[Checksum | None]]
"""What each file may be, by its name in the folder; ``None`` where it may be missing."""


def checksum(content: bytes) -> Checksum:
    """The checksum of a file.

    >>> checksum(b"1.5")
    Checksum(size=3, sha256='9f29a130438b81170b92a42650f9a94291ecad60bd47af2a3886e75f7f728725')
    """
    return Checksum(len(content), hashlib.sha256(content).hexdigest())


class Checksums:
    """Those of the run in ``folder``. A folder without ``checksums.json`` is taken as it is."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / NAME
        self._lock = FileLock(folder / LOCK, timeout=PATIENCE)
        self._written: dict[str, Checksum] = {}

    @property
    def way_out(self) -> str:
        """What to do about a file that may be altered on purpose."""
        return f"put the right one back, or delete {self.path} to take the folder as it is"

    def has(self, name: str) -> bool:
        """Whether the run has a file, be it there or not."""
        known = self._known()
        return (self.folder / name).exists() or (known is not None and None not in known.get(name, [None]))

    def read(self, name: str, way_out: str) -> bytes:
        """The content of a file.

        Raises:
            BadInputError: it is not what the run wrote, or cannot be read; ``way_out`` ends the sentence.
        """
        known = self._known()
        while True:
            try:
                return self._verified(name, known, way_out)
            except BadInputError:  # or another process is replacing it
                before, known = known, self._known()
                if known == before:
                    raise

    def _verified(self, name: str, known: Known | None, way_out: str) -> bytes:
        path = self.folder / name
        if known is None:
            return read_as_it_is(path, way_out)
        allowed = [found for found in known.get(name, []) if found]
        content = read_regular(path, max((found.size for found in allowed), default=0), way_out)
        if checksum(content) not in allowed:
            raise BadInputError(f"{path} is not as the run wrote it: its SHA-256 is another; {way_out}.")
        return content

    @contextmanager
    def changing(self, new: Mapping[str, Checksum], keeps: Callable[[str], bool] = lambda name: True) -> Iterator[None]:
        """A context in which files become what ``new`` says, and no other process changes one. Of the others, those
        that it ``keeps`` still have a checksum afterwards.

        Raises:
            RunStoppedError: the folder cannot be written.
        """
        with self.held():
            known = self._taken() if (found := self._known()) is None else found
            known = {name: self._settled(name, entries) for name, entries in known.items() if keeps(name)}
            self._write({**known, **{name: [*known.get(name, [None]), one] for name, one in new.items()}})
            yield
            self._written |= new

    def _settled(self, name: str, entries: list[Checksum | None]) -> list[Checksum | None]:
        """What a file is, where an earlier change has left two possibilities."""
        if len(entries) == 1:
            return entries
        path, written = self.folder / name, self._written.get(name)
        if written is None or written not in entries:
            written = checksum(read_as_it_is(path, self.way_out)) if path.exists() else None
        return [written] if written in entries else entries

    @contextmanager
    def held(self) -> Iterator[None]:
        """A context in which no other process changes a file of the run.

        Raises:
            RunStoppedError: the folder cannot be written.
        """
        with disk_errors(self.folder / LOCK):
            try:
                self._lock.acquire()
            except Timeout as error:
                raise RunStoppedError(f"another process has been writing into {self.folder} for a minute.") from error
        try:
            yield
        finally:
            self._lock.release()

    def _known(self) -> Known | None:
        way_out = "delete it to take the folder as it is"
        if not self.path.exists():
            return None
        record = parse_json(read_regular(self.path, LARGEST_JSON, way_out), self.path, way_out)
        try:
            return {
                name: [entry and Checksum(int(entry[0]), str(entry[1])) for entry in entries]
                for name, entries in record.items()
            }
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise BadInputError(f"{self.path} holds no checksums; {way_out}.") from error

    def _taken(self) -> Known:
        """The checksums of what is there and can be read."""
        taken: Known = {}
        for path in (path for pattern in READ_AGAIN for path in sorted(self.folder.glob(pattern)) if path.is_file()):
            with suppress(BadInputError):
                taken[path.relative_to(self.folder).as_posix()] = [checksum(read_as_it_is(path, self.way_out))]
        return taken

    def _write(self, known: Known) -> None:
        write_bytes(self.path, (json.dumps(known, indent=1, sort_keys=True) + "\n").encode())


def read_as_it_is(path: Path, way_out: str) -> bytes:
    """The content of a file without a checksum, unless it is larger than such a file can be.

    Raises:
        BadInputError: it cannot be read; ``way_out`` ends the sentence.
    """
    largest = size_said(path, way_out) if path.suffix == ".safetensors" else LARGEST_JSON
    return read_regular(path, largest, way_out)
