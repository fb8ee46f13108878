"""Functions that are told of a training, one of them TensorBoard's; and groups of parameters, by their names."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

import headstart as hs
from headstart.cli import main as cli
from headstart.engine.cuda_graph import numbers_of
from headstart.params import NamedTensors

TASKS = hs.SinusoidTasks(shots=3, queries=3)


def new_learner() -> hs.MAML:
    torch.manual_seed(0)
    return hs.MAML(hs.MLP(hidden=(4,)), inner_lr=0.01)


def train(learner: hs.Learner, meta_steps: int, callback: Callable[[hs.Event], object], path: Path) -> None:
    hs.train(
        learner,
        TASKS,
        meta_steps=meta_steps,
        meta_batch=2,
        validation=hs.Validation(TASKS, every=2, count=2),
        run=hs.RunFolder(path, {}),
        checkpoint_every=3,
        callbacks=[callback],
    )


class Told:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[int, float, float | None, float]] = []

    def __call__(self, event: hs.Event) -> None:
        weight = event.learner.meta_params["model.head.weight"].sum().item()
        value = event.validation.value if event.validation else None
        self.events.append((event.meta_step, float(event.metrics["loss"]), value, weight))


def test_it_is_called_after_each_meta_step_and_after_each_validation(tmp_path: Path) -> None:
    told, learner = Told(), new_learner()
    train(learner, 5, told, tmp_path / "run")
    assert [(step, value is not None) for step, _, value, _ in told.events] == [
        (1, False), (2, False), (2, True), (3, False), (4, False), (4, True), (5, False), (5, True)
    ]  # fmt: skip
    log = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    values = [loss if value is None else value for _, loss, value, _ in told.events]
    assert values == [record.get("loss", record.get("validation_mse")) for record in log]


def test_metrics_are_not_read_for_it() -> None:
    kinds = set()
    note = lambda event: kinds.update(map(type, event.metrics.values()))  # noqa: E731
    hs.train(new_learner(), TASKS, meta_steps=2, callbacks=[note])
    assert kinds == {torch.Tensor}


def test_a_callback_changes_nothing_of_the_training(tmp_path: Path) -> None:
    alone, watched = new_learner(), new_learner()
    hs.train(alone, TASKS, meta_steps=3)
    hs.train(watched, TASKS, meta_steps=3, callbacks=[lambda event: torch.rand(3)])
    assert all(value.equal(watched.meta_params[name]) for name, value in alone.meta_params.items())


def test_a_resumed_run_tells_the_same_of_what_it_makes(tmp_path: Path) -> None:
    straight, resumed = Told(), Told()
    train(new_learner(), 7, straight, tmp_path / "straight")

    def fails(event: hs.Event) -> None:
        if event.meta_step == 4:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        train(new_learner(), 7, fails, tmp_path / "run")
    train(new_learner(), 7, resumed, tmp_path / "run")
    assert resumed.events == [event for event in straight.events if event[0] > 4]


def test_what_a_callback_raises_comes_after_a_checkpoint_of_the_meta_step(tmp_path: Path) -> None:
    def enough(event: hs.Event) -> None:
        if event.validation and event.meta_step == 4:
            raise StopIteration

    learner = new_learner()
    with pytest.raises(StopIteration):
        train(learner, 100, enough, tmp_path / "run")
    checkpoint = hs.RunFolder(tmp_path / "run").latest_checkpoint()
    assert checkpoint and checkpoint.meta_step == 4 and checkpoint.state["best"] is not None
    assert all(value.equal(learner.meta_params[name]) for name, value in checkpoint.meta_params.items())


# TensorBoard

Scalar = tuple[str, float, int]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a stand-in for TensorBoard's writer was given, since the package is an extra."""
    log: list[Any] = []

    class SummaryWriter:
        def __init__(self, folder: str, purge_step: int) -> None:
            log.append((folder, purge_step))

        def add_scalar(self, name: str, value: float, step: int) -> None:
            log.append((name, value, step))

        def close(self) -> None:
            log.append("closed")

    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    return log


def test_tensorboard_is_written_to_whatever_ends_the_training(written: list[Any], tmp_path: Path) -> None:
    def stop(event: hs.Event) -> None:
        if event.meta_step == 3:
            raise KeyError

    with pytest.raises(KeyError), hs.tensorboard(tmp_path) as board:
        hs.train(new_learner(), TASKS, meta_steps=9, callbacks=[board, stop])
    assert written[0] == (str(tmp_path), 1) and written[-1] == "closed"
    assert [(name, step) for name, _, step in written[1:-1]] == [
        (f"training/{name}", step) for step in (1, 2, 3) for name in ("loss", "mse")
    ]


COMMAND = """
    --meta-steps 4 --meta-batch 2 --width 4 --validation-every 2 --validation-tasks 3 --test-tasks 3 --test-queries 4
""".split()  # noqa: SIM905


def test_the_command_line_writes_for_tensorboard(written: list[Any], tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "run"), "--tensorboard"]
    assert cli.main(["train", "--problem", "sinusoid", *COMMAND, *out]) == 0
    assert written[0] == (str(tmp_path / "run"), 1)
    assert [step for name, _, step in written[1:-1] if name == "validation/mse"] == [2, 4]
    assert "tensorboard" not in json.loads((tmp_path / "run" / "config.json").read_text())


def test_without_tensorboard_there_is_a_sentence_and_no_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    out = ["--out", str(tmp_path / "run"), "--tensorboard"]
    assert cli.main(["train", "--problem", "sinusoid", *COMMAND, *out]) != 0
    assert "pip install headstart[tensorboard]" in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


# groups of parameters


def two_groups(params: NamedTensors) -> torch.optim.Optimizer:
    head = [value for name, value in params.named.items() if name.startswith("model.head.")]
    body = [value for name, value in params.named.items() if not name.startswith("model.head.")]
    return torch.optim.SGD([{"params": body}, {"params": head, "lr": 0.01}], lr=0.0)


def with_names(params: NamedTensors) -> torch.optim.Optimizer:
    """Groups of pairs, whose names torch.optim keeps in its state."""
    return torch.optim.Adam([{"params": [pair]} for pair in params.named.items()], lr=3e-3)


def test_what_is_handed_over_is_a_list_of_the_parameters_themselves() -> None:
    learner, seen = new_learner(), []

    def make(params: NamedTensors) -> torch.optim.Optimizer:
        seen.append(params)
        return torch.optim.Adam(params, lr=3e-3)

    hs.train(learner, TASKS, meta_steps=1, optimizer=make)
    (params,) = seen
    assert [id(value) for value in params] == [id(value) for value in learner.meta_params.values()]
    assert list(params.named) == list(learner.meta_params)


def test_groups_have_rates_of_their_own() -> None:
    learner, before = new_learner(), new_learner().meta_params
    episodes = TASKS.sample(2, torch.Generator())

    class Fixed:
        def sample(self, count: int, generator: torch.Generator) -> hs.Episodes:
            return episodes

    gradient, _ = learner.meta_gradient(learner.meta_params, episodes)
    hs.train(learner, Fixed(), meta_steps=1, meta_batch=2, optimizer=two_groups)
    for name, value in learner.meta_params.items():
        rate = 0.01 if "head" in name else 0.0
        assert torch.allclose(value, before[name] - rate * gradient[name], atol=1e-7), name


@pytest.mark.parametrize("optimizer", [two_groups, with_names])
def test_groups_go_on_from_a_checkpoint_bitwise(optimizer: Any, tmp_path: Path) -> None:
    def go(path: Path, meta_steps: int) -> dict[str, Tensor]:
        learner = new_learner()
        run = hs.RunFolder(path, {})
        hs.train(learner, TASKS, meta_steps=meta_steps, meta_batch=2, optimizer=optimizer, run=run)
        return learner.meta_params

    straight = go(tmp_path / "straight", 4)
    go(tmp_path / "resumed", 2)
    resumed = go(tmp_path / "resumed", 4)
    assert all(value.equal(resumed[name]) for name, value in straight.items())


def test_a_checkpoint_of_other_groups_is_refused(tmp_path: Path) -> None:
    run = hs.RunFolder(tmp_path / "run", {})
    hs.train(new_learner(), TASKS, meta_steps=1, optimizer=lambda params: torch.optim.SGD(params, lr=0.1), run=run)
    with pytest.raises(hs.BadInputError, match="another optimizer"):
        hs.train(new_learner(), TASKS, meta_steps=2, optimizer=two_groups, run=run)


def test_names_in_an_optimizers_groups_are_no_obstacle_to_recording() -> None:
    outer = with_names(NamedTensors(new_learner().meta_params))
    assert "param_names" in outer.param_groups[0]
    hash(numbers_of(outer))
