"""Killed at random moments and gone on with, a run ends bitwise as one that was never stopped.

``pytest`` kills a few times, ``pytest -m full`` more often, and with ``HEADSTART_KILLS=200`` as often as one likes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from headstart.cli import main as cli
from run_files import state_in

KILLS = int(os.environ.get("HEADSTART_KILLS", "15"))
NURSERY = '''
"""Trains in child processes that it kills with SIGKILL at random moments, until one of them lives to the end."""
import os, random, signal, sys, tempfile, time
import torch
import torch.nn.functional as F
import headstart as hs

torch.set_num_threads(1)  # a fork is safe then
straight, killed, wanted, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
random.seed(seed)


def go(path, meta_steps=120):
    torch.manual_seed(0)
    learner = hs.MAML(hs.MLP(1, 1, (8, 8)), inner_lr=0.01, loss=F.mse_loss)
    tasks = hs.SinusoidTasks(shots=3, queries=3)
    hs.train(
        learner, tasks, meta_steps=meta_steps, meta_batch=2,
        scheduler=lambda outer: torch.optim.lr_scheduler.CosineAnnealingLR(outer, 120),
        validation=hs.Validation(tasks, every=7, count=3),
        run=hs.RunFolder(path, {"name": "nursery"}), checkpoint_every=2,
    )


def child(path):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            go(path)
            code = 0
        finally:
            os._exit(code)
    return pid


with tempfile.TemporaryDirectory() as folder:
    go(folder, meta_steps=8)  # what is imported at the first step is there before the first fork
started = time.perf_counter()
assert os.waitpid(child(straight), 0)[1] == 0
longest = 0.4 * (time.perf_counter() - started)
kills, at, run = 0, set(), 0
while kills < wanted or len(at) < 2:  # a run that outran its killers counts too, and another is tried, with faster ones
    run, longest = run + 1, longest * 0.7
    path = f"{killed}/{run}"
    while True:
        pid = child(path)
        time.sleep(random.uniform(0, longest))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if os.WIFEXITED(status):
            break
        kills += 1
        if os.path.exists(path + "/config.json"):
            checkpoint = hs.RunFolder(path, {"name": "nursery"}).latest_checkpoint()  # loadable after every kill
            at |= {checkpoint.meta_step} if checkpoint else set()
    assert os.WEXITSTATUS(status) == 0
print(kills, len(at))
'''


def records(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def assert_same_run(left: Path, right: Path) -> None:
    """Bitwise the same meta-parameters, optimizer and scheduler, and the same log but for the seconds."""
    assert records(left) == records(right)
    names = sorted(path.name for path in (left / "checkpoints").glob("step-*"))
    assert names == sorted(path.name for path in (right / "checkpoints").glob("step-*")) and len(names) == 2
    for name in ("best.safetensors", *(f"checkpoints/{name}/meta_params.safetensors" for name in names)):
        ours, theirs = load_file(left / name), load_file(right / name)
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)
    for name in names:
        states = [state_in(path / "checkpoints" / name) for path in (left, right)]
        for state in states:
            assert state.pop("seconds") > 0
        assert_equal(*states)


def assert_equal(left: Any, right: Any) -> None:
    assert type(left) is type(right)
    if isinstance(left, torch.Tensor):
        assert torch.equal(left, right)
    elif isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_equal(left[key], right[key])
    elif isinstance(left, (list, tuple)):
        assert len(left) == len(right)
        for ours, theirs in zip(left, right, strict=True):
            assert_equal(ours, theirs)
    else:
        assert left == right


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("wanted", [3, pytest.param(KILLS, marks=pytest.mark.full)])
def test_kill_9_at_random_moments(wanted: int, tmp_path: Path) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    command = [sys.executable, "-c", NURSERY, str(straight), str(killed), str(wanted), str(wanted)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert all(line.startswith("meta-step ") for line in done.stderr.splitlines()), done.stderr
    kills, steps = map(int, done.stdout.split())
    print(f"{kills} kills, at {steps} different checkpoints")
    assert kills >= wanted and steps >= 2
    for run in killed.iterdir():
        assert_same_run(run, straight)


# the command line

SETTINGS = """
    train --data sinusoid --meta-steps 40 --meta-batch 2 --width 4 --checkpoint-every 5
    --validation-every 9 --validation-tasks 3 --test-tasks 3 --test-queries 4 --out
""".split()  # noqa: SIM905


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never stopped."""
    path = tmp_path_factory.mktemp("runs") / "straight"
    assert cli.main([*SETTINGS, str(path)]) == 0
    return path


SLOW = """
import sys, time
from headstart.cli import main as cli
from headstart.training import loop as training
honest = training.MetaGradient.__call__
def slow(self, *arguments):
    print("step", file=sys.stdout, flush=True)
    time.sleep(0.02)
    return honest(self, *arguments)
training.MetaGradient.__call__ = slow
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_says_how_to_go_on_and_the_run_ends_bitwise(
    number: signal.Signals, straight: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "stopped"
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *SETTINGS, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for _ in range(3):  # the third meta-step has begun
        process.stdout.readline()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    (line,) = [line for line in out.splitlines() if line != "step"]
    assert line.startswith("stopped at meta-step ") and line.endswith(f"of 40; go on: headstart resume {path}")
    assert "Traceback" not in err
    stopped_at = int(line.split()[3])
    assert 3 <= stopped_at < 40
    assert (path / "checkpoints" / f"step-{stopped_at:07d}").is_dir()
    assert len([record for record in records(path) if "loss" in record]) == stopped_at
    capfd.readouterr()
    assert cli.main(["resume", str(path)]) == 0
    assert "trained 40 meta-steps" in capfd.readouterr().out
    assert_same_run(path, straight)
    ours, theirs = (json.loads((run / "test.json").read_text()) for run in (path, straight))
    assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}


def test_the_same_command_goes_on_and_a_finished_run_is_only_tested_again(
    straight: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    changing = ("test.json", "checksums.json", ".lock")
    before = {path: path.read_bytes() for path in straight.rglob("*") if path.is_file() and path.name not in changing}
    (straight / "test.json").unlink()
    for again in (["resume", str(straight)], [*SETTINGS, str(straight)]):
        assert cli.main(again) == 0
        assert "trained 40 meta-steps" in capfd.readouterr().out
        assert (straight / "test.json").exists()
        assert all(path.read_bytes() == content for path, content in before.items())
