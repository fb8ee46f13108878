"""Output that nobody reads, or that cannot be written, stops no work."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from typing import TextIO

import pytest

from headstart.system.streams import Lasting, output_that_lasts


@pytest.fixture
def unread() -> Iterator[TextIO]:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", buffering=1) as stream:
        yield stream


def test_writing_goes_on_when_the_reader_is_gone(unread: TextIO) -> None:
    stream = Lasting(unread)
    for _ in range(3):
        print("a line", file=stream, flush=True)
    assert isinstance(stream.error, BrokenPipeError)


def test_what_a_full_disk_does_not_take_is_said_once() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        stream = Lasting(full)
        print("a line", file=stream)
        assert stream.error is None  # it is held back
        stream.flush()
        assert stream.error and stream.error.errno == errno.ENOSPC


def test_the_streams_are_as_before_afterwards_and_one_that_was_closed_leads_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with output_that_lasts() as output:
        print("to nobody", flush=True)
        assert output.error is None and not sys.stdout.isatty()
    assert sys.stdout is None
