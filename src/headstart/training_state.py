"""Where the outer loop stands: how it is saved, restored, and stopped by a signal."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from headstart.errors import BadInputError
from headstart.learners.base import Learner
from headstart.params import Params
from headstart.runs import Checkpoint, RunFolder, check_fits

logger = logging.getLogger(__name__)


@dataclass
class TrainingState:
    """Where the outer loop stands, apart from the meta-parameters, the optimizer and the scheduler.

    Attributes:
        meta_step: outer updates made.
        seconds: wall-clock time of training, validation included, over all resumptions.
        best: the best validation accuracy or mean squared error, reached after ``best_step`` outer updates.
        best_params: the meta-parameters that reached it.
        stopped_by: the number of the signal that ended training early.
        log: records that are not yet in ``metrics.jsonl``.
    """

    meta_step: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_step: int | None = None
    best_params: Params = field(default_factory=dict, repr=False)
    stopped_by: int | None = None
    log: list[dict[str, Any]] = field(default_factory=list, repr=False)


def save(
    run: RunFolder, state: TrainingState, learner: Learner, outer: Optimizer, schedule: LRScheduler | None
) -> None:
    """Writes the log and a checkpoint."""
    run.append_metrics(state.log)
    state.log.clear()
    content = {
        "made_by": makers(outer, schedule),
        "seconds": state.seconds,
        "best": state.best,
        "best_step": state.best_step,
        "optimizer": outer.state_dict(),
        "scheduler": schedule.state_dict() if schedule else None,
    }
    run.save_checkpoint(Checkpoint(state.meta_step, learner.meta_params, content))


def restore(
    run: RunFolder,
    checkpoint: Checkpoint,
    state: TrainingState,
    learner: Learner,
    outer: Optimizer,
    schedule: LRScheduler | None,
) -> None:
    """Puts everything back to where the checkpoint was made.

    Raises:
        BadInputError: the checkpoint is of another learner, optimizer or scheduler.
    """
    check_fits(checkpoint.meta_params, learner.meta_params, run.path)
    content = checkpoint.state
    there, here = content.get("made_by"), makers(outer, schedule)
    if there != here:
        raise BadInputError(f"the checkpoint in {run.path} is of {there}, not of {here}: use the former to go on.")
    try:
        outer.load_state_dict(content["optimizer"])
        if schedule:
            schedule.load_state_dict(content["scheduler"])
        state.meta_step, state.seconds = checkpoint.meta_step, content["seconds"]
        state.best, state.best_step = content["best"], content["best_step"]
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise BadInputError(f"the checkpoint in {run.path} is of another optimizer or scheduler: {error}.") from error
    learner.load_state_dict(checkpoint.meta_params, strict=False)
    if state.best is not None:
        state.best_params = run.judged_meta_params()
    logger.info("going on from meta-step %d of %s", state.meta_step, run.path)


def makers(outer: Optimizer, schedule: LRScheduler | None) -> str:
    """What kind of optimizer and scheduler a checkpoint is of."""
    return f"{type(outer).__name__} and {type(schedule).__name__ if schedule else 'no scheduler'}"


@contextmanager
def stop_signals(state: TrainingState) -> Iterator[None]:
    """Notes the first SIGINT or SIGTERM in ``state``; a second one acts as if there were no handler."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def request_stop(number: int, frame: object) -> None:
        state.stopped_by = number
        signal.signal(number, previous[signal.Signals(number)])

    previous = {number: signal.signal(number, request_stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
