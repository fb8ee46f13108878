from __future__ import annotations

import io
import re
import sys

import pytest

from headstart.evaluation.evaluate import Evaluation
from headstart.training.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def go_through(steps: int) -> None:
    with Progress(total=10, start=2) as progress:
        for step in range(3, 3 + steps):
            progress.update(step, {"loss": 1.5, "accuracy": 0.25})
        progress.validated(Evaluation("accuracy", (0.2, 0.875), (0.1, 0.1), 10, "abc", True, 1.0))
        progress.update(3 + steps, {"loss": 1.25, "accuracy": 0.5})


@pytest.mark.parametrize("environment", [{}, {"FORCE_COLOR": "1"}, {"TTY_COMPATIBLE": "1"}])
def test_nothing_is_written_where_stderr_is_no_terminal(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    go_through(4)
    assert capfd.readouterr() == ("", "")


def test_a_terminal_shows_step_loss_accuracy_speed_time_left_and_validation(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("NO_COLOR", raising=False)
    go_through(4)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue())
    last = [line for line in re.split(r"[\r\n]+", text) if line.strip()][-1]
    assert re.search(r"meta-step +7/10", last), last
    assert "loss 1.250  accuracy 0.500  validation accuracy 0.875" in last
    assert re.search(r"\d+\.\d steps/s", last), last
    assert re.search(r"left +\d+:\d\d:\d\d", last), last
    assert capsys.readouterr().out == ""
