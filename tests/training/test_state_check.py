"""A state that is not this training's ends in one sentence, before anything is done with it."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch.optim import lr_scheduler

import headstart as hs
from headstart.errors import BadInputError
from headstart.runs.folder import RunFolder
from run_files import latest, rewrite_state, take_as_it_is

TASKS = hs.SinusoidTasks(shots=3, queries=3)


def go_on(path: Path, meta_steps: int, optimizer: Any = torch.optim.Adam, plateau: bool = False) -> hs.Learner:
    torch.manual_seed(0)
    learner = hs.MAML(hs.MLP(1, 1, (4,)), inner_lr=0.01, loss=F.mse_loss)
    hs.train(
        learner, TASKS, meta_steps=meta_steps, meta_batch=2, optimizer=optimizer, run=RunFolder(path, {}),
        scheduler=lr_scheduler.ReduceLROnPlateau if plateau else lambda outer: lr_scheduler.CosineAnnealingLR(outer, 9),
        validation=hs.Validation(TASKS, every=1, count=2),
    )  # fmt: skip
    return learner


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained")
    go_on(path, 2)
    return path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def in_optimizer(change: Callable[[Any], object]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def changed(state: dict[str, Any]) -> dict[str, Any]:
        change(state["optimizer"])
        return state

    return changed


@pytest.mark.parametrize(
    "change",
    [
        lambda state: {**state, "seconds": []},
        lambda state: {**state, "seconds": -1.0},
        lambda state: {**state, "seconds": math.nan},
        lambda state: {**state, "best": "low"},
        lambda state: {**state, "best_step": 99},
        lambda state: {**state, "scheduler": None},
        lambda state: {**state, "scheduler": {**state["scheduler"], "last_epoch": -math.inf}},
        lambda state: {**state, "scheduler": {**state["scheduler"], "base_lrs": 0.1}},
        lambda state: {**state, "optimizer": None},
        lambda state: {**state, "optimizer": {**state["optimizer"], "param_groups": torch.zeros(1).expand(10**6)}},
        lambda state: {name: value for name, value in state.items() if name != "learner"},
        in_optimizer(lambda saved: saved["state"][0].update(exp_avg=None)),
        in_optimizer(lambda saved: saved["state"][0].update(exp_avg=torch.zeros(77))),
        in_optimizer(lambda saved: saved["state"][0].update(step="three")),
        in_optimizer(lambda saved: saved.update(state=[])),
        in_optimizer(lambda saved: saved["param_groups"][0].update(betas=-1)),
        in_optimizer(lambda saved: saved["param_groups"][0].update(lr=math.inf)),
        in_optimizer(lambda saved: saved["param_groups"][0].update(lr="fast")),
        in_optimizer(lambda saved: saved["param_groups"][0].update(params=[[1]])),
        in_optimizer(lambda saved: saved["param_groups"][0].pop("eps")),
        in_optimizer(lambda saved: saved["param_groups"].clear()),
    ],
)
def test_a_state_that_cannot_be_is_refused(change: Callable[[Any], Any], run: Path) -> None:
    rewrite_state(run, change)
    with pytest.raises(BadInputError, match=r"^the checkpoint in .* is of "):
        go_on(run, 3)


@pytest.mark.parametrize("name", ["best", "latest"])
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda value: value.fill_(math.nan), "has values that are not finite"),
        (lambda value: value.fill_(-math.inf), "has values that are not finite"),
        (lambda value: value.to(torch.int8), "is of torch.int8, not of torch.float32"),
        (lambda value: value.bool(), "is of torch.bool, not of"),
        (lambda value: value.to(torch.complex64), "is of torch.complex64, not of"),
        (lambda value: value[None], "has shape"),
        (lambda value: None, "only the learner has"),
    ],
)
def test_weights_that_are_not_the_learner_s_are_refused(
    name: str, change: Callable[[Any], Any], sentence: str, run: Path
) -> None:
    take_as_it_is(run)
    path = run / "best.safetensors" if name == "best" else latest(run) / "meta_params.safetensors"
    tensors = load_file(path)
    first = sorted(tensors)[0]
    tensors[first] = change(tensors[first])
    save_file({key: value for key, value in tensors.items() if value is not None}, path)
    with pytest.raises(BadInputError, match=sentence):
        go_on(run, 3)


@pytest.mark.parametrize(
    ("optimizer", "plateau"),
    [
        (torch.optim.Adam, True),
        (lambda params: torch.optim.SGD(params, lr=0.01, momentum=0.9), False),
        (torch.optim.Adafactor, False),
        (torch.optim.NAdam, False),
        (torch.optim.Rprop, False),
    ],
)
def test_the_state_of_any_optimizer_is_gone_on_with_bitwise(optimizer: Any, plateau: bool, tmp_path: Path) -> None:
    straight = go_on(tmp_path / "straight", 4, optimizer, plateau)
    go_on(tmp_path / "stopped", 2, optimizer, plateau)
    resumed = go_on(tmp_path / "stopped", 4, optimizer, plateau)
    for name, value in straight.meta_params.items():
        assert torch.equal(resumed.meta_params[name], value)
    last = [latest(tmp_path / name) / "meta_params.safetensors" for name in ("straight", "stopped")]
    assert last[0].read_bytes() == last[1].read_bytes()
