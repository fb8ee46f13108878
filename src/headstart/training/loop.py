"""The outer loop: draw tasks, take the meta-gradient, update, validate, keep the best, and be ready to be stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.random import fork_rng

from headstart.distributed.processes import own, rank, together
from headstart.engine.cuda_graph import Recorded, can_be_recorded, numbers_of
from headstart.engine.meta_gradient import MetaGradient
from headstart.errors import BadInputError, RunStoppedError
from headstart.learners.base import Learner, Metrics
from headstart.params import NamedTensors, Params
from headstart.randomness import derive_seed
from headstart.runs.folder import RunFolder
from headstart.tasks.distribution import TaskDistribution, where_drawn
from headstart.training.callbacks import Callback, Event, tell
from headstart.training.holding import holding_its_run
from headstart.training.progress import Progress
from headstart.training.state import TrainingState, restore, save
from headstart.training.stopping import agree_to_stop, interruptible, last_step_kept, stop_signals, what_is_kept
from headstart.training.validation import Validation, check_plateau, validate

STEPS_AHEAD = 20
"""Meta-steps that an accelerator may be behind. It is waited for when something is saved, validated or shown, and only
then is it seen whether all is finite: the sentence may then name a later meta-step than the first bad one."""


@holding_its_run
def train(
    learner: Learner,
    tasks: TaskDistribution,
    *,
    meta_steps: int,
    meta_batch: int = 16,
    optimizer: Callable[[NamedTensors], Optimizer] = torch.optim.Adam,
    scheduler: Callable[[Optimizer], LRScheduler] | None = None,
    validation: Validation | None = None,
    seed: int = 0,
    engine: MetaGradient | None = None,
    run: RunFolder | None = None,
    checkpoint_every: int = 100,
    stop_on_signal: bool = False,
    callbacks: Sequence[Callback] = (),
) -> TrainingState:
    """Repeats ``meta_params <- optimizer(meta_params, meta_gradient)`` and leaves the best in ``learner``.

    The tasks of a meta-step are drawn from a generator derived from ``(seed, meta_step)``, so a run that goes on from
    its checkpoint ends with bitwise the weights of one that was never stopped (same machine, CPU), whether it was by a
    signal, an exception, or the end of the power.

    Where ``torch.distributed`` has a process group, its ranks share the tasks of every meta-step, and end with what one
    process would up to rounding (not with dropout, whose masks each rank draws for its own tasks). All ranks call
    ``train`` alike and return alike, while rank 0 alone uses the run folder and shows what is going on.

    On one GPU a meta-step becomes a single CUDA graph, tasks and outer update included, unless the engine's
    ``execution`` is forced: if the tasks are drawn there (those of an image data set are, by the GPU's own generator:
    other training tasks than on a CPU) and the optimizer needs nothing of the host, as
    ``Adam(lr=torch.tensor(1e-3, device="cuda"), capturable=True, fused=True)`` does. Several GPUs draw the same tasks
    if they are of one kind.

    Args:
        learner: its parameters, those of ``learner.model`` among them, are trained in place. At the end they are those
            that did best in validation, or the last ones without validation.
        tasks: distribution of the training tasks.
        meta_steps: outer updates in all, those before a resumption included.
        meta_batch: tasks per outer update.
        optimizer: makes any ``torch.optim`` optimizer from the meta-parameters, a list whose attribute ``named`` has
            them by their names in ``learner.meta_params``, for groups with options of their own.
        scheduler: makes any scheduler from the optimizer; it steps after every outer update. ``ReduceLROnPlateau``
            steps after every validation, on its metric: for an accuracy it needs ``mode="max"``.
        validation: the validation tasks; none if ``None``.
        seed: of the training and validation tasks.
        engine: how the meta-gradient of ``learner`` is run; the choice is left to it if ``None``.
        run: the folder for log and checkpoints; if it has a checkpoint, training goes on from there. That of rank 0
            counts, the other ranks may have none.
        checkpoint_every: meta-steps between checkpoints.
        stop_on_signal: whether SIGINT (Ctrl-C) and SIGTERM finish the meta-step at hand, save a checkpoint and return
            early, with the signal in the state; a second one acts at once. Otherwise signals are left alone: Ctrl-C
            raises ``KeyboardInterrupt``, and the last checkpoint is what is kept.
        callbacks: functions of an :class:`Event <headstart.Event>`, called on rank 0 after every meta-step and, once
            more, after its validation. What one raises ends the training and is raised again, after a checkpoint of
            this meta-step: a run goes on from there. A resumed run tells of the meta-steps that it makes.

    Raises:
        BadInputError: an argument is out of its range, the checkpoint is corrupt or of another learner, or the run
            is being trained by another process.
        RunStoppedError: the loss, the meta-gradient or a meta-parameter is not finite, or the disk is full; the last
            checkpoint is intact. Or another rank is gone, and if it went within a meta-step, a checkpoint of the last
            complete one is saved.

    Source: Finn, Abbeel and Levine (2017), algorithm 2.

    >>> import headstart as hs
    >>> learner = hs.MAML(hs.MLP(), inner_lr=0.01)
    >>> train(learner, hs.SinusoidTasks(shots=10, queries=10), meta_steps=3).meta_step
    3
    """
    check_positive(meta_steps=meta_steps, meta_batch=meta_batch, checkpoint_every=checkpoint_every)
    if validation:
        validation.check()
    meta_params = trained_params(learner)
    outer = optimizer(NamedTensors(meta_params))
    schedule = scheduler(outer) if scheduler else None
    plateau = schedule if isinstance(schedule, ReduceLROnPlateau) else None
    if plateau:
        check_plateau(plateau, learner, validation)
    meta_gradient = engine or MetaGradient(learner, meta_steps=meta_steps)
    device = next(iter(meta_params.values())).device
    generator = torch.Generator(where_drawn(tasks))
    state = TrainingState()
    run = run if rank() == 0 else None
    restore(run, state, learner, outer, schedule)
    together(lambda: run.cut_metrics(state.meta_step) if run else None)

    def keep() -> None:
        if run and state.log:
            check_finite("meta-parameters", learner.meta_params, state, run)
            save(run, state, learner, outer, schedule)

    def differentiate() -> tuple[Params, Metrics]:
        episodes = learner.draw(tasks, meta_batch, generator).to(device)
        return meta_gradient(learner.meta_params, episodes)

    def differentiate_and_update() -> tuple[Params, Metrics]:
        gradient, metrics = differentiate()
        meta_update(outer, learner, gradient)
        return gradient, metrics

    recordable = meta_gradient.choices.execution == "auto" and can_be_recorded(outer, generator.device, device)
    recorded = Recorded(differentiate_and_update, generator) if recordable else None
    started = time.perf_counter() - state.seconds

    with (
        fork_rng([device] if device.type == "cuda" else []),
        stop_signals(state) if stop_on_signal else nullcontext(),
        Progress(meta_steps, state.meta_step, shown=rank() == 0) as progress,
    ):
        while state.meta_step < meta_steps:
            with last_step_kept(keep, run):
                if agree_to_stop(state):
                    break
                torch.manual_seed(derive_seed(seed, own("model"), state.meta_step))  # for models with dropout
                learner.start_meta_step(state.meta_step, meta_steps)
                generator.manual_seed(derive_seed(seed, "training", state.meta_step))
                if recorded and not meta_gradient.recomputes:
                    gradient, metrics = recorded((meta_gradient.kind_of_meta_step, *numbers_of(outer)))
                    metrics = {name: value.clone() for name, value in metrics.items()}  # the next one writes over them
                else:
                    recorded = None
                    with interruptible(state):
                        gradient, metrics = differentiate()
            done = state.meta_step + 1
            validating = validation is not None and validation.is_due(done, meta_steps)
            saving = done % checkpoint_every == 0 or done == meta_steps
            waited = device.type == "cpu" or validating or saving or state.meta_step % STEPS_AHEAD == 0
            if waited:
                check_finite("loss", {"loss": metrics["loss"]}, state, run)
                check_finite("meta-gradient", gradient, state, run)
            if not recorded:
                meta_update(outer, learner, gradient)
            if waited:
                check_finite("meta-parameters", learner.meta_params, state, run)
            if schedule and not plateau:
                schedule.step()
            state.meta_step = done
            state.seconds = time.perf_counter() - started
            state.log.append({"meta_step": done, **metrics, "seconds": round(state.seconds, 3)})
            if waited:
                read_back(state.log[-STEPS_AHEAD:])
                progress.update(done, {name: state.log[-1][name] for name in metrics})
            events = [Event(done, metrics, learner)]
            if validation and validating:
                result = validate(learner, validation, seed, meta_gradient.choices.execution, state, run)
                progress.validated(result)
                events.append(Event(done, metrics, learner, result))
                if plateau:
                    plateau.step(result.value)
            if callbacks and rank() == 0:
                tell(callbacks, events, keep)
            if saving:
                together(keep)
        together(keep)  # where a signal has ended it early
        agree_to_stop(state)  # on what came since the last meta-step
    if state.meta_step >= meta_steps and state.best_params:
        learner.load_state_dict(state.best_params, strict=False)
    learner.zero_grad()  # the last meta-gradient is nobody's business any more
    return state


def check_positive(**numbers: int) -> None:
    """Refuses arguments that are not positive.

    Raises:
        BadInputError: one is not; the sentence names it.
    """
    for name, value in numbers.items():
        if value < 1:
            raise BadInputError(f"{name}={value} must be positive.")


def trained_params(learner: Learner) -> Params:
    """The learner's own parameters that are trained, to be changed in place.

    Raises:
        BadInputError: there are none.
    """
    trained = learner.trained_names
    meta_params: Params = {name: parameter for name, parameter in learner.named_parameters() if name in trained}
    if not meta_params:
        raise BadInputError("the learner has no parameter that requires a gradient: there is nothing to train.")
    return meta_params


@torch.no_grad()
def meta_update(outer: Optimizer, learner: Learner, gradient: Params) -> None:
    """``meta_params <- optimizer(meta_params, gradient)``, in place; without a gradient a parameter stays, where a zero
    would let the optimizer's momentum move it. What a learner carries is replaced."""
    carried = learner.carried_names
    for name, parameter in learner.named_parameters():
        if name in carried:
            parameter.copy_(gradient[name])
        else:
            parameter.grad = gradient.get(name)
    outer.step()


def read_back(records: list[dict[str, Any]]) -> None:
    """Puts numbers in the place of the scalar tensors of ``records``, which have perhaps only now been computed."""
    for record in records:
        record |= {name: value.item() for name, value in record.items() if isinstance(value, Tensor)}


def check_finite(what: str, values: Params, state: TrainingState, run: RunFolder | None) -> None:
    """Stops the meta-step at hand before anything that is not finite is kept.

    Raises:
        RunStoppedError: an entry of ``values`` is NaN or infinite.
    """
    if torch.stack([value.isfinite().all() for value in values.values()]).all():
        return
    if run:
        run.append_metrics(state.log)
    raise RunStoppedError(
        f"NaN or infinity in the {what} at meta-step {state.meta_step + 1} ({what_is_kept(run)}); "
        "try a smaller inner_lr or meta_lr, or fewer inner steps."
    )
