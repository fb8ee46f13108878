"""The live line of a running training: meta-step, loss, accuracy, steps per second and the time left."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from headstart.evaluation.result import Evaluation


class Progress:
    """A context in which ``update`` shows where the training stands; it writes to stderr, and only to a terminal.

    >>> with Progress(total=10, start=0) as progress:
    ...     progress.update(1, {"loss": 1.5})
    """

    def __init__(self, total: int, start: int, shown: bool = True) -> None:
        console = Console(stderr=True)
        self._shown = RichProgress(
            TextColumn("meta-step"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.fields[metrics]}"),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            disable=not (shown and console.file.isatty()),
        )
        self._bar = self._shown.add_task("training", total=total, completed=start, metrics="", rate="")
        self._validation = ""

    def __enter__(self) -> Progress:
        self._shown.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shown.stop()

    def update(self, meta_step: int, metrics: Mapping[str, float]) -> None:
        """Shows that ``meta_step`` is done, with the metrics of its tasks."""
        speed = self._shown.tasks[0].speed
        self._shown.update(
            self._bar,
            completed=meta_step,
            metrics="  ".join(f"{name} {value:.3f}" for name, value in metrics.items()) + self._validation,
            rate=f"{speed:.1f} steps/s" if speed else "",
        )

    def validated(self, result: Evaluation) -> None:
        """Shows the latest validation beside the metrics from now on."""
        self._validation = f"  validation {result.metric.name} {result.value:.3f}"
