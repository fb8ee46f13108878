"""Files of a run, mutated from a seed: refused in a sentence, or without consequence; never a traceback, never a wait.

``pytest`` does a few, ``pytest -m full`` more; ``HEADSTART_MUTATIONS=10000 pytest -m full tests/runs`` as many as one
likes. A failure names the seed that makes it again.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import headstart as hs
from headstart.cli import main as cli
from headstart.learners.scoring import MSE
from headstart.runs.folder import RunFolder
from headstart.runs.results import read_log, read_result, write_result
from mutations import copied, mutate

FEW, MORE = 25, int(os.environ.get("HEADSTART_MUTATIONS", "800"))
LONGEST, LARGEST = 5, 2**30
CONFIG = {"name": "mutated"}
TASKS = hs.SinusoidTasks(shots=2, queries=2)
FORBIDDEN = ("pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen")


def go_on(path: Path) -> hs.Learner:
    torch.manual_seed(0)
    learner = hs.MAML(hs.MLP(1, 1, (3,)), inner_lr=0.01, loss=F.mse_loss)
    validation = hs.Validation(TASKS, every=2, count=2)
    hs.train(learner, TASKS, meta_steps=5, meta_batch=1, validation=validation, run=RunFolder(path, CONFIG),
             checkpoint_every=2, scheduler=lambda outer: torch.optim.lr_scheduler.MultiStepLR(outer, [2]))  # fmt: skip
    return learner


def everything(path: Path) -> dict[str, Any]:
    """What a run gives, read and gone on with; a sentence in the place of what is refused."""

    def or_sentence(read: Callable[[], Any]) -> Any:
        try:
            return read()
        except (hs.BadInputError, hs.RunStoppedError) as error:
            assert len(str(error).splitlines()) == 1
            return str(error)

    def bits(params: dict[str, torch.Tensor]) -> dict[str, bytes]:
        return {name: value.detach().numpy().tobytes() for name, value in sorted(params.items())}

    def losses(records: list[dict[str, Any]]) -> list[Any]:
        return [(record["meta_step"], record.get("loss")) for record in records]

    found = {"best": or_sentence(lambda: bits(RunFolder(path).best_meta_params()))}
    found["test"] = or_sentence(lambda: read_result(RunFolder(path), "test", MSE).scores.tolist())
    found["log"] = or_sentence(lambda: losses(read_log(RunFolder(path))))
    found["resumed"] = or_sentence(lambda: bits(go_on(path).meta_params))
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped after the fourth of five meta-steps, and tested."""
    path = tmp_path_factory.mktemp("mutated") / "run"
    learner = go_on(path)
    shutil.rmtree(path / "checkpoints" / "step-0000005")
    write_result(RunFolder(path), "test", hs.evaluate(learner, TASKS, count=3))
    return path


@contextmanager
def within_bounds() -> Iterator[None]:
    """Ends what takes more than ``LONGEST`` seconds or starts code, and fails for what takes ``LARGEST`` bytes."""

    def too_long(number: int, frame: object) -> None:
        raise AssertionError(f"more than {LONGEST} s")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    previous = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, LONGEST * (1 + os.getloadavg()[0] / 2))
    WATCHING.append(True)
    try:
        yield
    finally:
        WATCHING.clear()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < LARGEST


WATCHING: list[bool] = []


def watch(event: str, arguments: Any) -> None:
    if WATCHING and event in FORBIDDEN:
        raise AssertionError(f"{event}{arguments} while a mutated run was read")


sys.addaudithook(watch)


@pytest.mark.parametrize("mutations", [FEW, pytest.param(MORE, marks=pytest.mark.full)])
@pytest.mark.parametrize("checked", [True, False], ids=["with checksums", "taken as it is"])
def test_a_mutated_run_is_refused_or_without_consequence(
    checked: bool, mutations: int, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without checksums a change may have consequences, and still ends in a sentence at worst."""
    honest = everything(copied(run, tmp_path / "copy"))
    assert not any(isinstance(value, str) for value in honest.values()), honest
    refused = 0
    for seed in range(mutations):
        draw, path = random.Random(seed), copied(run, tmp_path / "copy")
        if not checked:
            (path / "checksums.json").unlink()
        files = [file for file in sorted(path.rglob("*")) if file.is_file() and "lock" not in file.name]
        if not checked:
            files = [file for file in files if file.name != "config.json"]
        damage = mutate(draw.choice(files), draw)
        try:
            with within_bounds():
                found = everything(path)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {damage}") from error
        refused += any(isinstance(value, str) for value in found.values())
        if checked:
            changed = [name for name in found if not isinstance(found[name], str) and found[name] != honest[name]]
            assert not changed or deleted(path, changed, found, honest), (seed, damage, changed)
    print(f"{refused} of {mutations} were refused")
    assert refused > mutations / 4


def deleted(path: Path, changed: list[str], found: dict[str, Any], honest: dict[str, Any]) -> bool:
    """Whether all that changed is a log that was deleted, and nothing is wrong with what is there."""
    return changed == ["log"] and all(record in honest["log"] for record in found["log"])


@pytest.mark.parametrize("mutations", [5, pytest.param(MORE // 20, marks=pytest.mark.full)])
def test_the_commands_end_with_a_code_and_a_line(
    mutations: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    settings = "--data sinusoid --width 3 --meta-steps 2 --meta-batch 1 --validation-tasks 2 --test-tasks 2"
    assert cli.main(["train", *settings.split(), "--test-queries", "2", "--out", str(run)]) == 0
    shutil.rmtree(run / "checkpoints")
    reached = json.loads((run / "test.json").read_text())["mse"]
    for seed in range(mutations):
        draw, path = random.Random(seed), copied(run, tmp_path / "copy")
        damage = mutate(draw.choice([file for file in sorted(path.rglob("*.*")) if "lock" not in file.name]), draw)
        for command in ("evaluate", "resume"):
            capfd.readouterr()
            with within_bounds():
                code = cli.main([command, str(path)])
            lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("headstart: ")]
            assert (code, len(lines)) in ((0, 0), (1, 1), (2, 1)), (seed, damage, lines)
            assert code or json.loads((path / "test.json").read_text())["mse"] == reached, (seed, damage)
