"""How commands end whose output cannot arrive, whose folder cannot be written, or that are sent a signal."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import pytest

from headstart.cli import main as cli
from headstart.runs.folder import RunFolder
from headstart.system.files import disk_errors

TINY = """
    train --data sinusoid --width 4 --meta-steps 2 --meta-batch 2 --validation-tasks 2 --test-tasks 3 --workers 1
    --out run
""".split()  # noqa: SIM905
SIGNALLED = """
import os, runpy, sys
module, *numbers = sys.argv[1].split()
class Finder:
    def find_spec(name, path=None, target=None):
        if name == module:
            sys.meta_path.remove(Finder)
            for number in numbers:
                os.kill(os.getpid(), int(number))
sys.meta_path.insert(0, Finder)
sys.argv = ["headstart", *sys.argv[2:]]
runpy.run_module("headstart", run_name="__main__", alter_sys=True)
"""
"""Runs a command that is sent signals when it imports a module."""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def in_bash(command: str, **environment: str) -> tuple[int, str]:
    """The exit code of ``headstart``, the first of a pipe, and what is on stderr."""
    program = command.replace("headstart", f"{sys.executable} -m headstart", 1) + "; exit ${PIPESTATUS[0]}"
    given = {**os.environ, **environment}
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=False, env=given)
    return done.returncode, done.stderr


# output


def test_a_run_that_nobody_reads_of_is_tested_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with (
        os.fdopen(os.dup(writing), "w", buffering=1) as unread,
        os.fdopen(writing, "w", buffering=1) as unread_as_well,
        monkeypatch.context() as patch,
    ):
        patch.setattr(sys, "stdout", unread)
        patch.setattr(sys, "stderr", unread_as_well)
        assert cli.main(TINY) == 141
    assert Path("run/test.json").exists()


def test_a_run_whose_output_finds_no_space_is_tested_and_kept(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with open("/dev/full", "w") as full, monkeypatch.context() as patch:  # noqa: PTH123
        patch.setattr(sys, "stdout", full)
        assert cli.main(TINY) == 1
    assert Path("run/test.json").exists()
    line = capfd.readouterr().err.splitlines()[-1]
    assert line == "headstart: what was printed cannot be written (No space left on device)."


def test_a_list_goes_to_a_closed_stdout(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        assert cli.main(["methods"]) == 0
    assert capfd.readouterr() == ("", "")


def test_help_without_a_reader_is_quiet() -> None:
    assert in_bash("headstart --help | true", PYTHONUNBUFFERED="1") in [(141, ""), (0, "")]


FULL = "headstart: what was printed cannot be written (No space left on device).\n"
ENDS = [
    *((f"headstart {words} | {reader}", {0, 141}, "")
      for words in ("--help", "train --help", "methods", "recipes", "--version") for reader in ("head -1", "true")),
    *((f"headstart {words} > /dev/full", {1}, FULL) for words in ("--help", "train --help", "methods", "--version")),
    *((f"headstart {words} {closed}", {0}, "")
      for words in ("--help", "methods", "--version") for closed in (">&-", ">&- 2>&-", "<&- >&- 2>&-")),
    ("headstart methods 2>&1 > /dev/full | true", {1}, ""), ("headstart train --ways x 2> /dev/full", {2}, ""),
    ("headstart train --ways x 2>&-", {2}, ""),
]  # fmt: skip


@pytest.mark.full
@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize(("command", "codes", "said"), ENDS)
def test_every_way_in_which_output_does_not_arrive(command: str, codes: set[int], said: str, buffered: str) -> None:
    code, err = in_bash(command, PYTHONUNBUFFERED=buffered)
    assert code in codes and err == said


@pytest.mark.full
@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize(
    ("end", "codes"), [("| true", {0, 141}), ("2>&1 | true", {0, 141}), ("> /dev/full", {1}), (">&-", {0}),
                       ("> /dev/full 2>&1", {1}), (">&- 2>&-", {0})],
)  # fmt: skip
@pytest.mark.parametrize("workers", ["1", "2"])
def test_every_way_in_which_the_output_of_a_run_does_not_arrive(
    end: str, codes: set[int], buffered: str, workers: str
) -> None:
    code, err = in_bash(f"headstart {' '.join(TINY)} --workers {workers} {end}", PYTHONUNBUFFERED=buffered)
    assert code in codes and "Traceback" not in err and "Exception" not in err
    assert Path("run/test.json").exists()


# a folder that cannot be written


def test_a_result_that_cannot_be_kept_is_printed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(run: RunFolder, name: str, content: Mapping[str, Any]) -> NoReturn:
        with disk_errors(run.path / name):
            raise OSError(errno.EROFS, "Read-only file system")
        raise AssertionError

    assert cli.main(TINY) == 0
    first = capfd.readouterr().out.splitlines()
    monkeypatch.setattr(RunFolder, "write_tensors", refuse)
    assert cli.main(["evaluate", "run"]) == 1
    out, err = capfd.readouterr()
    assert out.splitlines() == [line for line in first if line.startswith(("test ", "    after "))]
    line = err.splitlines()[-1]
    assert line.startswith("headstart: run/test.safetensors cannot be written (Read-only file system)")


# signals


def signalled(module: str, *numbers: int) -> tuple[int, str, str]:
    """How a training ends that is sent signals when it imports ``module``: exit code, stdout and stderr."""
    program = [sys.executable, "-c", SIGNALLED, " ".join(map(str, (module, *numbers))), *TINY]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_signal_at_the_first_import_ends_in_one_line() -> None:
    assert signalled("headstart.cli.main", signal.SIGINT) == (130, "", "headstart: interrupted\n")


@pytest.mark.full
@pytest.mark.parametrize(("number", "code", "word"), [(2, 130, "interrupted"), (15, 143, "terminated")])
@pytest.mark.parametrize("module", ["tyro", "rich", "headstart.cli.train", "torch", "torch.nn", "numpy", "sympy"])
def test_a_signal_at_any_import_ends_in_one_line(module: str, number: int, code: int, word: str) -> None:
    assert signalled(module, number, number) == (code, "", f"headstart: {word}\n")
    assert not Path("run").exists()


@pytest.mark.full
@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("tenths", range(1, 40, 2))
def test_a_signal_at_any_time_leaves_no_traceback(tenths: int, number: signal.Signals, twice: bool) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "headstart", *TINY], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        time.sleep(tenths / 10)
        process.send_signal(number)
        if twice:
            time.sleep(0.01)
            process.send_signal(number)
        _, err = process.communicate()
    assert process.returncode in (0, 128 + number, -number)
    if tenths > 1:  # before that, Python itself may not have come to headstart yet
        assert "Traceback" not in err and "Exception" not in err, err
