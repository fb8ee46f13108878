"""What the state in a checkpoint must be, to be that of this training: nothing is done with it before."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from headstart.learners.base import Learner


def check_position(state: Mapping[str, Any], meta_step: int) -> None:
    """Checks what a checkpoint after ``meta_step`` meta-steps says of its time and of its best validation.

    Raises:
        LookupError, ValueError: something is missing or impossible; the sentence names it.

    >>> check_position({"seconds": -1.0, "best": None, "best_step": None}, meta_step=10)
    Traceback (most recent call last):
    ValueError: its seconds are -1.0
    """
    seconds, best, best_step = (state[name] for name in ("seconds", "best", "best_step"))
    if not is_number(seconds) or not 0 <= seconds < math.inf:
        raise ValueError(f"its seconds are {seconds!r:.50}")
    if best is None and best_step is None:
        return
    if not is_number(best) or type(best_step) is not int or not 1 <= best_step <= meta_step:
        raise ValueError(f"its best is {best!r:.50} at meta-step {best_step!r:.50}")


def check_alike(found: Any, fresh: Any, name: str) -> None:
    """Checks that saved data are of the kind that ``fresh`` ones are: the same entries, and in them numbers and tensors
    of the same kinds. What is ``None`` or empty at first may become anything.

    Raises:
        ValueError: they are not; the sentence names the first that differs.

    >>> check_alike({"betas": -1}, {"betas": (0.9, 0.99)}, "group")
    Traceback (most recent call last):
    ValueError: its group.betas is -1, not like (0.9, 0.99)
    """
    if fresh is None or (isinstance(fresh, (dict, list, tuple)) and not fresh):
        return
    if isinstance(fresh, dict):
        alike = isinstance(found, dict) and found.keys() >= fresh.keys()
    elif isinstance(fresh, (list, tuple)):
        alike = type(found) is type(fresh) and len(found) == len(fresh)
    elif isinstance(fresh, Tensor):
        alike = isinstance(found, Tensor) and (found.shape, found.dtype) == (fresh.shape, fresh.dtype)
    elif is_number(fresh):
        alike = is_number(found) and (math.isfinite(found) or not math.isfinite(fresh))
    else:
        alike = type(found) is type(fresh)
    if not alike:
        raise ValueError(f"its {name} is {repr(found)[:50]}, not like {repr(fresh)[:50]}")
    if isinstance(fresh, (dict, list, tuple)):
        for key in fresh if isinstance(fresh, dict) else range(len(fresh)):
            check_alike(found[key], fresh[key], f"{name}.{key}")


def is_number(value: Any) -> bool:
    """Whether it is a number, and not a truth value."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@torch.no_grad()
def check_steps(saved: dict[str, Any], outer: Optimizer, learner: Learner) -> None:
    """Tries a meta-step of the optimizer with the ``saved`` state, which leaves the learner as it is.

    Raises:
        ValueError: the optimizer cannot step with it.
    """
    carried, before = learner.carried_names, {name: value.clone() for name, value in learner.named_parameters()}
    try:
        outer.load_state_dict(copy.deepcopy(saved))  # since it goes on with these very tensors
        for name, parameter in learner.named_parameters():
            parameter.grad = None if name in carried else torch.zeros_like(parameter)
        outer.step()
    except Exception as error:  # an optimizer may raise anything over data that are not its own
        raise ValueError(f"the optimizer cannot go on with its state: {error}") from error
    finally:
        for name, parameter in learner.named_parameters():
            parameter.copy_(before[name])
            parameter.grad = None
