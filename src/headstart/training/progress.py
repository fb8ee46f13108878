"""Where a running training stands, on stderr: a live line on a terminal, elsewhere a plain line now and then."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from types import TracebackType

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from headstart.evaluation.result import Evaluation

PLAIN_EVERY = 30.0
"""Seconds between two plain lines; besides, there is one after every validation."""
RECENT = 1000
"""Updates that the speed is the mean of."""
BETWEEN = "  "
COUNTER, VALIDATION, LOSS, TIME, METRIC, SPEED = range(6)
"""The parts of the line, the most important first."""


class Progress:
    """A context in which ``update`` shows where the training stands.

    A terminal has one line that changes in place and is as wide as it: what is less important is left away, and no
    number is ever cut. Log messages go above it. Where stderr is no terminal, the same numbers are written as a line of
    their own, every 30 seconds and after every validation.

    >>> with Progress(total=10, start=0) as progress:
    ...     progress.update(1, {"loss": 1.5})
    """

    def __init__(self, total: int, start: int, shown: bool = True) -> None:
        self.total, self.meta_step = total, start
        self.metrics: Mapping[str, float] = {}
        self.validation = ""
        self.started = self.written = time.monotonic()
        self.recent: deque[tuple[float, int]] = deque(maxlen=RECENT)
        self.console = Console(stderr=True)
        on_terminal = self.console.file.isatty() and self.console.is_terminal and not self.console.is_dumb_terminal
        self.live, self.plain = shown and on_terminal, shown and not on_terminal
        self.context = ExitStack()

    def __enter__(self) -> Progress:
        if self.live:
            self.context.enter_context(live_line(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.context.close()

    def update(self, meta_step: int, metrics: Mapping[str, float]) -> None:
        """Shows that ``meta_step`` is done, with the metrics of its tasks."""
        self.meta_step, self.metrics = meta_step, metrics
        self.recent.append((time.monotonic(), meta_step))
        if self.plain and time.monotonic() - self.written >= PLAIN_EVERY:
            self.write()

    def validated(self, result: Evaluation) -> None:
        """Shows the latest validation beside the metrics from now on."""
        value = f"median {number(result.median)}" if result.diverged else number(result.value)
        self.validation = f"validation {result.metric.name} {value}"
        if self.plain:
            self.write()

    def write(self) -> None:
        """The plain line."""
        sys.stderr.write(BETWEEN.join(self.parts()) + "\n")
        self.written = time.monotonic()

    def parts(self) -> dict[str, int]:
        """What there is to say, in its order, with the importance of each part."""
        parts = {f"meta-step {self.meta_step}/{self.total}": COUNTER}
        loss = self.metrics.get("loss", math.nan)
        for name, value in self.metrics.items():
            if name == "loss" or number(value) != number(loss):  # a squared error often is the loss
                parts[f"{name} {number(value)}"] = LOSS if name == "loss" else METRIC
        if self.validation:
            parts[self.validation] = VALIDATION
        if speed := self.speed():
            parts[f"{speed:.1f} steps/s" if speed >= 1 else f"{1 / speed:.1f} s/step"] = SPEED
        if self.meta_step == self.total:
            parts[f"in {duration(time.monotonic() - self.started)}"] = TIME
        elif speed:
            parts[f"left {duration((self.total - self.meta_step) / speed)}"] = TIME
        return parts

    def speed(self) -> float:
        """Meta-steps per second lately; 0 if that is not known yet."""
        if len(self.recent) < 2:
            return 0.0
        (before, first), *_, (now, last) = self.recent
        return (last - first) / max(now - before, 1e-9)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(fitted(self.parts(), options.max_width), no_wrap=True)


def fitted(parts: Mapping[str, int], width: int) -> str:
    """The most important of ``parts`` that fit into ``width`` columns side by side, in their order.

    >>> fitted({"meta-step 3/10": 0, "loss 1.500": 2, "validation accuracy 0.875": 1}, width=45)
    'meta-step 3/10  validation accuracy 0.875'
    """
    chosen: list[str] = []
    for part in sorted(parts, key=lambda part: parts[part]):
        if len(BETWEEN.join([*chosen, part])) <= width:
            chosen.append(part)
    return BETWEEN.join(part for part in parts if part in chosen)


def number(value: float) -> str:
    """A figure to be seen at a glance.

    >>> number(0.98765), number(12.3), number(0.00001234)
    ('0.988', '12.300', '1.23e-05')
    """
    return f"{value:.3f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.2e}"


def duration(seconds: float) -> str:
    """Hours, minutes and seconds.

    >>> duration(3723.4)
    '1:02:03'
    """
    return str(timedelta(seconds=int(seconds)))


@contextmanager
def live_line(progress: Progress) -> Iterator[None]:
    """A context in which the line is drawn four times a second, and the log is written above it and not into it."""
    stderr = sys.stderr
    handlers = [
        handler
        for name in (None, "headstart")
        for handler in logging.getLogger(name).handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is stderr
    ]
    # What goes to a file does not belong above the line; rich would write all of stdout there.
    with Live(progress, console=progress.console, refresh_per_second=4, redirect_stdout=sys.stdout.isatty()):
        for handler in handlers:
            handler.setStream(sys.stderr)  # which writes above the line now
        try:
            yield
        finally:
            for handler in handlers:
                handler.setStream(stderr)
