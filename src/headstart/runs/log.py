"""``metrics.jsonl``: one record per meta-step and per validation. A checkpoint knows the log up to its meta-step."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_map

from headstart.errors import BadInputError
from headstart.runs.checksums import Checksum, checksum
from headstart.system.files import disk_errors, write_bytes
from headstart.system.reading import open_regular, parse_json

WAY_OUT = "delete it to go on without it"
UNSAVED = 2**26
"""Bytes that are written after the last checkpoint, at most."""


class MetricsLog:
    """The log in the file ``path``, which one process writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._size, self._digest = 0, hashlib.sha256()
        self._begun = False

    def append(self, records: list[dict[str, Any]]) -> None:
        """Adds one line per record; scalar tensors are written as numbers.

        Raises:
            RunStoppedError: it cannot be written.
        """
        content = "".join(to_json(record) + "\n" for record in records).encode()
        self._begin()
        with disk_errors(self.path), self.path.open("ab") as log:
            log.write(content)
            log.flush()
            os.fsync(log.fileno())
        self._count(content)

    def mark(self) -> Checksum:
        """What the log is now, for ``cut`` to come back to."""
        self._begin()
        return Checksum(self._size, self._digest.hexdigest())

    def cut(self, mark: Checksum | None) -> None:
        """Drops what was logged after ``mark``, or everything if there is none. A log that was deleted begins anew.

        Raises:
            BadInputError: the log is another one, or no regular file.
            RunStoppedError: it cannot be written.
        """
        content = b""
        if self.path.exists():
            with open_regular(self.path, WAY_OUT) as file:
                size = os.fstat(file.fileno()).st_size
                content = file.read(min(size, mark.size if mark else 0))
            check_mark(content, mark, self.path, WAY_OUT)
            if size > len(content):
                write_bytes(self.path, content)
        self._size, self._digest, self._begun = 0, hashlib.sha256(), True
        self._count(content)

    def read(self, mark: Checksum | None, way_out: str) -> list[dict[str, Any]]:
        """The records, without a line that a kill cut short.

        Raises:
            BadInputError: there is no log, it is not the one of ``mark``, or it cannot be read.
        """
        with open_regular(self.path, way_out) as file:
            size = os.fstat(file.fileno()).st_size
            content = file.read(min(size, (mark.size if mark else 0) + UNSAVED))
        check_mark(content, mark, self.path, way_out)
        records = [parse_json(line, self.path, way_out) for line in content.split(b"\n")[:-1]]
        if not all(isinstance(record, dict) and type(record.get("meta_step")) is int for record in records):
            raise BadInputError(f"{self.path} is not a readable log; {way_out}.")
        return records

    def _begin(self) -> None:
        """Takes the log as it is, where nothing has been read or written yet."""
        if not self._begun and self.path.is_file():
            self._count(self.path.read_bytes())
        self._begun = True

    def _count(self, content: bytes) -> None:
        self._size += len(content)
        self._digest.update(content)


def check_mark(content: bytes, mark: Checksum | None, path: Path, way_out: str) -> None:
    """Checks that a log begins as it did when it was marked.

    Raises:
        BadInputError: it does not.
    """
    if mark and checksum(content[: mark.size]) != mark:
        raise BadInputError(f"{path} is not as the run wrote it, up to its checkpoint; {way_out}.")


def to_json(content: Mapping[str, Any], indent: int | None = None) -> str:
    """Scalar tensors become numbers, and what is not finite ``null``, since JSON knows no other word for it."""

    def known(value: Any) -> Any:
        number = value.item() if isinstance(value, Tensor) else value
        return None if isinstance(number, float) and not math.isfinite(number) else number

    return json.dumps(tree_map(known, dict(content)), indent=indent)
