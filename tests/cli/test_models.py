"""``headstart models``: what comes with headstart, and what its notes say it reaches."""

from __future__ import annotations

from pathlib import Path

import pytest

from estimators.learners import saved
from headstart.cli import main as cli
from headstart.trained import load


def test_those_of_the_package_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models"]) == 0
    out = capsys.readouterr().out
    for name in load.names_in_package():
        assert any(line.startswith(f"{name} ") for line in out.splitlines())


def test_what_they_reach_is_said_a_row_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reached = [
        {"data": "omniglot", "task": "5w1s", "accuracy": 0.9612, "interval": 0.004},
        {"data": "digits", "task": "10w5s", "accuracy": 0.8},
    ]
    saved(tmp_path, "maml", reached=reached, calibration={})
    saved(tmp_path, "reptile", "sinusoid")
    monkeypatch.setattr(load, "IN_PACKAGE", tmp_path)
    assert cli.main(["models"]) == 0
    heading, first, second, third, last = capsys.readouterr().out.splitlines()
    assert heading.split() == ["name", "method", "takes", "calibrated", "on", "task", "reaches"]
    assert " ".join(first.split()) == "maml maml 1 x 28 x 28 yes omniglot 5w1s 96.12 ± 0.40 % accuracy"
    assert " ".join(second.split()) == "digits 10w5s 80.00 % accuracy"
    assert " ".join(third.split()) == "reptile reptile 1 no - - not measured"
    assert "headstart adapt" in last
