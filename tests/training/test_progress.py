from __future__ import annotations

import io
import logging
import math
import re
import sys
from types import SimpleNamespace

import pytest
import torch

from headstart.evaluation.result import Evaluation
from headstart.learners.scoring import ACCURACY, MSE, Metric
from headstart.training import progress as module
from headstart.training.progress import Progress

LEFT = "  left 3:18:32"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        """What it shows, each state of the live line as a line of its own."""
        text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.getvalue())
        return [line.rstrip() for line in re.split(r"[\r\n]+", text) if line.strip()]


def new_terminal(monkeypatch: pytest.MonkeyPatch, width: int = 80, term: str = "xterm") -> Terminal:
    """stderr, from now on."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("COLUMNS", str(width))
    for name in ("NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return screen


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What time it is, in its one entry."""
    now = [100.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def evaluation(metric: Metric, *scores: float) -> Evaluation:
    return Evaluation(metric, torch.tensor(scores, dtype=torch.float64)[:, None], "abc", True, 1.0)


def go_through(clock: list[float], total: int = 60_000, start: int = 12_340, validated: bool = True) -> None:
    """Ten meta-steps, four of them a second, and a validation before the last."""
    with Progress(total=total, start=start) as progress:
        for step in range(start + 1, start + 11):
            if validated and step == start + 10:
                progress.validated(evaluation(ACCURACY, 0.75, 1.0))
            clock[0] += 0.25
            progress.update(step, {"loss": 1.25, "accuracy": 0.5})


# a terminal


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (25, "meta-step 12350/60000"),
        (60, "meta-step 12350/60000  loss 1.250  validation accuracy 0.875"),
        (80, "meta-step 12350/60000  loss 1.250  validation accuracy 0.875  left 3:18:32"),
        (
            120,
            "meta-step 12350/60000  loss 1.250  accuracy 0.500  validation accuracy 0.875  4.0 steps/s  left 3:18:32",
        ),
    ],
)
def test_a_terminal_shows_what_fits_and_cuts_nothing(
    width: int, line: str, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = new_terminal(monkeypatch, width)
    go_through(clock)
    assert terminal.lines()[-1] == line
    assert all(len(shown) <= width for shown in terminal.lines())


def test_before_a_validation_a_narrow_terminal_has_room_for_the_metric(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = new_terminal(monkeypatch)
    go_through(clock, validated=False)
    assert terminal.lines()[-1] == "meta-step 12350/60000  loss 1.250  accuracy 0.500  4.0 steps/s" + LEFT


def test_at_the_end_it_says_how_long_it_took(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = new_terminal(monkeypatch, 200)
    go_through(clock, total=10, start=0)
    assert terminal.lines()[-1].endswith("4.0 steps/s  in 0:00:02")


def test_tasks_that_diverged_leave_the_median(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = new_terminal(monkeypatch)
    with Progress(total=10, start=0) as progress:
        progress.update(1, {"loss": 1.25, "mse": 1.25})
        progress.validated(evaluation(MSE, 0.5, 0.25, math.nan))
    assert terminal.lines()[-1] == "meta-step 1/10  loss 1.250  validation mse median 0.500"  # one number once


@pytest.mark.parametrize("name", [None, "headstart"])
def test_the_log_goes_above_the_line(name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = new_terminal(monkeypatch)
    logger, handler = logging.getLogger(name), logging.StreamHandler(terminal)
    logger.addHandler(handler)
    try:
        with Progress(total=10, start=0) as progress:
            progress.update(1, {"loss": 1.5})
            logger.warning("the engine has chosen")
            progress.update(2, {"loss": 1.25})
        assert handler.stream is terminal
    finally:
        logger.removeHandler(handler)
    assert "the engine has chosen" in terminal.lines()
    assert terminal.lines()[-1].startswith("meta-step 2/10  loss 1.250")


def test_what_is_printed_into_a_file_stays_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = new_terminal(monkeypatch)
    with Progress(total=10, start=0):
        print("a result")
    assert capsys.readouterr().out == "a result\n" and "a result" not in terminal.getvalue()


# no terminal


@pytest.mark.parametrize("environment", [{}, {"FORCE_COLOR": "1"}, {"TTY_COMPATIBLE": "1"}])
def test_elsewhere_there_is_a_plain_line_every_half_minute_and_after_every_validation(
    environment: dict[str, str], clock: list[float], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with Progress(total=100, start=0) as progress:
        for step in range(1, 51):
            clock[0] += module.PLAIN_EVERY / 20
            progress.update(step, {"loss": 1.5, "accuracy": 0.25})
            if step == 45:
                progress.validated(evaluation(ACCURACY, 0.75, 1.0))
    assert capfd.readouterr() == (
        "",
        "meta-step 20/100  loss 1.500  accuracy 0.250  1.5 s/step  left 0:02:00\n"
        "meta-step 40/100  loss 1.500  accuracy 0.250  1.5 s/step  left 0:01:30\n"
        "meta-step 45/100  loss 1.500  accuracy 0.250  validation accuracy 0.875  1.5 s/step  left 0:01:22\n",
    )


def test_a_terminal_that_cannot_go_back_has_plain_lines_too(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = new_terminal(monkeypatch, term="dumb")
    go_through(clock)
    assert len(terminal.lines()) == 1 and "\x1b" not in terminal.getvalue()


@pytest.mark.parametrize("on_terminal", [True, False])
def test_what_is_not_to_be_shown_is_not(
    on_terminal: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    terminal = new_terminal(monkeypatch) if on_terminal else Terminal()
    with Progress(total=1, start=0, shown=False) as progress:
        progress.update(1, {"loss": 1.5})
        progress.validated(evaluation(ACCURACY, 0.75, 1.0))
    assert terminal.getvalue() == "" and capfd.readouterr() == ("", "")
