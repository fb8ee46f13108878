"""One process at a time trains a run, and a dead one does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch.nn.functional as F

import headstart as hs
from headstart.cli import main as cli
from headstart.errors import BadInputError
from headstart.runs import lock
from headstart.runs.folder import RunFolder

HOLDER = """
import sys, time, pathlib
from headstart.runs.lock import Lock
with Lock(pathlib.Path(sys.argv[1])).held():
    print("held", flush=True)
    time.sleep(100)
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PATIENCE", 0.1)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.Popen[str]]:
    """A run that another process holds."""
    path = tmp_path_factory.mktemp("held")
    command = ["train", "--data", "sinusoid", "--width", "4", "--meta-steps", "1", "--meta-batch", "2"]
    assert cli.main([*command, "--validation-tasks", "2", "--test-tasks", "2", "--out", str(path)]) == 0
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "held\n"
    yield path, process
    process.kill()
    process.communicate()


def trained(run: RunFolder, meta_steps: int = 1) -> None:
    learner = hs.MAML(hs.MLP(1, 1, (4,)), inner_lr=0.01, loss=F.mse_loss)
    hs.train(learner, hs.SinusoidTasks(shots=2, queries=2), meta_steps=meta_steps, meta_batch=1, run=run)


def test_a_second_one_says_who_holds_the_run_and_changes_nothing(held, capfd: pytest.CaptureFixture[str]) -> None:
    path, process = held
    files = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    capfd.readouterr()
    assert cli.main(["resume", str(path)]) == 2
    out, err = capfd.readouterr()
    (line,) = [line for line in err.splitlines() if line.startswith("headstart: ")]
    assert line.startswith(f"headstart: {path} is being trained by process {process.pid} on ") and not out
    assert line.endswith("; wait until that ends, or choose another --out.")
    with pytest.raises(BadInputError, match=f"is being trained by process {process.pid} on "):
        trained(RunFolder(path))
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == files


def test_a_run_that_is_trained_can_be_evaluated(held) -> None:
    assert cli.main(["evaluate", str(held[0]), "--test-seed", "1"]) == 0


def test_a_dead_process_holds_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "held\n"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    with lock.Lock(tmp_path).held():
        assert lock.Lock(tmp_path).holder().startswith(f"process {os.getpid()} on ")


def test_a_run_is_let_go_of_when_its_training_ends_or_fails(tmp_path: Path) -> None:
    first, second = RunFolder(tmp_path, {}), RunFolder(tmp_path, {})
    trained(first)
    with pytest.raises(BadInputError, match="meta_steps=0"):
        trained(first, meta_steps=0)
    trained(second, meta_steps=2)
    with first.locked(), pytest.raises(BadInputError, match=f"is being trained by process {os.getpid()} on "):
        trained(second, meta_steps=3)


@pytest.mark.parametrize("place", ["pipe", "link"])
def test_a_lock_that_is_no_file_ends_in_a_sentence_or_holds(place: str, tmp_path: Path) -> None:
    RunFolder(tmp_path, {})
    (os.mkfifo if place == "pipe" else lambda path: path.symlink_to("/dev/zero"))(tmp_path / ".lock")
    try:
        trained(RunFolder(tmp_path))
    except (BadInputError, hs.RunStoppedError) as error:
        assert ".lock cannot be written" in str(error)
