"""Whichever of its processes is killed, a run of two workers ends bitwise as one that was never stopped.

``pytest -m full`` kills a few times, and with ``HEADSTART_KILLS=200`` as often as one likes.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from run_files import latest, state_in

KILLS = int(os.environ.get("HEADSTART_KILLS", "3"))
STEPS = 100 * (KILLS + 1)
SETTINGS = f"""
    train --data sinusoid --width 4 --meta-batch 3 --meta-steps {STEPS} --checkpoint-every 5 --workers 2
    --execution loop --validation-every 50 --validation-tasks 2 --test-tasks 3 --test-queries 4 --out
""".split()


def started(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "headstart", *arguments], stderr=subprocess.DEVNULL)


def steps_kept(run: Path) -> int:
    return max((int(path.name.removeprefix("step-")) for path in run.glob("checkpoints/step-*")), default=0)


def processes(command: subprocess.Popen[bytes]) -> list[int]:
    """The command, and what it has started."""
    children = Path(f"/proc/{command.pid}/task/{command.pid}/children").read_text().split()
    return [command.pid, *map(int, children)]


@pytest.mark.full
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_kill_9_of_any_process_at_random_moments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    straight, killed, draw, victims = tmp_path / "straight", tmp_path / "killed", random.Random(0), set()
    assert started(*SETTINGS, str(straight)).wait() == 0
    command = started(*SETTINGS, str(killed))
    for kill in range(KILLS):
        goal, until = steps_kept(killed) + draw.randrange(5, 60), time.monotonic() + 120
        while steps_kept(killed) < goal:
            assert command.poll() is None and time.monotonic() < until, f"kill {kill}"
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.1))
        number = kill % 3 if kill < 3 else draw.randrange(3)
        victims.add(number)
        os.kill(processes(command)[number], signal.SIGKILL)
        assert command.wait(timeout=60) in (1, -signal.SIGKILL)
        command = started("resume", str(killed))  # at once, while the workers of a killed command may still run
    assert command.wait(timeout=600) == 0 and victims == {*range(min(KILLS, 3))}
    for name in ("best.safetensors", f"checkpoints/{latest(straight).name}/meta_params.safetensors"):
        assert (killed / name).read_bytes() == (straight / name).read_bytes()
    ours, theirs = (state_in(latest(run)) for run in (killed, straight))
    assert (ours["best"], ours["best_step"]) == (theirs["best"], theirs["best_step"])
