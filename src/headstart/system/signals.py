"""Ctrl-C and SIGTERM outside of training: one line and the conventional exit code, from the first import on."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from types import FrameType

from headstart.system.process import launched, speaks

WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
IMPORTING = "<frozen importlib._bootstrap>"
"""The file, as Python calls it, of the functions that import."""


class Signalled(KeyboardInterrupt):
    """A signal asks for the end."""

    def __init__(self, number: int) -> None:
        super().__init__(WORDS[signal.Signals(number)])
        self.code = 128 + number


def end_on_signals() -> None:
    """Has the first SIGINT or SIGTERM raise ``Signalled``, and a second one end the process at once. One process of
    several leaves SIGTERM to its launcher, which knows what an end by it means."""
    for number in [signal.SIGINT] if launched() else WORDS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and a shell's background have it
            signal.signal(number, _end)


def leave_signals() -> None:
    """Has a signal end the process at once, without a word: when there is nothing left to do."""
    for number in WORDS:
        if signal.getsignal(number) is _end:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, frame: FrameType | None) -> None:
    leave_signals()
    if _is_importing(frame):  # there is nothing to clean up, and many a module takes an error while it is imported ill
        with suppress(OSError):
            os.write(2, f"headstart: {WORDS[signal.Signals(number)]}\n".encode() if speaks() else b"")
        os._exit(128 + number)
    raise Signalled(number)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == IMPORTING:
            return True
        frame = frame.f_back
    return False
