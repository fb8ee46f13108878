"""Stopping early: by a signal, after the meta-step at hand, or because another rank is gone."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from headstart.distributed.processes import RankLostError, largest_over_ranks
from headstart.runs.folder import RunFolder
from headstart.system.process import launched, launcher_is_gone
from headstart.training.state import TrainingState


@contextmanager
def stop_signals(state: TrainingState) -> Iterator[None]:
    """Notes the first SIGINT or SIGTERM in ``state.noted``; a second one acts as if there were no handler.

    Whoever stops all processes of a machine stops a launcher too, which hands the signal on: what one of several
    processes is sent within a second counts as one. If the launcher is gone, what is ``interruptible`` is not finished.

    Raises:
        RankLostError: the launcher is gone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    noted_at = 0.0

    def request_stop(number: int, frame: object) -> None:
        nonlocal noted_at
        if launcher_is_gone():
            state.noted = number
            if state.interruptible:
                raise RankLostError("the command that started this process is gone")
            return
        now = time.monotonic()
        if number == state.noted and not (launched() and now < noted_at + 1):
            signal.signal(number, previous[signal.Signals(number)])
            signal.raise_signal(number)
        state.noted, noted_at = number, now

    previous = {number: signal.signal(number, request_stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def interruptible(state: TrainingState) -> Iterator[None]:
    """A context that changes nothing which is trained."""
    state.interruptible = True
    try:
        yield
    finally:
        state.interruptible = False


def agree_to_stop(state: TrainingState) -> bool:
    """Whether any rank was sent a signal; then all leave after the same meta-step.

    Raises:
        RankLostError: another rank is gone.
    """
    state.stopped_by = largest_over_ranks(state.noted) or None
    return state.stopped_by is not None


@contextmanager
def last_step_kept(keep: Callable[[], None], run: RunFolder | None) -> Iterator[None]:
    """A context that leaves what is trained as it is but asks the other ranks; if one of them is gone, it saves.

    Raises:
        RankLostError: another rank is gone; the sentence says what is kept.
    """
    try:
        yield
    except RankLostError as error:
        keep()
        way_out = f"; go on: headstart resume {run.path}" if run else ""
        raise RankLostError(f"{error} ({what_is_kept(run)}){way_out}") from error


def what_is_kept(run: RunFolder | None) -> str:
    """What there is of a run that had to stop, for people."""
    if run is None:
        return "nothing was saved"
    step = run.latest_step()
    return "no checkpoint yet" if step is None else f"the checkpoint of meta-step {step} is kept"
