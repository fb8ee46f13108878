"""Files that somebody else may have put there: what they are and how large is looked at before they are read."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

from headstart.errors import BadInputError

LARGEST_JSON = 2**26
"""Bytes of a JSON file, at most."""


def open_regular(path: Path, way_out: str) -> BinaryIO:
    """The file ``path``, open to be read. A pipe is not waited for, and a device not read.

    Raises:
        BadInputError: it is not there, or not a regular file; ``way_out`` ends the sentence.

    >>> open_regular(Path("/dev/zero"), "name a file")
    Traceback (most recent call last):
    headstart.errors.BadInputError: /dev/zero is not a regular file; name a file.
    """
    try:
        file = os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb")
    except FileNotFoundError as error:
        raise BadInputError(f"{path} is not there; {way_out}.") from error
    except IsADirectoryError as error:
        raise BadInputError(f"{path} is not a regular file; {way_out}.") from error
    except OSError as error:
        raise BadInputError(f"{path} cannot be read ({error.strerror}); {way_out}.") from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise BadInputError(f"{path} is not a regular file; {way_out}.")
    return file


def read_regular(path: Path, largest: int, way_out: str) -> bytes:
    """The content of a regular file of at most ``largest`` bytes.

    Raises:
        BadInputError: it is no such file, or cannot be read; ``way_out`` ends the sentence.
    """
    with open_regular(path, way_out) as file:
        size = os.fstat(file.fileno()).st_size
        if size > largest:
            raise BadInputError(f"{path} has {size:,} bytes, more than the {largest:,} that it may have; {way_out}.")
        try:
            return file.read(size)
        except OSError as error:
            raise BadInputError(f"{path} cannot be read ({error.strerror}); {way_out}.") from error


def parse_json(content: bytes, path: Path, way_out: str) -> Any:
    """The value in the JSON file ``path``.

    Raises:
        BadInputError: it is no JSON, has numbers of thousands of digits, or is nested beyond reason.

    >>> parse_json(b"[" * 100_000, Path("config.json"), "write it anew")
    Traceback (most recent call last):
    headstart.errors.BadInputError: config.json is not readable JSON; write it anew.
    """
    try:
        return json.loads(content.decode())
    except (ValueError, RecursionError) as error:  # of which the errors of Unicode and JSON are the former
        raise BadInputError(f"{path} is not readable JSON; {way_out}.") from error


def parse_object(content: bytes, path: Path, way_out: str) -> dict[str, Any]:
    """The object in the JSON file ``path``.

    Raises:
        BadInputError: it is no JSON, or something else; ``way_out`` ends the sentence.
    """
    value = parse_json(content, path, way_out)
    if not isinstance(value, dict):
        raise BadInputError(f"{path} holds no JSON object; {way_out}.")
    return value
