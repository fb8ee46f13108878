"""What is told of a running training, and to whom: plain functions that are called after each meta-step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from headstart.errors import BadInputError
from headstart.evaluation.result import Evaluation
from headstart.learners.base import Learner

WAITING = 20
"""Events that are written at once: a GPU is waited for no more often."""


class Event(NamedTuple):
    """A meta-step that is done, or a validation after it.

    Attributes:
        meta_step: meta-steps that are done.
        metrics: means over the tasks of the meta-step, such as ``loss``. They are scalar tensors where the learner is:
            reading one, ``float(event.metrics["loss"])``, waits for a GPU.
        learner: what is trained, with ``learner.meta_params`` as they now are.
        validation: what was found, if this is a validation; ``None`` if it is a meta-step.
    """

    meta_step: int
    metrics: Mapping[str, Tensor]
    learner: Learner
    validation: Evaluation | None = None


Callback = Callable[[Event], object]


def tell(callbacks: Sequence[Callback], events: Sequence[Event], keep: Callable[[], None]) -> None:
    """Calls each of ``callbacks`` with each of ``events``; if one fails, ``keep`` comes before its error."""
    try:
        for event in events:
            for callback in callbacks:
                callback(event)
    except Exception:
        keep()
        raise


@contextmanager
def tensorboard(folder: str | Path) -> Iterator[Callback]:
    """A callback that writes the metrics of meta-steps and validations for TensorBoard, into ``folder``.

    ``with tensorboard("runs/x") as board: train(..., callbacks=[board])``, and then ``tensorboard --logdir runs``.

    Raises:
        BadInputError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise BadInputError("TensorBoard is not installed: pip install headstart[tensorboard]") from error
    writers: list[SummaryWriter] = []
    waiting: list[Event] = []

    def write() -> None:
        if waiting and not writers:  # what an earlier process wrote of these meta-steps is hidden
            writers.append(SummaryWriter(str(folder), purge_step=waiting[0].meta_step))
        for event in waiting:
            scalars: dict[str, Tensor | float] = {f"training/{name}": value for name, value in event.metrics.items()}
            if event.validation:
                scalars = {f"validation/{event.validation.metric.name}": event.validation.value}
            for name, value in scalars.items():
                writers[0].add_scalar(name, float(value), event.meta_step)
        waiting.clear()

    def callback(event: Event) -> None:
        waiting.append(event)
        if event.validation or len(waiting) == WAITING:
            write()

    try:
        yield callback
    finally:
        write()
        for writer in writers:
            writer.close()
