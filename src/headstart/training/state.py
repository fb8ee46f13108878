"""Where the outer loop stands, and how that is saved and restored."""

from __future__ import annotations

import inspect
import logging
import re
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils._pytree import tree_map

from headstart.distributed.processes import from_first, world_size
from headstart.errors import BadInputError
from headstart.learners.base import Learner
from headstart.params import Params
from headstart.runs.checkpoints import Checkpoint
from headstart.runs.folder import RunFolder
from headstart.runs.tensor_files import check_fits
from headstart.training.state_check import check_alike, check_position, check_steps

logger = logging.getLogger(__name__)


@dataclass
class TrainingState:
    """Where the outer loop stands, apart from the meta-parameters, the optimizer and the scheduler.

    Attributes:
        meta_step: outer updates made.
        seconds: wall-clock time of training, validation included, over all resumptions.
        best: the best value of the metric in validation, reached after ``best_step`` outer updates.
        best_params: the meta-parameters that reached it.
        noted: the number of the signal that this process was sent, 0 for none.
        interruptible: whether this process may end here without finishing what it does.
        stopped_by: the number of the signal that ended training early, on all ranks alike.
        log: records that are not yet in ``metrics.jsonl``.
    """

    meta_step: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_step: int | None = None
    best_params: Params = field(default_factory=dict, repr=False)
    noted: int = 0
    interruptible: bool = False
    stopped_by: int | None = None
    log: list[dict[str, Any]] = field(default_factory=list, repr=False)


def save(
    run: RunFolder, state: TrainingState, learner: Learner, outer: Optimizer, schedule: LRScheduler | None
) -> None:
    """Writes the log and a checkpoint."""
    run.append_metrics(state.log)
    state.log.clear()
    content = {
        "made_by": makers(outer, schedule),
        "learner": description(learner),
        "seconds": state.seconds,
        "best": state.best,
        "best_step": state.best_step,
        "optimizer": outer.state_dict(),
        "scheduler": tree_map(plain_number, schedule.state_dict()) if schedule else None,
    }
    run.save_checkpoint(Checkpoint(state.meta_step, learner.meta_params, content))


def restore(
    run: RunFolder | None, state: TrainingState, learner: Learner, outer: Optimizer, schedule: LRScheduler | None
) -> None:
    """Puts every rank to where rank 0 stands: to the latest checkpoint of its run folder, or to its first weights.

    Raises:
        BadInputError: the checkpoint is corrupt, or of another learner, optimizer or scheduler.
    """
    if world_size() > 1:
        learner.load_state_dict(from_first(lambda: {name: value.cpu() for name, value in learner.state_dict().items()}))
    start = from_first(lambda: read_start(run) if run else None)
    if start is None:
        return
    path, checkpoint, best_params = start
    check_fits(checkpoint.meta_params, learner.meta_params, path)
    if best_params:
        check_fits(best_params, learner.meta_params, path)
    content = checkpoint.state
    there, here = content.get("made_by"), makers(outer, schedule)
    if there != here:
        raise BadInputError(f"the checkpoint in {path} is of {there}, not of {here}: use the former to go on.")
    there, here = content.get("learner"), description(learner)
    if there != here:
        raise BadInputError(
            f"the checkpoint in {path} is of {there}, not of {here}: build the learner as it was, or start a new run."
        )
    try:
        check_position(content, checkpoint.meta_step)
        restore_optimizer(content["optimizer"], outer, learner)
        if schedule:
            check_alike(content["scheduler"], tree_map(plain_number, schedule.state_dict()), "scheduler")
            schedule.load_state_dict(content["scheduler"])
    except (LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise BadInputError(f"the checkpoint in {path} is of another optimizer or scheduler: {error}.") from error
    state.meta_step, state.seconds = checkpoint.meta_step, content["seconds"]
    state.best, state.best_step, state.best_params = content["best"], content["best_step"], best_params
    learner.load_state_dict(checkpoint.meta_params, strict=False)
    logger.info("going on from meta-step %d of %s", state.meta_step, path)


def read_start(run: RunFolder) -> tuple[Path, Checkpoint, Params] | None:
    """Where the run stands: its folder, its latest checkpoint and the best meta-parameters until then, if there are."""
    checkpoint = run.latest_checkpoint()
    if checkpoint is None:
        return None
    validated = checkpoint.state.get("best") is not None
    return run.path, checkpoint, run.best_meta_params() if validated else {}


def plain_number(value: Any) -> Any:
    """A number in the place of a scalar tensor; everything else as it is."""
    return value.item() if isinstance(value, Tensor) and value.dim() == 0 else value


def restore_optimizer(saved: dict[str, Any], outer: Optimizer, learner: Learner) -> None:
    """Puts the optimizer to where it was saved.

    Raises:
        LookupError, ValueError, TypeError, AttributeError, RuntimeError: it is not its own state.
    """
    if not isinstance(saved["param_groups"], list):
        raise TypeError("its param_groups are no list")
    saved = as_run_here(saved, outer)
    groups = [{**group, "params": None} for group in outer.param_groups]
    check_alike(tree_map(plain_number, saved["param_groups"]), tree_map(plain_number, groups), "param_groups")
    check_steps(saved, outer, learner)
    outer.load_state_dict(saved)


def as_run_here(saved: dict[str, Any], outer: Optimizer) -> dict[str, Any]:
    """The saved state of an optimizer, to go on where ``outer`` is: how it runs there, and whether its learning rate is
    a number or a tensor, are a matter of the device and not of the training.

    >>> there = torch.optim.SGD([torch.zeros(2, requires_grad=True)], lr=torch.tensor(0.5), fused=True)
    >>> here = torch.optim.SGD([torch.zeros(2, requires_grad=True)], lr=0.1)
    >>> group = as_run_here(there.state_dict(), here)["param_groups"][0]
    >>> group["lr"], group["fused"]
    (0.5, None)
    """
    groups = []
    for group, here in zip(saved["param_groups"], outer.param_groups, strict=True):
        own: dict[str, Any] = {name: here[name] for name in ("capturable", "fused", "foreach") if name in here}
        if "lr" in group:
            rate = plain_number(group["lr"])
            own["lr"] = torch.full_like(here["lr"], rate) if isinstance(here["lr"], Tensor) else rate
        groups.append({**group, **own})
    return {**saved, "param_groups": groups}


def description(learner: Learner) -> str:
    """What a learner is besides its parameters: its plain arguments, but for ``ways``, which may change, and its rule.

    >>> from headstart.learners.maml import MAML
    >>> description(MAML(torch.nn.Linear(2, 3), inner_lr=0.5))
    'MAML(inner_steps=1, order=2, inner_rule=SGD(inner_lr=0.5, momentum=0.0))'
    """
    rule = learner.inner_rule
    values = {name: getattr(learner, name, None) for name in inspect.signature(type(learner)).parameters}
    plain = {name: value for name, value in values.items() if type(value) in (bool, int, float) and name != "ways"}
    shown = {**plain, "inner_rule": rule if is_dataclass(rule) else type(rule).__name__}
    words = f"{type(learner).__name__}({', '.join(f'{name}={value}' for name, value in shown.items())})"
    return re.sub(r" at 0x\w+", "", words)  # where a function is in the memory, which is elsewhere in every process


def makers(outer: Optimizer, schedule: LRScheduler | None) -> str:
    """What kind of optimizer and scheduler a checkpoint is of."""
    return f"{type(outer).__name__} and {type(schedule).__name__ if schedule else 'no scheduler'}"
