"""Problems and methods from outside of the package train from the command line like those inside."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from headstart.cli import imports
from headstart.cli import main as cli
from headstart.experiments.methods import METHODS
from headstart.problems.registry import PROBLEMS

SMALL = "--meta-batch 2 --validation-tasks 2 --test-tasks 3 --out run".split()  # noqa: SIM905
MINE = ["--problem", "blobs", "--method", "cautious_maml", "--import", "extension"]


@pytest.fixture(autouse=True)
def forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a test registers is gone after it."""
    monkeypatch.chdir(tmp_path)
    before = dict(PROBLEMS), dict(METHODS)
    sys.modules.pop("extension", None)
    yield
    for table, content in zip((PROBLEMS, METHODS), before, strict=True):
        table.clear()  # type: ignore[attr-defined]
        table.update(content)  # type: ignore[attr-defined]


def test_a_problem_and_a_method_of_ones_own_are_trained_and_evaluated_and_gone_on_with(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["train", *MINE, *SMALL, "--spread", "0.1", "--caution", "4"]) == 0
    assert "test accuracy " in capfd.readouterr().out
    record = json.loads(Path("run/config.json").read_text())
    assert (record["problem"], record["method"], record["spread"], record["caution"]) == (
        "blobs",
        "cautious_maml",
        0.1,
        4,
    )
    assert cli.main(["evaluate", "run", "--shots", "3", "--import", "extension"]) == 0
    assert Path("run/test-3shots.json").exists()
    assert cli.main(["resume", "run", "--import", "extension"]) == 0


def test_they_mix_with_those_inside(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--import", "extension", "--problem", "blobs", "--method", "proto_net", *SMALL]) == 0
    assert cli.main(["methods", "--import", "extension"]) == 0
    assert "CautiousMAML(model)" in capfd.readouterr().out


def test_an_installed_package_names_its_module_as_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [EntryPoint("mine", "extension", imports.GROUP)]
    monkeypatch.setattr(imports, "entry_points", lambda group: found if group == imports.GROUP else [])
    assert cli.main(["train", "--problem", "blobs", *SMALL]) == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "--import", "nowhere"], "--import nowhere failed (ModuleNotFoundError: No module named 'nowhere')."),
        (["train", "--import", "extension", "--spread", "1"], "--spread goes with --problem blobs, not glyphs."),
        (["train", "--problem", "blobs"], "'blobs'"),
    ],
)
def test_what_is_not_there_is_said(arguments: list[str], sentence: str, capfd: pytest.CaptureFixture[str]) -> None:
    try:
        code = cli.main(arguments)
    except SystemExit as leave:
        code = int(str(leave.code))
    assert code == 2 and sentence in capfd.readouterr().err


def test_a_run_whose_problem_is_not_imported_says_how_to_go_on(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", *MINE, *SMALL]) == 0
    PROBLEMS.pop("blobs")
    assert cli.main(["evaluate", "run"]) == 2
    assert "--problem 'blobs' is unknown; choose one of" in (err := capfd.readouterr().err) and "--import" in err


def test_the_file_stands_alone() -> None:
    importlib.import_module("extension")
    assert "blobs" in PROBLEMS and "cautious_maml" in METHODS
