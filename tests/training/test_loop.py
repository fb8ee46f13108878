from __future__ import annotations

import dataclasses
import errno
import functools
import json
import math
import os
import signal
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer, lr_scheduler

from headstart.distributed.processes import RankLostError
from headstart.engine.meta_gradient import MetaGradient
from headstart.episodes import Episodes, Examples
from headstart.errors import BadInputError, RunStoppedError
from headstart.evaluation.evaluate import evaluate
from headstart.learners.base import Learner
from headstart.learners.maml import MAML
from headstart.models.mlp import MLP
from headstart.params import Params
from headstart.randomness import derive_generator
from headstart.runs.folder import RunFolder
from headstart.tasks.sinusoid import SinusoidTasks
from headstart.training.loop import train
from headstart.training.state import TrainingState, description
from headstart.training.validation import Validation
from headstart.update_rules.adam import Adam
from headstart.update_rules.sgd import SGD
from run_files import rewrite_state

TASKS = SinusoidTasks(shots=5, queries=5)


def new_learner(seed: int = 0, width: int = 8, dropout: float = 0.0) -> MAML:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: nn.Module = MLP(1, 1, (width, width))
    if dropout:
        model = nn.Sequential(nn.Dropout(dropout), model)
    return MAML(model, inner_lr=0.01, loss=F.mse_loss)


def copied(learner: MAML) -> Params:
    return {name: value.clone() for name, value in learner.meta_params.items()}


def equal(left: Params, right: Params) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def records(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


class StopAt:
    """A task distribution that does something when a meta-step begins: ``act`` at draw number ``step``."""

    def __init__(self, step: int, act: Callable[[], object]) -> None:
        self.draws, self.step, self.act = 0, step, act

    def sample(self, count: int, generator: torch.Generator) -> Episodes:
        self.draws += 1
        if self.draws == self.step:
            self.act()
        return TASKS.sample(count, generator)


class WithoutRate(Optimizer):
    """One of the user's own, whose steps have a length of their own."""

    def __init__(self, params: Iterable[Tensor]) -> None:
        super().__init__(params, {})

    def step(self, closure: object = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data -= 0.01 * parameter.grad.sign()


# the loop itself


def test_an_optimizer_needs_no_learning_rate_and_its_run_goes_on(tmp_path: Path) -> None:
    whole, halved = new_learner(), new_learner()
    train(whole, TASKS, meta_steps=4, meta_batch=2, optimizer=WithoutRate)
    for meta_steps in (2, 4):
        train(halved, TASKS, meta_steps=meta_steps, meta_batch=2, optimizer=WithoutRate, run=RunFolder(tmp_path, {}))
    assert equal(copied(whole), copied(halved))


def test_it_is_the_plain_loop_that_it_says_it_is() -> None:
    learner, by_hand = new_learner(), new_learner()
    train(learner, TASKS, meta_steps=4, meta_batch=3, seed=7, engine=MetaGradient(learner, "vmap"))
    outer = torch.optim.Adam(by_hand.parameters())
    for step in range(4):
        episodes = TASKS.sample(3, derive_generator(7, "training", step))
        gradient, _ = by_hand.meta_gradient(by_hand.meta_params, episodes)
        for name, parameter in by_hand.named_parameters():
            parameter.grad = gradient[name]
        outer.step()
    assert equal(copied(learner), copied(by_hand))


def test_the_seed_decides_and_the_global_generator_does_not() -> None:
    results = []
    for global_seed, seed in ((1, 0), (2, 0), (1, 5)):
        torch.manual_seed(global_seed)
        learner = new_learner(dropout=0.3)
        train(learner, TASKS, meta_steps=2, meta_batch=2, seed=seed)
        results.append(copied(learner))
    assert equal(results[0], results[1])
    assert not equal(results[0], results[2])


def test_frozen_parameters_stay_and_are_part_of_the_checkpoint(tmp_path: Path) -> None:
    learner = new_learner()
    learner.model.layers[0].weight.requires_grad_(False)  # type: ignore[union-attr,index]
    before = copied(learner)
    run = RunFolder(tmp_path, {})
    train(learner, TASKS, meta_steps=2, meta_batch=2, run=run, optimizer=functools.partial(torch.optim.AdamW, lr=0.1))
    unchanged = {name for name in before if torch.equal(before[name], learner.meta_params[name])}
    assert unchanged == {"model.layers.0.weight"}
    checkpoint = run.latest_checkpoint()
    assert checkpoint is not None and equal(checkpoint.meta_params, copied(learner))


def test_a_learner_with_nothing_to_train_is_refused() -> None:
    learner = new_learner().requires_grad_(False)
    with pytest.raises(BadInputError, match="no parameter that requires a gradient"):
        train(learner, TASKS, meta_steps=1)


@pytest.mark.parametrize("name", ["meta_steps", "meta_batch", "checkpoint_every"])
@pytest.mark.parametrize("value", [0, -3])
def test_numbers_that_must_be_positive(name: str, value: int) -> None:
    arguments: dict[str, Any] = {"meta_steps": 1, name: value}
    with pytest.raises(BadInputError, match=f"{name}={value} must be positive"):
        train(new_learner(), TASKS, **arguments)


@pytest.mark.parametrize(("name", "value"), [("every", 0), ("every", -1), ("count", 1), ("inner_steps", -1)])
def test_validation_that_cannot_be_done_is_refused_before_training(name: str, value: int) -> None:
    drawn = StopAt(1, lambda: pytest.fail("training began"))
    arguments: dict[str, Any] = {name: value}
    with pytest.raises(BadInputError, match=f"{name}={value}"):
        train(new_learner(), drawn, meta_steps=3, validation=Validation(TASKS, **arguments))


# optimizers and schedulers

SGD_WITH_MOMENTUM = functools.partial(torch.optim.SGD, lr=1e-3, momentum=0.9)
MAKERS: dict[str, tuple[Callable[[Iterable[Tensor]], Optimizer], Callable[[Optimizer], Any] | None]] = {
    "sgd": (functools.partial(torch.optim.SGD, lr=1e-3), None),
    "momentum": (SGD_WITH_MOMENTUM, lambda outer: lr_scheduler.StepLR(outer, 2, 0.5)),
    "adam": (torch.optim.Adam, lambda outer: lr_scheduler.CosineAnnealingLR(outer, 9)),
    "adamw": (torch.optim.AdamW, lambda outer: lr_scheduler.OneCycleLR(outer, 1e-2, total_steps=9)),
    "one cycle with momentum": (SGD_WITH_MOMENTUM, lambda outer: lr_scheduler.OneCycleLR(outer, 1e-2, total_steps=9)),
    "rmsprop": (torch.optim.RMSprop, lambda outer: lr_scheduler.LinearLR(outer, 1.0, 0.0, 9)),
    "adagrad": (torch.optim.Adagrad, lambda outer: lr_scheduler.MultiStepLR(outer, [2, 5])),
    "nadam": (torch.optim.NAdam, lambda outer: lr_scheduler.LambdaLR(outer, lambda step: 0.9**step)),
    "radam": (torch.optim.RAdam, lambda outer: lr_scheduler.CosineAnnealingWarmRestarts(outer, 3)),
    "cyclic": (SGD_WITH_MOMENTUM, lambda outer: lr_scheduler.CyclicLR(outer, 1e-4, 1e-2, step_size_up=3)),
    "sequential": (
        torch.optim.Adam,
        lambda outer: lr_scheduler.SequentialLR(
            outer, [lr_scheduler.LinearLR(outer, 0.1, 1.0, 3), lr_scheduler.CosineAnnealingLR(outer, 6)], [3]
        ),
    ),
}


@pytest.mark.parametrize("name", MAKERS)
def test_every_optimizer_and_scheduler_goes_on_bitwise(name: str, tmp_path: Path) -> None:
    optimizer, scheduler = MAKERS[name]

    def go(path: Path, tasks: Any = TASKS) -> tuple[Params, TrainingState]:
        learner = new_learner()
        state = train(
            learner,
            tasks,
            meta_steps=9,
            meta_batch=2,
            optimizer=optimizer,
            scheduler=scheduler,
            run=RunFolder(path, {}),
            checkpoint_every=2,
            stop_on_signal=True,
        )
        return copied(learner), state

    straight, _ = go(tmp_path / "straight")
    for stop in (3, 2, 1):
        _, state = go(tmp_path / "stopped", StopAt(stop, lambda: signal.raise_signal(signal.SIGTERM)))
        assert state.stopped_by == signal.SIGTERM
    resumed, state = go(tmp_path / "stopped")
    assert state.meta_step == 9 and state.stopped_by is None
    assert equal(resumed, straight)
    assert records(tmp_path / "stopped") == records(tmp_path / "straight")
    assert not equal(straight, copied(new_learner()))


def test_the_scheduler_steps_after_every_update() -> None:
    rates: list[float] = []

    class Noted(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    train(
        new_learner(),
        TASKS,
        meta_steps=4,
        meta_batch=2,
        optimizer=functools.partial(Noted, lr=8e-3),
        scheduler=lambda outer: lr_scheduler.StepLR(outer, 2, 0.5),
    )
    assert rates == [8e-3, 8e-3, 4e-3, 4e-3]


def test_a_model_with_dropout_goes_on_bitwise(tmp_path: Path) -> None:
    def go(path: Path, tasks: Any) -> Params:
        learner = new_learner(dropout=0.4)
        train(
            learner,
            tasks,
            meta_steps=5,
            meta_batch=2,
            validation=Validation(TASKS, every=2, count=3),
            run=RunFolder(path, {}),
            checkpoint_every=1,
            stop_on_signal=True,
        )
        return copied(learner)

    straight = go(tmp_path / "straight", TASKS)
    go(tmp_path / "stopped", StopAt(3, lambda: signal.raise_signal(signal.SIGINT)))
    assert equal(go(tmp_path / "stopped", TASKS), straight)
    assert records(tmp_path / "stopped") == records(tmp_path / "straight")


# what a checkpoint belongs to


@pytest.mark.parametrize(
    ("optimizer", "scheduler", "sentence"),
    [
        (functools.partial(torch.optim.SGD, lr=0.1), None, "is of Adam and no scheduler, not of SGD and no scheduler"),
        (torch.optim.AdamW, None, "is of Adam and no scheduler, not of AdamW"),
        (torch.optim.Adam, lambda outer: lr_scheduler.StepLR(outer, 2), "not of Adam and StepLR"),
    ],
)
def test_a_checkpoint_of_another_optimizer_or_scheduler_is_refused(
    optimizer: Any, scheduler: Any, sentence: str, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path, {})
    train(new_learner(), TASKS, meta_steps=1, meta_batch=2, run=run)
    with pytest.raises(BadInputError, match=sentence):
        train(new_learner(), TASKS, meta_steps=2, meta_batch=2, optimizer=optimizer, scheduler=scheduler, run=run)


def test_a_checkpoint_of_another_learner_is_refused_and_the_learner_stays(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, {})
    train(new_learner(), TASKS, meta_steps=1, meta_batch=2, run=run)
    wider = new_learner(width=9)
    before = copied(wider)
    with pytest.raises(BadInputError, match=r"is of another learner: its 'model.* has shape"):
        train(wider, TASKS, meta_steps=2, meta_batch=2, run=run)
    assert equal(copied(wider), before)


@pytest.mark.parametrize("settings", [{"inner_lr": 0.02}, {"inner_steps": 2}, {"order": 1}, {"inner_rule": Adam}])
def test_a_checkpoint_of_a_learner_with_other_settings_is_refused(settings: dict[str, Any], tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", {})
    train(new_learner(), TASKS, meta_steps=1, run=run)
    other = MAML(MLP(1, 1, (8, 8)), **{"inner_lr": 0.01, "loss": F.mse_loss, **settings})
    assert other.meta_params.keys() == new_learner().meta_params.keys()
    with pytest.raises(BadInputError, match=r"is of MAML\(.*\), not of MAML\(.*\): build the learner as it was"):
        train(other, TASKS, meta_steps=2, run=run)


def test_a_description_of_a_learner_is_the_same_in_every_process() -> None:
    @dataclasses.dataclass(frozen=True)
    class Scaled(SGD):
        scale: Callable[[int], float] = lambda step: 1.0

    first, second = (MAML(MLP(), inner_rule=lambda rate: Scaled(rate, scale=lambda step: 2.0)) for _ in range(2))
    assert description(first) == description(second)


@pytest.mark.parametrize("content", [{}, {"seconds": 1.0}, {"made_by": 5}, {"made_by": "Adam and no scheduler"}])
def test_a_state_without_what_it_must_hold_is_refused(content: dict[str, Any], tmp_path: Path) -> None:
    run = RunFolder(tmp_path, {})
    train(new_learner(), TASKS, meta_steps=1, meta_batch=2, run=run)
    rewrite_state(tmp_path, lambda state: content)
    with pytest.raises(BadInputError, match=r"the checkpoint in .* is of"):
        train(new_learner(), TASKS, meta_steps=2, meta_batch=2, run=run)


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    learner, again = new_learner(), new_learner(seed=1)
    validation = Validation(TASKS, every=2, count=3)
    run = RunFolder(tmp_path, {})
    first = train(learner, TASKS, meta_steps=3, meta_batch=2, validation=validation, run=run)
    log = (tmp_path / "metrics.jsonl").read_bytes()
    drawn = StopAt(1, lambda: pytest.fail("trained again"))
    state = train(again, drawn, meta_steps=3, meta_batch=2, validation=validation, run=run)
    assert (state.meta_step, state.best, state.best_step) == (3, first.best, first.best_step)
    assert equal(copied(again), copied(learner))
    assert (tmp_path / "metrics.jsonl").read_bytes() == log


def test_a_run_that_never_reached_a_checkpoint_starts_anew_with_a_clean_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    run = RunFolder(tmp_path / "killed", {})
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(RunFolder, "save_checkpoint", kill)  # after the log was written
        train(new_learner(), TASKS, meta_steps=3, meta_batch=2, run=run, checkpoint_every=2)
    assert len(records(tmp_path / "killed")) == 2
    train(new_learner(), TASKS, meta_steps=3, meta_batch=2, run=run, checkpoint_every=2)
    assert [record["meta_step"] for record in records(tmp_path / "killed")] == [1, 2, 3]


def test_meta_parameters_that_can_be_differentiated_change_nothing_and_what_is_kept_is_outside_of_any_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def go(name: str) -> tuple[TrainingState, Params]:
        learner, run = new_learner(), RunFolder(tmp_path / name, {})
        validation = Validation(TASKS, every=2, count=3)
        state = train(learner, TASKS, meta_steps=5, meta_batch=2, validation=validation, run=run, checkpoint_every=2)
        return state, copied(learner)

    _, detached = go("detached")
    monkeypatch.setattr(Learner, "meta_params", property(lambda learner: dict(learner.named_parameters())))
    state, attached = go("attached")
    assert equal(attached, detached) and records(tmp_path / "attached") == records(tmp_path / "detached")
    assert state.best_params and not any(value.requires_grad for value in state.best_params.values())
    result = evaluate(new_learner(), TASKS, count=3)
    assert not result.scores.requires_grad and result.value > 0


# stopping


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_step_and_saves_it(number: signal.Signals, tmp_path: Path) -> None:
    run, learner = RunFolder(tmp_path, {}), new_learner()
    before = signal.getsignal(number)
    tasks = StopAt(3, lambda: signal.raise_signal(number))
    state = train(learner, tasks, meta_steps=9, meta_batch=2, run=run, stop_on_signal=True)
    assert (state.meta_step, state.stopped_by) == (3, number)
    assert signal.getsignal(number) is before
    checkpoint = run.latest_checkpoint()
    assert checkpoint is not None and checkpoint.meta_step == 3
    assert equal(checkpoint.meta_params, copied(learner))
    assert [record["meta_step"] for record in records(tmp_path)] == [1, 2, 3]


def test_a_process_whose_launcher_is_gone_drops_the_step_at_hand_and_saves_those_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, learner = RunFolder(tmp_path, {}), new_learner()
    tasks = StopAt(3, lambda: signal.raise_signal(signal.SIGTERM))
    monkeypatch.setenv("HEADSTART_LAUNCHER", "1")
    kept = r"started this process is gone \(the checkpoint of meta-step 2 is kept\); go on: headstart resume"
    with pytest.raises(RankLostError, match=kept):
        train(learner, tasks, meta_steps=9, meta_batch=2, run=run, stop_on_signal=True)
    assert run.latest_step() == 2
    validation = Validation(StopAt(1, lambda: signal.raise_signal(signal.SIGTERM)), every=4, count=3)  # type: ignore[arg-type]
    with pytest.raises(RankLostError, match=r"started this process is gone$"):
        train(learner, TASKS, meta_steps=9, meta_batch=2, run=run, stop_on_signal=True, validation=validation)
    assert run.latest_step() == 2  # a validation that was begun is made anew, with its meta-step


def test_a_signal_between_the_step_and_the_next_is_saved_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal comes while the loop is about to ask whether to go on."""

    class Late(TrainingState):
        asked = 0

        @property
        def noted(self) -> int:
            type(self).asked += 1
            return signal.SIGINT if self.asked > 3 else 0

        @noted.setter
        def noted(self, value: int) -> None:
            pass

    monkeypatch.setattr("headstart.training.loop.TrainingState", Late)
    run = RunFolder(tmp_path, {})
    state = train(new_learner(), TASKS, meta_steps=9, meta_batch=2, run=run)
    checkpoint = run.latest_checkpoint()
    assert checkpoint is not None and 0 < checkpoint.meta_step == state.meta_step < 9


def test_a_second_signal_stops_at_once() -> None:
    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(new_learner(), StopAt(2, twice), meta_steps=3, meta_batch=2, stop_on_signal=True)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_signals_are_left_alone_and_the_last_checkpoint_goes_on_bitwise(tmp_path: Path) -> None:
    handlers: list[Any] = []

    def interrupt() -> None:
        handlers.extend(signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM))
        signal.raise_signal(signal.SIGINT)

    def go(path: Path, tasks: Any) -> Params:
        learner = new_learner()
        run = RunFolder(path, {})
        validation = Validation(TASKS, every=3, count=3)
        train(learner, tasks, meta_steps=9, meta_batch=2, validation=validation, run=run, checkpoint_every=2)
        return copied(learner)

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "interrupted", StopAt(6, interrupt))
    assert handlers == before
    checkpoint = RunFolder(tmp_path / "interrupted", {}).latest_checkpoint()
    assert checkpoint is not None and checkpoint.meta_step == 4
    assert equal(go(tmp_path / "interrupted", TASKS), go(tmp_path / "straight", TASKS))
    assert records(tmp_path / "interrupted") == records(tmp_path / "straight")


def test_it_runs_outside_of_the_main_thread() -> None:
    states: list[TrainingState] = []
    settings: dict[str, Any] = {"meta_steps": 2, "meta_batch": 2, "stop_on_signal": True}
    thread = threading.Thread(target=lambda: states.append(train(new_learner(), TASKS, **settings)))
    thread.start()
    thread.join()
    assert states[0].meta_step == 2


class Spoiled:
    """Tasks whose targets are NaN or huge at draw number ``step``."""

    def __init__(self, step: int, value: float) -> None:
        self.draws, self.step, self.value = 0, step, value

    def sample(self, count: int, generator: torch.Generator) -> Episodes:
        self.draws += 1
        support, query = TASKS.sample(count, generator)
        if self.draws == self.step:
            query = Examples(query.inputs, torch.full_like(query.targets, self.value))
        return Episodes(support, query)


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
def test_a_loss_that_is_not_finite_stops_names_the_step_and_keeps_the_checkpoint(value: float, tmp_path: Path) -> None:
    run, learner = RunFolder(tmp_path, {}), new_learner()
    with pytest.raises(RunStoppedError, match=r"in the loss at meta-step 6 \(the checkpoint of meta-step 4 is kept\)"):
        train(learner, Spoiled(6, value), meta_steps=9, meta_batch=2, run=run, checkpoint_every=2)
    assert all(tensor.isfinite().all() for tensor in learner.meta_params.values())
    checkpoint = run.latest_checkpoint()
    assert checkpoint is not None and checkpoint.meta_step == 4
    assert all(tensor.isfinite().all() for tensor in checkpoint.meta_params.values())
    assert [record["meta_step"] for record in records(tmp_path)] == [1, 2, 3, 4, 5]
    straight = new_learner()
    train(straight, TASKS, meta_steps=9, meta_batch=2)
    train(learner, TASKS, meta_steps=9, meta_batch=2, run=run)  # the tasks are good again: it goes on from step 4
    assert equal(copied(learner), copied(straight))
    assert [record["meta_step"] for record in records(tmp_path)] == list(range(1, 10))


def test_a_meta_gradient_that_is_not_finite_stops_while_the_loss_still_is() -> None:
    learner = new_learner()
    learner.inner_steps = 0
    learner.loss = lambda predictions, targets: (predictions - predictions).abs().sum().sqrt() + 1
    before = copied(learner)
    with pytest.raises(RunStoppedError, match=r"in the meta-gradient at meta-step 1 \(nothing was saved\)"):
        train(learner, TASKS, meta_steps=3, meta_batch=2)
    assert equal(copied(learner), before)


def test_an_update_that_overflows_is_never_saved(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, {})
    huge = functools.partial(torch.optim.SGD, lr=3e38)
    with pytest.raises(RunStoppedError, match="meta-parameters at meta-step 1"):
        train(new_learner(), TASKS, meta_steps=3, meta_batch=2, optimizer=huge, run=run, checkpoint_every=1)
    assert run.latest_checkpoint() is None


def test_a_full_disk_stops_and_the_checkpoint_before_goes_on_bitwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = new_learner()
    train(straight, TASKS, meta_steps=6, meta_batch=2)
    run = RunFolder(tmp_path, {})

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(RunStoppedError, match="There is no disk space left to write"):
        tasks = StopAt(4, lambda: patch.setattr(os, "fsync", full))
        train(new_learner(), tasks, meta_steps=6, meta_batch=2, run=run, checkpoint_every=2)
    checkpoint = run.latest_checkpoint()
    assert checkpoint is not None and checkpoint.meta_step == 2
    learner = new_learner()
    train(learner, TASKS, meta_steps=6, meta_batch=2, run=run, checkpoint_every=2)
    assert equal(copied(learner), copied(straight))
    assert [record["meta_step"] for record in records(tmp_path)] == [1, 2, 3, 4, 5, 6]


# validation


def test_the_best_validated_meta_parameters_are_the_ones_that_remain(tmp_path: Path) -> None:
    """The rate jumps after step 4, so that every later validation is worse."""
    snapshots: dict[int, Params] = {}

    def note() -> None:
        snapshots[4] = copied(learner)

    learner = new_learner()
    run = RunFolder(tmp_path, {})
    state = train(
        learner,
        StopAt(5, note),
        meta_steps=8,
        meta_batch=2,
        optimizer=functools.partial(torch.optim.Adam, lr=1e-3),
        scheduler=lambda outer: lr_scheduler.LambdaLR(outer, lambda step: 1.0 if step < 4 else 1e3),
        validation=Validation(TASKS, every=2, count=20),
        run=run,
    )
    validated = {r["meta_step"]: r["validation_mse"] for r in records(tmp_path) if "validation_mse" in r}
    assert list(validated) == [2, 4, 6, 8]
    assert validated[6] > 2 * validated[4] and validated[8] > 2 * validated[4]
    assert (state.best, state.best_step) == (validated[4], 4)
    assert equal(copied(learner), snapshots[4])
    assert equal(run.best_meta_params(), snapshots[4])
    latest = run.latest_checkpoint()
    assert latest is not None and latest.meta_step == 8 and not equal(latest.meta_params, snapshots[4])


def test_without_validation_the_last_remain(tmp_path: Path) -> None:
    learner = new_learner()
    run = RunFolder(tmp_path, {})
    train(learner, TASKS, meta_steps=3, meta_batch=2, run=run)
    latest = run.latest_checkpoint()
    assert latest is not None and equal(latest.meta_params, copied(learner))
    assert not (tmp_path / "best.safetensors").exists()


def test_validation_changes_nothing_in_training(tmp_path: Path) -> None:
    with_it, without = new_learner(), new_learner()
    run = RunFolder(tmp_path, {})
    train(with_it, TASKS, meta_steps=4, meta_batch=2, validation=Validation(TASKS, every=1, count=3), run=run)
    train(without, TASKS, meta_steps=4, meta_batch=2)
    latest = run.latest_checkpoint()
    assert latest is not None and equal(latest.meta_params, copied(without))


def test_a_validation_that_is_nan_is_never_the_best_once_there_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    from headstart.training import validation

    values = iter([math.nan, 3.0, math.nan, 2.0, 5.0])
    honest = validation.evaluate

    def evaluate(*args: Any, **kwargs: Any) -> Any:
        result = honest(*args, **kwargs)
        return dataclasses.replace(result, scores=torch.full_like(result.scores, next(values)))

    monkeypatch.setattr(validation, "evaluate", evaluate)
    state = train(new_learner(), TASKS, meta_steps=5, meta_batch=2, validation=Validation(TASKS, every=1, count=2))
    assert (state.best, state.best_step) == (2.0, 4)


def test_after_a_kill_the_best_is_that_of_the_uninterrupted_run(tmp_path: Path) -> None:
    """The kill comes after a validation that was the best, and before the checkpoint that knows of it."""

    class Killed(BaseException):
        pass

    def kill() -> None:
        raise Killed

    def go(path: Path, tasks: Any) -> tuple[Params, TrainingState]:
        learner = new_learner()
        state = train(
            learner,
            tasks,
            meta_steps=7,
            meta_batch=2,
            validation=Validation(TASKS, every=1, count=5),
            run=RunFolder(path, {}),
            checkpoint_every=3,
        )
        return copied(learner), state

    straight, state = go(tmp_path / "straight", TASKS)
    with pytest.raises(Killed):
        go(tmp_path / "killed", StopAt(6, kill))
    resumed, resumed_state = go(tmp_path / "killed", TASKS)
    assert (resumed_state.best, resumed_state.best_step) == (state.best, state.best_step)
    assert equal(resumed, straight)
    assert equal(RunFolder(tmp_path / "killed", {}).best_meta_params(), straight)
    assert records(tmp_path / "killed") == records(tmp_path / "straight")


def test_a_schedule_that_waits_for_a_plateau_steps_after_every_validation() -> None:
    """A validation error that can never get better halves the rate each time that patience runs out."""
    learner = MAML(MLP(hidden=(4, 4)), inner_lr=0.01, loss=torch.nn.functional.mse_loss)
    tasks = SinusoidTasks(shots=2, queries=2)
    made: list[torch.optim.Optimizer] = []

    def plateau(outer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.ReduceLROnPlateau:
        made.append(outer)
        return torch.optim.lr_scheduler.ReduceLROnPlateau(outer, factor=0.5, patience=0, threshold=1e9)

    train(
        learner,
        tasks,
        meta_steps=6,
        meta_batch=1,
        optimizer=lambda params: torch.optim.SGD(params, lr=1e-6),
        scheduler=plateau,
        validation=Validation(tasks, every=2, count=2),
    )
    assert made[0].param_groups[0]["lr"] == pytest.approx(1e-6 * 0.5**3)  # three validations


def image_learner() -> MAML:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MAML(MLP(4, 3, (8,)), inner_lr=0.1)


class Corners:
    """Three classes of points, each around a corner of its own."""

    def sample(self, count: int, generator: torch.Generator) -> Episodes:
        def examples() -> Examples:
            targets = torch.arange(3).repeat(count, 4)
            return Examples(torch.eye(4)[targets] + 0.1 * torch.randn(count, 12, 4, generator=generator), targets)

        return Episodes(examples(), examples())


PLATEAU = functools.partial(lr_scheduler.ReduceLROnPlateau, factor=0.1, patience=0)


@pytest.mark.parametrize(
    ("learner", "tasks", "settings", "sentence"),
    [
        (image_learner, Corners(), {}, r"\(mode='min'\) .* the accuracy improves, .* give it mode='max'"),
        (new_learner, TASKS, {"mode": "max"}, r"\(mode='max'\) .* the mse improves, .* give it mode='min'"),
    ],
)
def test_a_plateau_in_the_wrong_direction_is_refused_before_training(
    learner: Callable[[], MAML], tasks: Any, settings: dict[str, Any], sentence: str
) -> None:
    untouched = StopAt(1, lambda: pytest.fail("training began"))
    validation = Validation(tasks, every=1, count=2)
    with pytest.raises(BadInputError, match=sentence):
        train(
            learner(), untouched, meta_steps=2, scheduler=functools.partial(PLATEAU, **settings), validation=validation
        )


def test_a_plateau_that_would_wait_for_ever_is_refused() -> None:
    with pytest.raises(BadInputError, match="ReduceLROnPlateau waits for validations"):
        train(new_learner(), TASKS, meta_steps=2, scheduler=PLATEAU)


def test_the_rate_stays_while_the_accuracy_rises_and_falls_once_it_no_longer_does() -> None:
    rates: list[float] = []

    class Noted(torch.optim.Adam):
        def step(self, closure: Any = None) -> Any:
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    state = train(
        image_learner(),
        Corners(),
        meta_steps=40,
        meta_batch=4,
        optimizer=functools.partial(Noted, lr=1e-2),
        scheduler=functools.partial(PLATEAU, mode="max"),
        validation=Validation(Corners(), every=5, count=20, inner_steps=0),
    )
    accuracies = [record["validation_accuracy"] for record in state.log if "validation_accuracy" in record]
    rising = next(index for index, value in enumerate(accuracies) if value <= max([0.0, *accuracies[:index]]))
    assert rising >= 3  # validations, each better than all before it
    assert rates[: 5 * rising + 5] == [1e-2] * (5 * rising + 5) and rates[5 * rising + 5] == pytest.approx(1e-3)


def test_training_leaves_the_global_generator_as_it_was() -> None:
    learner = MAML(MLP(hidden=(4, 4)), inner_lr=0.01, loss=torch.nn.functional.mse_loss)
    before = torch.get_rng_state()
    train(learner, SinusoidTasks(shots=2, queries=2), meta_steps=2, meta_batch=1)
    assert torch.get_rng_state().equal(before)
